import { assert, assertEquals } from "@std/assert";
import { BufferPool } from "../../src/wasm/mod.ts";

Deno.test("a buffer that was given back is used for what fits into it, and half fills it", () => {
  const pool = new BufferPool(1000);
  const first = pool.take(100);
  assertEquals([first.length, pool.take(100).buffer === first.buffer], [100, false]);
  pool.give(first);
  assert(pool.take(101).buffer !== first.buffer, "too small");
  assert(pool.take(49).buffer !== first.buffer, "too large");
  const again = pool.take(60);
  assertEquals([again.length, again.buffer === first.buffer], [60, true]);
  assert(pool.take(60).buffer !== first.buffer, "it is in use");
  pool.give(again);
  assert(pool.take(100).buffer === first.buffer, "all of it came back");
});

Deno.test("the smallest buffer that fits is used, and only so many bytes are kept", () => {
  const pool = new BufferPool(300);
  const [small, large, beyond] = [pool.take(100), pool.take(150), pool.take(100)];
  for (const buffer of [large, small, beyond]) pool.give(buffer);
  assert(pool.take(90).buffer === small.buffer);
  assert(pool.take(90).buffer === large.buffer);
  assert(pool.take(90).buffer !== beyond.buffer, "there was no room for it");
});

Deno.test("a buffer that was moved to another thread does not come back", () => {
  const pool = new BufferPool(300);
  const moved = pool.take(100);
  structuredClone(moved, { transfer: [moved.buffer] });
  pool.give(moved);
  assertEquals(pool.take(100).length, 100);
});
