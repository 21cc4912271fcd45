// What does a checkpoint cost? Size, the longest piece that keeps the event loop, and the time of a
// restore, through the store in a file.
//
//   deno task bench:checkpoint [--items=1000000]

import { parseArgs } from "node:util";
import { openKvFile } from "../src/kv/mod.ts";
import {
  CheckpointChain,
  type CheckpointFacts,
  CheckpointStore,
  foldParametersOf,
} from "../src/state/mod.ts";
import { Format, systemChance, systemClock } from "../src/types/mod.ts";
import { Code, Core, SEGMENTS, warmUp } from "../src/wasm/mod.ts";
import { benchOptions, foldAgain } from "./fold_again.ts";
import { fillItems, makeWorkload } from "./workload.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: { items: { type: "string", default: "1000000" } },
});
const ITEMS = Number(values.items);
const ROUNDS = 9;

/** Writes a whole checkpoint and does not publish it; returns the longest piece in ms. */
function facts(core: Core): CheckpointFacts {
  return {
    logId: "bench",
    start: 0,
    scalars: core.state,
    lastBatch: null,
    parameters: foldParametersOf(core.options),
    secret: null,
    cutAt: Date.now(),
  };
}

async function takeCheckpoint(core: Core, round: number): Promise<number> {
  core.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  let longest = 0;
  let encoding = 0;
  const from = performance.now();
  if (core.cut() !== Code.Done) throw new Error("The core is not at rest");
  const cut = performance.now() - from;
  // A partition of its own, so that nothing is referenced from the checkpoint before.
  const chain = await CheckpointChain.open(store, await store.takeOver(round + 1), 3, null);
  const draft = chain.begin();
  while (true) {
    const start = performance.now();
    const next = core.encodeNext();
    if (!next) break;
    draft.add(next.segment, next.bytes);
    const piece = performance.now() - start;
    longest = Math.max(longest, piece);
    encoding += piece;
    await draft.flush();
  }
  core.endCut(true);
  await draft.flush(true);
  const whole = performance.now() - from;
  const { totalBytes } = await chain.publish(facts(core));
  console.log(
    `checkpoint of ${ITEMS} items: ${(totalBytes / 1e6).toFixed(2)} MB, cut ${
      cut.toFixed(2)
    } ms, ` +
      `${SEGMENTS} pieces of ${(encoding / SEGMENTS).toFixed(2)} ms, longest ${
        longest.toFixed(2)
      } ms, whole ${whole.toFixed(0)} ms`,
  );
  return longest;
}

const folder = await Deno.makeTempDir({ prefix: "stockflow-bench-" });
const store = await CheckpointStore.open(await openKvFile(`${folder}/state.kv`), {
  job: "bench",
  clock: systemClock,
  chance: systemChance,
});
try {
  const options = benchOptions(Format.Text, 0);
  warmUp(options);
  const core = new Core(options, systemChance);
  for (const batch of fillItems(Format.Text, 0, ITEMS, 1000)) {
    foldAgain(core, batch, { emit: false });
  }
  // Stocks as they are after a while, not all the same.
  for (
    const batch of makeWorkload({
      format: Format.Text,
      items: ITEMS,
      batches: 2000,
      recordsPerBatch: 1000,
    })
  ) {
    foldAgain(core, batch, { emit: false });
  }
  const chain = await CheckpointChain.open(store, await store.takeOver(0), 3, null);
  const longest: number[] = [];
  for (let round = 0; round < ROUNDS; round++) longest.push(await takeCheckpoint(core, round));
  longest.sort((a, b) => a - b);
  console.log(
    `longest piece: median of ${ROUNDS} checkpoints ${longest[ROUNDS >> 1]!.toFixed(2)} ms`,
  );
  core.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  core.cut();
  const draft = chain.begin();
  for (let next = core.encodeNext(); next; next = core.encodeNext()) {
    draft.add(next.segment, next.bytes);
  }
  core.endCut(true);
  const manifest = await chain.publish(facts(core));
  for (let round = 0; round < ROUNDS; round++) {
    const from = performance.now();
    const restored = new Core(options, systemChance);
    restored.restoreScalars(manifest.scalars);
    for await (const { segment, bytes } of store.segments(manifest)) {
      restored.restoreSegment(segment, bytes);
    }
    const ms = performance.now() - from;
    if (restored.state.items !== core.state.items) throw new Error("Items are missing");
    console.log(`restore of ${ITEMS} items: ${ms.toFixed(0)} ms`);
  }
} finally {
  store.close();
  await Deno.remove(folder, { recursive: true });
}
