// What does a checkpoint cost? Size, the longest piece that keeps the event loop, and the time of a
// restore, through the store in a file.
//
//   deno task bench:checkpoint [--items=1000000]

import { commandLine } from "../tools/kit/command_line.ts";
import { openKvFile } from "../src/kv/mod.ts";
import { CheckpointChain } from "../src/state/mod.ts";
import { Format, systemChance } from "../src/types/mod.ts";
import { Core, SEGMENTS, warmUp } from "../src/wasm/mod.ts";
import { benchOptions } from "./fold_again.ts";
import { coreWithItems, cutWhole, factsOf, openBenchStore, restore, takeWhole } from "./stored.ts";

const values = commandLine("bench:checkpoint", { items: { type: "string", default: "1000000" } });
const ITEMS = Number(values.items);
const ROUNDS = 9;

/** Writes a whole checkpoint piece by piece; returns the longest piece in ms. */
async function takeCheckpoint(core: Core, round: number): Promise<number> {
  let longest = 0;
  let encoding = 0;
  const from = performance.now();
  cutWhole(core);
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
  const { totalBytes } = await chain.publish(factsOf(core));
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
const store = await openBenchStore(await openKvFile(`${folder}/state.kv`));
try {
  const options = benchOptions(Format.Text, 0);
  warmUp(options);
  const core = coreWithItems(options, ITEMS);
  const longest: number[] = [];
  for (let round = 0; round < ROUNDS; round++) longest.push(await takeCheckpoint(core, round));
  longest.sort((a, b) => a - b);
  console.log(
    `longest piece: median of ${ROUNDS} checkpoints ${longest[ROUNDS >> 1]!.toFixed(2)} ms`,
  );
  const manifest = await takeWhole(store, core, 0);
  for (let round = 0; round < ROUNDS; round++) {
    const from = performance.now();
    const restored = new Core(options, systemChance);
    await restore(store, manifest, restored);
    const ms = performance.now() - from;
    if (restored.state.items !== core.state.items) throw new Error("Items are missing");
    console.log(`restore of ${ITEMS} items: ${ms.toFixed(0)} ms`);
  }
} finally {
  store.close();
  await Deno.remove(folder, { recursive: true });
}
