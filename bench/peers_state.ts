// How much memory does an item take in stockflow, Apache Flink (heap state) and Kafka Streams (a hash map in memory)?
// Each item is delivered once; then the state is looked at: in stockflow by its metric, in the peers as what is left in
// the heap behind a collection, less what is there with hardly any items.
//
//   deno task bench:peers:state [--items=1000000,10000000] [--keys=item,sku,uuid] [--engine=stockflow,flink,streams]
//       [--resume] [--to=<folder>]
//     --resume   goes on with what was interrupted: what was measured stays
//
// Writes what it measured into bench/results/state.json, and bench/RESULTS.md.

import { commandLine, usageOf } from "../tools/kit/command_line.ts";
import { countsIn, listIn } from "./options.ts";
import { startMeasuredBroker } from "./measured_broker.ts";
import { buildPeers } from "./peers/build.ts";
import { heapBytes } from "./peers/heap.ts";
import { KEY_SETS, type KeySet } from "./peers/input.ts";
import { Kept, nowText, TO } from "./peers/kept.ts";
import { endWhenInterrupted, measureRecords, sleep } from "./peers/measure.ts";
import { writePages } from "./peers/pages.ts";
import { deleteTopics, PeerStage } from "./peers/stage.ts";
import { STATE_WORK, type StateMeasurement } from "./peers/state_figures.ts";
import { type EngineName, ENGINES } from "./peers/works.ts";

const PARTITIONS = 8;
const PARALLELISM = 2;
/** Hardly any: what is there without state. */
const FEW_ITEMS = 1000;
/** Longer than a checkpoint takes to begin: what it copies is gone behind it. */
const REST_MS = 12_000;

const TASK = "bench:peers:state";
const OPTIONS = {
  items: { type: "string", default: "1000000,10000000" },
  keys: { type: "string", default: "item,sku,uuid" },
  engine: { type: "string", default: ENGINES.join(",") },
  resume: { type: "boolean", default: false },
  to: TO,
} as const;
const USAGE = usageOf(TASK, OPTIONS);
const values = commandLine(TASK, OPTIONS);
const keySets = listIn(USAGE, "keys", values.keys, KEY_SETS);
const engines = listIn(USAGE, "engine", values.engine, ENGINES);
const counts = countsIn(USAGE, "items", values.items);
const kept = await Kept.open(values.to);

const jars = await buildPeers();
const broker = await startMeasuredBroker();
/** What runs beside the broker. */
let ending: (() => Promise<void>) | null = null;
async function endAll(): Promise<void> {
  await ending?.();
  await broker.remove();
}
endWhenInterrupted(endAll);

/** Bytes of the state that an engine has behind all records, and the most memory that it had. */
async function measure(
  stage: PeerStage,
  engine: EngineName,
): Promise<Pick<StateMeasurement, "bytes" | "peakBytes">> {
  const run = await stage.run({ engine, work: STATE_WORK, parallelism: PARALLELISM });
  ending = run.end;
  const { peakBytes } = await measureRecords(run.job, broker.pid, stage.records);
  await sleep(REST_MS);
  const bytes = await (run.job.stateBytes?.() ?? heapBytes(run.job.pid));
  await run.end();
  ending = null;
  return { bytes, peakBytes };
}

async function open(keys: KeySet, items: number): Promise<PeerStage> {
  const input = { records: items, items, keys, inTurn: true };
  return await PeerStage.open(broker, {
    jars,
    partitions: PARTITIONS,
    input,
    prefix: `state-${keys}-${items}`,
  });
}

const isOfSame = (
  m: StateMeasurement,
  of: Pick<StateMeasurement, "engine" | "keys" | "items">,
): boolean => m.engine === of.engine && m.keys === of.keys && m.items === of.items;

/** Engines whose state of so many items is not measured yet. */
async function leftOf(keys: KeySet, items: number): Promise<EngineName[]> {
  const there = values.resume ? await kept.read<StateMeasurement>("state") : [];
  return engines.filter((engine) => !there.some((m) => isOfSame(m, { engine, keys, items })));
}

const few = new Map<EngineName, number>();

/** Bytes that an engine has in use with hardly any items. */
async function fewOf(engine: EngineName): Promise<number> {
  const known = few.get(engine);
  if (known !== undefined) return known;
  fewStage ??= await open("item", FEW_ITEMS);
  const { bytes } = await measure(fewStage, engine);
  few.set(engine, bytes);
  return bytes;
}
let fewStage: PeerStage | null = null;

async function measureItems(keys: KeySet, items: number): Promise<void> {
  const left = await leftOf(keys, items);
  if (left.length === 0) return;
  const stage = await open(keys, items);
  for (const engine of left) {
    const without = await fewOf(engine);
    const { bytes, peakBytes } = await measure(stage, engine);
    const more = bytes - without;
    console.log(
      `${engine}, ${items} items (${keys}): ${(more / items).toFixed(1)} bytes per item, ` +
        `peak RSS ${Math.round(peakBytes / 2 ** 20)} MiB`,
    );
    const m: StateMeasurement = { engine, keys, items, at: nowText(), bytes: more, peakBytes };
    await kept.put<StateMeasurement>("state", m, (other) => isOfSame(other, m));
  }
  await deleteTopics(broker.bootstrap, stage.inputTopic);
}

try {
  // The smaller ones first: what is broken off has the most figures.
  for (const items of counts) for (const keys of keySets) await measureItems(keys, items);
} finally {
  await endAll();
}
await writePages(kept);
Deno.exit(0);
