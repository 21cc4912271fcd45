import { assert, assertEquals } from "@std/assert";
import { Checkpointer } from "../../src/engine/checkpoint.ts";
import { PartitionProcessor } from "../../src/engine/partition_processor.ts";
import { never } from "../../src/engine/waiters.ts";
import { toKv } from "../../src/kv/mod.ts";
import { firstPosition } from "../../src/log/mod.ts";
import { CheckpointChain, CheckpointStore, foldParametersOf } from "../../src/state/mod.ts";
import { encodeBatch, encodeUtf8, systemChance } from "../../src/types/mod.ts";
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
const ITEMS = 2000;
const LOOK_MS = 0.25;
/** The timer that gives a checkpoint up. */
const TIMEOUT_MS = 1e9;

/** Each look at it takes a quarter of a millisecond; who sleeps goes on in the next turn. */
class WorkingClock extends ManualClock {
  #looks = 0;
  readonly slept: number[] = [];
  onSleep = () => {};

  override monotonic(): number {
    return super.monotonic() + LOOK_MS * this.#looks++;
  }

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms === TIMEOUT_MS) return super.sleep(ms, signal);
    this.slept.push(ms);
    this.onSleep();
    return this.yield();
  }
}

/** A partition with many items of which no checkpoint was taken. */
async function opened(kv: Deno.Kv) {
  const clock = new WorkingClock();
  const store = await CheckpointStore.open(toKv(kv), { job: "test", clock, chance: systemChance });
  const topics = {
    input: "in",
    results: null,
    summaries: null,
    deadLetters: null,
    partitionsOf: () => 1,
    batchBytesMax: 4000,
  };
  const committed = firstPosition(0);
  const core = new Core(OPTIONS, systemChance);
  const processor = new PartitionProcessor(0, core, topics, clock, committed, "", null);
  const records = Array.from({ length: ITEMS }, (_, i) => ({
    timestamp: 1,
    key: null,
    value: encodeUtf8(`${i}\t1\titem_${i}\t1`),
  }));
  await processor.fold(encodeBatch(records));
  processor.acknowledged = { ...committed, offset: ITEMS, watermark: core.watermark };
  const chain = await CheckpointChain.open(store, await store.takeOver(0), 1, null);
  const options = {
    intervalMs: 1,
    timeoutMs: TIMEOUT_MS,
    recordsMax: 10 * ITEMS,
    logId: "",
    topicId: null,
    tracing: null,
  };
  const parameters = foldParametersOf(OPTIONS);
  clock.slept.length = 0;
  return {
    clock,
    checkpointer: new Checkpointer(processor, chain, { ...options, clock }, parameters, null),
  };
}

Deno.test("a checkpoint that is due rests between its pieces, so that others have the processor", async () => {
  const kv = await Deno.openKv(":memory:");
  const { clock, checkpointer } = await opened(kv);
  const manifest = await checkpointer.takeAsDue(never());
  assertEquals(manifest!.scalars.items, BigInt(ITEMS));
  assert(clock.slept.length > 10);
  assert(clock.slept.every((ms) => ms > 0 && ms <= 10), String(clock.slept));
  kv.close();
});

Deno.test("a checkpoint that somebody waits for does not rest", async () => {
  const kv = await Deno.openKv(":memory:");
  const asked = await opened(kv);
  assert(await asked.checkpointer.take(never(), false, "stop"));
  assertEquals(asked.clock.slept, []);
  kv.close();
  const other = await Deno.openKv(":memory:");
  const { clock, checkpointer } = await opened(other);
  let folding: Promise<void> | undefined;
  // Whoever folds comes upon what is cut during the first rest.
  clock.onSleep = () => folding ??= checkpointer.encoded();
  assert(await checkpointer.takeAsDue(never()));
  await folding;
  assertEquals(clock.slept.length, 1);
  other.close();
});
