import { assert, assertEquals } from "@std/assert";
import { batch, openLog, position, records, valuesOf } from "./log_fixture.ts";
import { type Fault, FaultKv } from "../kv/fault_kv.ts";
import { casesOfTest } from "../../tools/kit/random.ts";

const LARGE = "x".repeat(50_000);

/** Commits outputs, small and too large for one write; the process may die at any write. */
async function work(kv: FaultKv): Promise<string[]> {
  const acknowledged: string[] = [];
  const log = await openLog(kv);
  await log.append("transactions", 0, records(["a", "b", "c"]));
  acknowledged.push("append");
  const session = await log.claim("transactions");
  for (const [i, size] of [[1, ""], [2, LARGE], [3, ""]] as const) {
    const batches = Array.from({ length: size ? 30 : 1 }, (_, k) => batch([`${i}.${k}${size}`]));
    const outcome = await session.commit({
      positions: [{ partition: 0, ...position(i, BigInt(i)) }],
      outputs: [
        { topic: "results", partition: 0, batches },
        { topic: "summaries", partition: 0, batches: [batch([`summary ${i}`])] },
      ],
    });
    if (outcome !== "committed") break;
    acknowledged.push(`commit ${i}`);
  }
  return acknowledged;
}

async function countWrites(): Promise<number> {
  const kv = new FaultKv(await Deno.openKv(":memory:"));
  assertEquals(await work(kv), ["append", "commit 1", "commit 2", "commit 3"]);
  kv.kv.close();
  return kv.commits;
}

Deno.test("commit is all or nothing at every write", async () => {
  const writes = await countWrites();
  assert(writes > 8, `${writes}`);
  const faults: Fault[] = ["dies before", "dies after", "answer lost", "fails"];
  for (const [row, fault] of faults.entries()) {
    for (const at of casesOfTest(1, writes, 3, row)) {
      const real = await Deno.openKv(":memory:");
      const kv = new FaultKv(real, (n) => n === at ? fault : null);
      const acknowledged = await work(kv).catch(() => null);
      // Whatever happened: who opens the log next finds whole commits.
      const log = await openLog(new FaultKv(real));
      const [claimed] = (await log.claim("transactions")).partitions;
      const { offset, watermark } = claimed!.committed;
      const what = `${fault} at write ${at}`;
      assertEquals(watermark, offset === 0 ? -(2n ** 63n) : BigInt(offset), what);
      const results = await valuesOf(log, "results", 0);
      assertEquals(results.length, [0, 1, 31, 32][offset], what);
      const summaries = Array.from({ length: offset }, (_, i) => `summary ${i + 1}`);
      assertEquals(await valuesOf(log, "summaries", 0), summaries, what);
      // What was acknowledged is there.
      const last = acknowledged?.filter((a) => a.startsWith("commit")).length ?? 0;
      assert(offset >= last, what);
      if (fault === "fails" || fault === "answer lost") {
        assertEquals(acknowledged, ["append", "commit 1", "commit 2", "commit 3"], what);
      }
      if (acknowledged?.includes("append")) {
        assertEquals(await valuesOf(log, "transactions", 0), ["a", "b", "c"], what);
      }
      // And nothing lies above the ends.
      for await (const { key } of real.list({ prefix: ["batch"] })) {
        const [, topic, partition, base] = key as [string, string, number, number];
        assert(base < log.bounds(topic, partition).end, what);
      }
      real.close();
    }
  }
});
