import { cpuUsage } from "node:process";
import { Format, systemChance } from "../src/types/mod.ts";
import type { FoldOptions } from "../src/wasm/mod.ts";
import { describeRatios } from "./pairs.ts";
import { fillItems, type IdOf, makeWorkload } from "./workload.ts";

const BATCHES = 400;
const RECORDS = 1000;

/** Works of the job without their broker, as bench/kafka.ts names them. */
const WORKS: Record<string, { windowMs: number; how: FoldOptions }> = {
  a: { windowMs: 60_000, how: {} },
  b: { windowMs: 0, how: {} },
  c: { windowMs: 0, how: { discardResults: true } },
};

interface Loop {
  /** Folds the workload once; ns of CPU a record. */
  round(): number;
  /** ns a record, of each batch in its best round: what else the machine does shows little. */
  best(): number;
}

/** A core of a checkout, filled with items. */
async function loopOf(
  checkout: string,
  items: number,
  work: string,
  idOf: IdOf,
): Promise<Loop> {
  const { benchOptions, foldAgain }: typeof import("./fold_again.ts") = await import(
    `${checkout}/bench/fold_again.ts`
  );
  const { Core }: typeof import("../src/wasm/mod.ts") = await import(
    `${checkout}/src/wasm/mod.ts`
  );
  const { windowMs, how } = WORKS[work]!;
  const core = new Core(benchOptions(Format.Text, windowMs), systemChance);
  for (const batch of fillItems(Format.Text, 0, items, 1000, idOf)) {
    foldAgain(core, batch, { emit: false });
  }
  const shape = { format: Format.Text, items, batches: BATCHES, recordsPerBatch: RECORDS, idOf };
  const batches = makeWorkload(shape);
  const best = batches.map(() => Infinity);
  return {
    round: () => {
      const before = cpuUsage();
      batches.forEach((batch, i) => {
        const from = performance.now();
        foldAgain(core, batch, how);
        best[i] = Math.min(best[i]!, performance.now() - from);
      });
      core.discard();
      const { user, system } = cpuUsage(before);
      return 1000 * (user + system) / (BATCHES * RECORDS);
    },
    best: () => best.reduce((sum, ms) => sum + ms) * 1e6 / (BATCHES * RECORDS),
  };
}

/** Runs the loop of this checkout and that of another in turn, in one process, and prints the ratios of their CPU. */
export async function compareLoops(
  against: string,
  items: number,
  pairs: number,
  idOf: IdOf,
): Promise<void> {
  const here = new URL("..", import.meta.url).pathname;
  for (const work of Object.keys(WORKS)) {
    const loops = [
      await loopOf(here, items, work, idOf),
      await loopOf(against, items, work, idOf),
    ] as const;
    const ratios: number[] = [];
    for (const loop of [...loops, ...loops]) loop.round();
    for (let pair = 0; pair < pairs; pair++) {
      // Each is first as often as the other: what the machine does slowly meets both.
      const other = pair % 2 === 0 ? loops[1].round() : null;
      const mine = loops[0].round();
      ratios.push(mine / (other ?? loops[1].round()));
    }
    const [own, other] = loops.map((loop) => loop.best()) as [number, number];
    console.log(
      `${work}: each batch at its best ${own.toFixed(0)} and ${other.toFixed(0)} ns/record, ` +
        `${(own / other).toFixed(3)}; ${describeRatios(ratios)}`,
    );
  }
}
