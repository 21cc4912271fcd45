import { assertEquals, assertRejects } from "@std/assert";
import { OwnedWrites, toKv } from "../../src/kv/mod.ts";
import { systemClock } from "../../src/types/mod.ts";
import { type Fault, FaultKv } from "./fault_kv.ts";

const MARK = ["mark", "job", 0];
const KEY = ["chunk"];
const FAST = { clock: { ...systemClock, sleep: () => Promise.resolve() }, chance: () => 0.5 };

async function withWrites(
  test: (
    kv: Deno.Kv,
    open: (plan: (commit: number) => Fault | null) => Promise<OwnedWrites>,
  ) => Promise<void>,
): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  let owners = 0;
  try {
    await test(kv, (plan) => {
      const chance = () => ++owners / 1000;
      return OwnedWrites.open(new FaultKv(kv, plan), MARK, FAST, chance);
    });
  } finally {
    kv.close();
  }
}

const set = (value: number) => (atomic: Deno.AtomicOperation) => void atomic.set(KEY, value);

Deno.test("a write that happened counts, also if it ended in an error or was answered as refused", async () => {
  await withWrites(async (kv, open) => {
    const writes = await open((commit) => commit === 2 ? "answer lost" : null);
    const first = await writes.commit(set(1));
    assertEquals((await kv.get(KEY)).versionstamp, first);
    // It happens, and is sent again by whoever carries it: the second one is refused.
    const second = await writes.commit(set(2));
    assertEquals(await kv.get(KEY), { key: KEY, value: 2, versionstamp: second! });
    assertEquals((await kv.get(MARK)).versionstamp, second);
    assertEquals(await writes.commit(set(3)), (await kv.get(KEY)).versionstamp);
  });
});

Deno.test("a write that hung does not happen behind the one that was made instead of it", async () => {
  await withWrites(async (kv, open) => {
    const writes = await open(() => null);
    await writes.commit(set(1));
    // As it left: with the mark that was the last one then.
    const late = kv.atomic().check({
      key: MARK,
      versionstamp: (await kv.get(MARK)).versionstamp,
    }).delete(KEY);
    await writes.commit(set(2));
    assertEquals((await late.commit()).ok, false);
    assertEquals((await kv.get(KEY)).value, 2);
  });
});

Deno.test("a write that was given up and happened after all is not another owner", async () => {
  await withWrites(async (kv, open) => {
    let broken = true;
    const writes = await open(() => broken ? "answer lost" : null);
    const real = kv.get.bind(kv);
    // Neither the write is answered nor the look at its mark.
    kv.get = (async (...args: Parameters<Deno.Kv["get"]>) => {
      if (broken) throw new Error("no answer");
      return await real(...args);
    }) as never;
    await assertRejects(() => writes.commit(set(1)), Error);
    assertEquals((await real(KEY)).value, 1);
    broken = false;
    assertEquals(await writes.commit(set(2)), (await kv.get(KEY)).versionstamp);
  });
});

Deno.test("a write is refused when one of its own checks fails, or another owner has written", async () => {
  await withWrites(async (kv, open) => {
    const [a, b] = [await open(() => null), await open(() => null)];
    const impossible = { key: KEY, versionstamp: "00000000000000000001" };
    assertEquals(await a.commit((atomic) => void set(1)(atomic.check(impossible))), null);
    assertEquals(await toKv(kv).get(KEY).then(({ value }) => value), null);
    await a.commit(set(1));
    assertEquals(await b.commit(set(2)), null);
    assertEquals((await kv.get(KEY)).value, 1);
  });
});
