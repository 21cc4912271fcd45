import { assert, assertEquals } from "@std/assert";
import { LineOutput } from "../../src/engine/line_output.ts";
import { decodeUtf8, systemClock } from "../../src/types/mod.ts";

/** A stream whose reader reads only when it is asked to. */
class Pipe {
  text = "";
  isClosed = false;
  #gate = Promise.withResolvers<void>();

  async write(bytes: Uint8Array): Promise<number> {
    if (this.isClosed) throw new Deno.errors.BrokenPipe("Broken pipe");
    await this.#gate.promise;
    if (this.isClosed) throw new Deno.errors.BrokenPipe("Broken pipe");
    // Less than was asked for, as pipes may do.
    const some = bytes.subarray(0, 7);
    this.text += decodeUtf8(some);
    return some.length;
  }

  open(): void {
    this.#gate.resolve();
  }

  shut(): void {
    this.#gate = Promise.withResolvers();
  }
}

const NEVER = new AbortController().signal;
const LONG_MS = 60_000;

Deno.test("LineOutput writes lines in their order", async () => {
  const pipe = new Pipe();
  pipe.open();
  const output = new LineOutput(pipe, systemClock);
  for (let i = 0; i < 50; i++) output.write(`line ${i}\n`);
  await output.flush(LONG_MS);
  assertEquals(pipe.text, Array.from({ length: 50 }, (_, i) => `line ${i}\n`).join(""));
  assertEquals(output.dropped, 0);
});

Deno.test("LineOutput drops lines while nobody reads, and reports how many once somebody does", async () => {
  const pipe = new Pipe();
  const output = new LineOutput(pipe, systemClock, 100, (count) => `${count} dropped\n`);
  for (let i = 0; i < 40; i++) output.write("123456789\n");
  assertEquals(output.dropped, 30);
  await output.flush(0); // nobody reads: it does not wait longer than it is asked to
  assertEquals(pipe.text, "");
  pipe.open();
  await output.flush(LONG_MS);
  assertEquals(pipe.text, "123456789\n".repeat(10) + "30 dropped\n");
  output.write("next\n");
  await output.flush(LONG_MS);
  assert(pipe.text.endsWith("30 dropped\nnext\n"));
});

Deno.test("LineOutput keeps what must not be dropped, and says when there is room for more", async () => {
  const pipe = new Pipe();
  const output = new LineOutput(pipe, systemClock, 100);
  await output.room(NEVER);
  for (let i = 0; i < 12; i++) output.print("123456789\n");
  assert(output.isFull);
  const given = new AbortController();
  const waits = output.room(given.signal);
  given.abort("over");
  await waits;
  assert(output.isFull);
  const room = output.room(NEVER);
  pipe.open();
  await room;
  assert(!output.isFull);
  await output.flush(LONG_MS);
  assertEquals(pipe.text, "123456789\n".repeat(12));
  assertEquals(output.dropped, 0);
});

Deno.test("LineOutput whose reader is gone drops all, and holds nothing up", async () => {
  const pipe = new Pipe();
  const output = new LineOutput(pipe, systemClock, 100);
  for (let i = 0; i < 12; i++) output.print("123456789\n");
  pipe.isClosed = true;
  pipe.open();
  await output.flush(LONG_MS);
  await output.room(NEVER);
  output.write("next\n");
  assertEquals([pipe.text, output.dropped], ["", 13]);
});
