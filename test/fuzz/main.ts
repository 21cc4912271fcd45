// deno task fuzz [--batches=10000000] [--seed=N]   exits 1 if a promise was broken

import { commandLine } from "../../tools/kit/command_line.ts";
import { newSeed } from "../../tools/kit/random.ts";
import { fuzz, Tally } from "./fuzz.ts";

const PROGRESS_MS = 10_000;

const values = commandLine("fuzz", {
  batches: { type: "string", default: "1000000" },
  seed: { type: "string" },
});
const seed = Number(values.seed ?? newSeed());
const batches = Number(values.batches);
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(batches) || batches < 1) {
  console.error("--batches and --seed are positive integers");
  Deno.exit(2);
}
console.log(`seed ${seed}`);
const tally = new Tally();
const started = performance.now();
let printed = started;
fuzz({
  seed,
  batches,
  tally,
  log: (line) => console.log(line),
  onProgress: () => {
    if (performance.now() - printed < PROGRESS_MS) return;
    printed = performance.now();
    const rate = tally.batches / ((printed - started) / 1000);
    const left = Math.ceil((batches - tally.batches) / rate);
    console.error(
      `${tally.batches} of ${batches} batches, ${rate.toFixed(0)} a second, ${left} s left`,
    );
  },
});
for (const [name, map] of [["batches", tally.codes], ["records", tally.outcomes]] as const) {
  console.log(`${name}:`);
  for (const [kind, n] of [...map].toSorted((a, b) => b[1] - a[1])) {
    console.log(`  ${kind.padEnd(32)} ${n}`);
  }
}
const seconds = (performance.now() - started) / 1000;
console.log(
  `${tally.comparedWithModel} batches compared with the model, ${tally.comparedWithTwin} with a twin; ` +
    `${(tally.batches / seconds * 60 / 1e6).toFixed(2)} M a minute`,
);
console.log(tally.verdict());
Deno.exit(tally.good ? 0 : 1);
