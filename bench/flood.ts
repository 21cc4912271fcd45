// What do ids cost that were chosen so that they meet? Against ordinary ids of the same shape: inserted,
// sold again, encoded, restored. By the best of some rounds, in turn.
//
//   deno task bench:flood [--items=150000]

import { commandLine } from "../tools/kit/command_line.ts";
import { type Flood, FLOODS, ORDINARY } from "../tools/kit/floods.ts";
import { Format, systemChance } from "../src/types/mod.ts";
import { Code, Core, warmUp } from "../src/wasm/mod.ts";
import { benchOptions, foldAgain } from "./fold_again.ts";
import { fillItems } from "./workload.ts";

const values = commandLine("bench:flood", { items: { type: "string", default: "150000" } });
const ITEMS = Number(values.items);
const ROUNDS = 5;
const OPTIONS = benchOptions(Format.Text, 0);

/** ms of the stages, and of the longest slice of encoding and restoring. */
interface Times {
  insert: number;
  again: number;
  encode: number;
  restore: number;
  longest: number;
}

function timed(work: () => void): number {
  const from = performance.now();
  work();
  return performance.now() - from;
}

function measure(batches: readonly Uint8Array[]): Times {
  const core = new Core(OPTIONS, systemChance);
  const fold = () => batches.forEach((batch) => foldAgain(core, batch, { emit: false }));
  const insert = timed(fold);
  const again = timed(fold);
  let longest = 0;
  const slice = <T>(work: () => T): T => {
    const from = performance.now();
    const result = work();
    longest = Math.max(longest, performance.now() - from);
    return result;
  };
  const segments: { segment: number; bytes: Uint8Array }[] = [];
  const encode = timed(() => {
    if (core.cut() !== Code.Done) throw new Error("The core is not at rest");
    for (let next = slice(() => core.encodeSome()); next; next = slice(() => core.encodeSome())) {
      if (next !== "more") segments.push(next);
    }
    core.endCut(true);
  });
  const restored = new Core(OPTIONS, systemChance);
  const restore = timed(() => {
    restored.restoreScalars(core.state);
    for (const { segment, bytes } of segments) {
      const slices = restored.restoreInSlices(segment, bytes);
      while (!slice(() => slices.next()).done);
    }
  });
  if (restored.state.items !== core.state.items) throw new Error("Items are missing");
  return { insert, again, encode, restore, longest };
}

function best(a: Times, b: Times): Times {
  const least = (name: keyof Times) => Math.min(a[name], b[name]);
  return {
    insert: least("insert"),
    again: least("again"),
    encode: least("encode"),
    restore: least("restore"),
    longest: least("longest"),
  };
}

const sum = (t: Times) => t.insert + t.again + t.encode + t.restore;
const show = (t: Times) =>
  `insert ${t.insert.toFixed(0)}, again ${t.again.toFixed(0)}, encode ${t.encode.toFixed(0)}, ` +
  `restore ${t.restore.toFixed(0)} ms, longest slice ${t.longest.toFixed(1)} ms`;

warmUp(OPTIONS);
for (const kind of Object.keys(FLOODS) as Flood[]) {
  const batchesOf = (ids: readonly string[]) => [
    ...fillItems(Format.Text, 0, ids.length, 500, (i) => ids[i]!),
  ];
  const ordinary = batchesOf(ORDINARY[kind](ITEMS));
  const flood = batchesOf(FLOODS[kind](ITEMS));
  let [a, b] = [measure(ordinary), measure(flood)];
  for (let round = 1; round < ROUNDS; round++) {
    a = best(a, measure(ordinary));
    b = best(b, measure(flood));
  }
  console.log(`${kind}: ${(sum(b) / sum(a)).toFixed(2)} times ordinary ids, ${ITEMS} items`);
  console.log(`  ordinary ${show(a)}\n  chosen   ${show(b)}`);
}
