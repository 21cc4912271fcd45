// How long does a call of the core keep the event loop, while the table grows? Items are inserted in
// calls of 256, and every call is timed.
//
//   deno task bench:pauses [--items=10000000]

import { commandLine } from "../tools/kit/command_line.ts";
import { Format, systemChance } from "../src/types/mod.ts";
import { Core } from "../src/wasm/mod.ts";
import { benchOptions, foldAgain } from "./fold_again.ts";
import { fillItems } from "./workload.ts";

const values = commandLine("bench:pauses", { items: { type: "string", default: "10000000" } });
const ITEMS = Number(values.items);
const CALL = 256;

const core = new Core(benchOptions(Format.Text, 0), systemChance);
const times: number[] = [];
for (const batch of fillItems(Format.Text, 0, ITEMS, CALL)) {
  const from = performance.now();
  foldAgain(core, batch, { emit: false });
  times.push(performance.now() - from);
}
times.sort((a, b) => a - b);
const at = (share: number) =>
  times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(3);
console.log(
  `${ITEMS} items inserted in calls of ${CALL}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, p99.9 ${
    at(0.999)
  } ms, ` +
    `longest ${at(1)} ms; segments grew ${core.info.growths} times`,
);
