// Progress of recoveries in worker threads.

import { assert, assertEquals } from "@std/assert";
import { EmbeddedItemTransactionJob } from "../../src/jobs/mod.ts";
import { MACHINE, type RunningJob } from "../../src/service/mod.ts";
import type { OnProgress } from "../../src/engine/mod.ts";
import { Parameters } from "../../src/parameters/mod.ts";
import type { ThreadWorker } from "../../src/engine/threads/thread_worker.ts";
import { type Kv, openKvInMemory } from "../../src/kv/mod.ts";

/** Two files in memory that outlive their jobs. */
async function files(): Promise<{ open: (path: string) => Promise<Kv>; close(): void }> {
  const log = await openKvInMemory();
  const state = await openKvInMemory();
  return {
    open: (path) => Promise.resolve({ ...(path.includes("log") ? log : state), close: () => {} }),
    close: () => [log, state].forEach((kv) => kv.close()),
  };
}

function start(
  openKv: (path: string) => Promise<Kv>,
  onProgress: OnProgress,
): Promise<RunningJob> {
  const surroundings = { ...MACHINE, openKv, onProgress };
  return new EmbeddedItemTransactionJob()
    .createApplicationPipeline(Parameters.of({ "log.partitions": "2", "parallelism": "2" }))
    .start("test", surroundings);
}

Deno.test("threads report their recoveries, and a thread that dies in one leaves none open", async () => {
  const { open, close } = await files();
  const first = await start(open, () => {});
  const transactions = Array.from({ length: 2000 }, (_, i) => ({
    transactionId: BigInt(i),
    ts: i,
    itemId: `item_${i}`,
    quantity: 1,
  }));
  await first.gateway!.execute(transactions);
  await first.stop();

  const underWay = new Map<string, number>();
  const restored = new Map<string, number>();
  let crashed = "";
  const ready = Promise.withResolvers<void>();
  const second: RunningJob = await start(open, (progress) => {
    const { work, by, done, over } = progress;
    if (work !== "restore") return;
    if (!over) {
      underWay.set(by, done);
      if (crashed) return;
      crashed = by;
      const worker = second.workers.find((w) =>
        `partitions ${(w as ThreadWorker).options.spec.partitions}` === by
      );
      (worker as ThreadWorker).crash();
      return;
    }
    assert(underWay.delete(by), `${by} ends once`);
    if (by === crashed && !restored.has("first")) restored.set("first", done);
    else restored.set(by, done);
    if (restored.size === 3) ready.resolve();
  });
  await ready.promise;
  assertEquals(underWay.size, 0);
  assertEquals(restored.get("partitions 0")! + restored.get("partitions 1")!, 2000);
  await second.stop();
  close();
});
