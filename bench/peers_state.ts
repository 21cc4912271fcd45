// How much memory does an item take in stockflow, Apache Flink (heap state) and Kafka Streams (in-memory store)?
// Each item is delivered once; then the state is looked at: in stockflow by its metric, in the peers as what is left in
// the heap behind a collection, less what is there with hardly any items.
//
//   deno task bench:peers:state [--items=1000000,10000000] [--keys=item,uuid] [--engine=stockflow,flink,streams]
//
// Writes what it measured into bench/results/state.json, and bench/RESULTS.md.

import { commandLine } from "../tools/kit/command_line.ts";
import { startTestBroker } from "../tools/kit/test_broker.ts";
import { refuse } from "./options.ts";
import { buildPeers } from "./peers/build.ts";
import { FigureFile } from "./peers/figures.ts";
import { heapBytes } from "./peers/heap.ts";
import { KEY_SETS, type KeySet } from "./peers/input.ts";
import { measureRecords, sleep } from "./peers/measure.ts";
import { readResults, writePages } from "./peers/pages.ts";
import { PeerStage } from "./peers/stage.ts";
import { STATE_WORK, type StateMeasurement } from "./peers/state_figures.ts";
import { type EngineName, ENGINES } from "./peers/works.ts";

const USAGE = "deno task bench:peers:state [--items=1000000,10000000] [--keys=item,uuid] " +
  "[--engine=stockflow,flink,streams]";
const PARTITIONS = 8;
const PARALLELISM = 2;
/** Hardly any: what is there without state. */
const FEW_ITEMS = 1000;
/** Longer than a checkpoint takes to begin: what it copies is gone behind it. */
const REST_MS = 12_000;

const values = commandLine("bench:peers:state", {
  items: { type: "string", default: "1000000,10000000" },
  keys: { type: "string", default: "item,uuid" },
  engine: { type: "string", default: ENGINES.join(",") },
});
const list = <T extends string>(name: string, text: string, allowed: readonly T[]): T[] =>
  text.split(",").map((value) =>
    allowed.find((a) => a === value) ??
      refuse(USAGE, `--${name} must be of ${allowed.join(", ")}, not ${JSON.stringify(value)}`)
  );
const keySets = list("keys", values.keys, KEY_SETS);
const engines = list("engine", values.engine, ENGINES);
const counts = values.items.split(",").map((text) =>
  /^[1-9]\d*$/.test(text)
    ? Number(text)
    : refuse(USAGE, `--items must be of positive integers, not ${JSON.stringify(text)}`)
);

const root = new URL("../", import.meta.url);
const jars = await buildPeers();
const broker = await startTestBroker();
/** What runs beside the broker. */
let ending: (() => Promise<void>) | null = null;
async function endAll(): Promise<void> {
  await ending?.();
  await broker.remove();
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => void endAll().finally(() => Deno.exit(130)));
}

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

try {
  const few = new Map<EngineName, number>();
  const stage = await open("item", FEW_ITEMS);
  for (const engine of engines) {
    few.set(engine, engine === "stockflow" ? 0 : (await measure(stage, engine)).bytes);
  }
  for (const keys of keySets) {
    for (const items of counts) {
      const stage = await open(keys, items);
      for (const engine of engines) {
        const { bytes, peakBytes } = await measure(stage, engine);
        const at = new Date().toISOString().slice(0, 16) + "Z";
        const more = bytes - few.get(engine)!;
        console.log(
          `${engine}, ${items} items (${keys}): ${(more / items).toFixed(1)} bytes per item, ` +
            `peak RSS ${Math.round(peakBytes / 2 ** 20)} MiB`,
        );
        await keep({ engine, keys, items, at, bytes: more, peakBytes });
      }
    }
  }
} finally {
  await endAll();
}

/** Writes a measurement in the place of the one before. */
async function keep(measured: StateMeasurement): Promise<void> {
  const { engine, keys, items } = measured;
  const all = await readResults<StateMeasurement>(root, "state");
  const others = all.filter((m) => m.engine !== engine || m.keys !== keys || m.items !== items);
  await Deno.mkdir(new URL("bench/results/", root), { recursive: true });
  const text = JSON.stringify([...others, measured], null, 1);
  await Deno.writeTextFile(new URL("bench/results/state.json", root), `${text}\n`);
}

await writePages(root, (await FigureFile.open(new URL("bench/results/peers.json", root))).all);
Deno.exit(0);
