import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Checkpointer } from "../../src/engine/checkpoint.ts";
import { Partition, type PartitionState } from "../../src/engine/partition.ts";
import { PartitionProcessor } from "../../src/engine/partition_processor.ts";
import { type ClaimedPartition, firstPosition, LostError } from "../../src/log/mod.ts";
import { CheckpointChain, CheckpointStore, foldParametersOf } from "../../src/state/mod.ts";
import { BrokenPromiseError, encodeUtf8, systemChance } from "../../src/types/mod.ts";
import { toKv } from "../../src/kv/mod.ts";
import { Core, Format, Partitioner } from "../../src/wasm/mod.ts";
import { ManualClock } from "./manual_clock.ts";

const OPTIONS = {
  format: Format.Text,
  partitioner: Partitioner.None,
  partition: 0,
  partitions: 1,
  windowMs: 0,
  eventTime: false,
  outOfOrderMs: 0,
  maxAheadMs: 0,
  alertTotalMin: 0,
  alertRateMin: 0,
};
const COMMITTED = firstPosition(0);
const CLAIMED: ClaimedPartition = { partition: 0, committed: COMMITTED, logStart: 0, logEnd: 0 };
const RECOVERY = { items: 0, restored: 0, replayed: 0, durationMs: 0 };

/** What a partition holds once it is restored. */
async function held(kv: Deno.Kv) {
  const clock = new ManualClock();
  const store = await CheckpointStore.open(toKv(kv), { job: "test", clock, chance: systemChance });
  const topics = {
    input: "in",
    results: null,
    summaries: null,
    deadLetters: null,
    partitionsOf: () => 1,
    batchBytesMax: 4000,
  };
  const core = new Core(OPTIONS, systemChance);
  const processor = new PartitionProcessor(0, core, topics, clock, COMMITTED, "", null);
  const chain = await CheckpointChain.open(store, await store.takeOver(0), 1, null);
  const parameters = foldParametersOf(OPTIONS);
  const options = {
    intervalMs: 0,
    timeoutMs: 1,
    recordsMax: 1,
    logId: "",
    topicId: null,
    tracing: null,
  };
  return {
    processor,
    checkpointer: new Checkpointer(processor, chain, { ...options, clock }, parameters, null),
  };
}

Deno.test("a partition goes from state to state as drawn, and no other way", async () => {
  const kv = await Deno.openKv(":memory:");
  const { processor, checkpointer } = await held(kv);
  const steps: Record<Exclude<PartitionState, "claimed">, (p: Partition) => void> = {
    restoring: (p) => p.restore(),
    replaying: (p) => p.replay(processor, checkpointer),
    running: (p) => p.run(RECOVERY),
    released: (p) => p.release(),
  };
  const order = ["restoring", "replaying", "running", "released"] as const;
  for (let reached = 0; reached <= order.length; reached++) {
    const allowed = [order[reached], "released"];
    for (const next of order) {
      const partition = new Partition(CLAIMED);
      for (const step of order.slice(0, reached)) steps[step](partition);
      const state = partition.state;
      if (allowed.includes(next)) {
        steps[next](partition);
        assertEquals(partition.state, next);
      } else {
        assertThrows(() => steps[next](partition), BrokenPromiseError);
        assertEquals(partition.state, state, `${state} stays`);
      }
    }
  }
  kv.close();
});

Deno.test("a partition commits and answers only while it runs", async () => {
  const kv = await Deno.openKv(":memory:");
  const { processor, checkpointer } = await held(kv);
  const partition = new Partition(CLAIMED);
  assertThrows(() => partition.processor.take(), BrokenPromiseError);
  await assertRejects(() => partition.lookUp([encodeUtf8("a")]), LostError);
  partition.restore();
  partition.replay(processor, checkpointer);
  assertThrows(() => partition.processor.take(), BrokenPromiseError);
  partition.run(RECOVERY);
  assertEquals(partition.processor.take(), null);
  assertEquals(await partition.lookUp([encodeUtf8("a")]), [null]);
  partition.release();
  assertThrows(() => partition.processor.take(), BrokenPromiseError);
  await assertRejects(() => partition.lookUp([encodeUtf8("a")]), LostError);
  kv.close();
});

Deno.test("a partition runs from its committed position alone", async () => {
  const kv = await Deno.openKv(":memory:");
  const { processor, checkpointer } = await held(kv);
  const partition = new Partition({
    ...CLAIMED,
    committed: { ...COMMITTED, offset: 5 },
    logEnd: 5,
  });
  partition.restore();
  partition.replay(processor, checkpointer);
  assertThrows(() => partition.run(RECOVERY), BrokenPromiseError, "runs from 5, not from 0");
  kv.close();
});

Deno.test("what a released partition left is kept by one claim, where it stands", async () => {
  const kv = await Deno.openKv(":memory:");
  const { processor, checkpointer } = await held(kv);
  const before = new Partition(CLAIMED);
  before.restore();
  before.replay(processor, checkpointer);
  before.run(RECOVERY);
  const elsewhere = { ...CLAIMED, committed: { ...COMMITTED, offset: 1 } };
  assertThrows(() => new Partition(CLAIMED).keep(before), BrokenPromiseError, "is released");
  before.release();
  assertEquals(new Partition(elsewhere).keep(before), false);
  const next = new Partition(CLAIMED);
  assertEquals([next.keep(before), next.state], [true, "running"]);
  assertEquals(new Partition(CLAIMED).keep(before), false, "another has it");
  kv.close();
});
