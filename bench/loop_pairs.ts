import { cpuUsage } from "node:process";
import { Format, systemChance } from "../src/types/mod.ts";
import type { FoldOptions } from "../src/wasm/mod.ts";
import { describeRatios } from "./pairs.ts";
import { fillItems, makeWorkload } from "./workload.ts";

const BATCHES = 400;
const RECORDS = 1000;

/** Works of the job without their broker, as bench/kafka.ts names them. */
const WORKS: Record<string, { windowMs: number; how: FoldOptions }> = {
  a: { windowMs: 60_000, how: {} },
  b: { windowMs: 0, how: {} },
  c: { windowMs: 0, how: { discardResults: true } },
};

/** A core of a checkout, filled with items; folds the workload once and returns its CPU in ns a record. */
async function loopOf(checkout: string, items: number, work: string): Promise<() => number> {
  const { benchOptions, foldAgain }: typeof import("./fold_again.ts") = await import(
    `${checkout}/bench/fold_again.ts`
  );
  const { Core }: typeof import("../src/wasm/mod.ts") = await import(
    `${checkout}/src/wasm/mod.ts`
  );
  const { windowMs, how } = WORKS[work]!;
  const core = new Core(benchOptions(Format.Text, windowMs), systemChance);
  for (const batch of fillItems(Format.Text, 0, items, 1000)) {
    foldAgain(core, batch, { emit: false });
  }
  const shape = { format: Format.Text, items, batches: BATCHES, recordsPerBatch: RECORDS };
  const batches = makeWorkload(shape);
  return () => {
    const before = cpuUsage();
    for (const batch of batches) foldAgain(core, batch, how);
    core.discard();
    const { user, system } = cpuUsage(before);
    return 1000 * (user + system) / (BATCHES * RECORDS);
  };
}

/** Runs the loop of this checkout and that of another in turn, in one process, and prints the ratios of their CPU. */
export async function compareLoops(against: string, items: number, pairs: number): Promise<void> {
  const own = new URL("..", import.meta.url).pathname;
  for (const work of Object.keys(WORKS)) {
    const loops = [await loopOf(own, items, work), await loopOf(against, items, work)] as const;
    const ratios: number[] = [];
    let best = Infinity;
    for (const loop of [...loops, ...loops]) loop();
    for (let pair = 0; pair < pairs; pair++) {
      // Each is first as often as the other: what the machine does slowly meets both.
      const other = pair % 2 === 0 ? loops[1]() : null;
      const mine = loops[0]();
      best = Math.min(best, mine);
      ratios.push(mine / (other ?? loops[1]()));
    }
    console.log(`${work}: ${best.toFixed(0)} ns/record at best; ${describeRatios(ratios)}`);
  }
}
