// The stages of the fold in ns per record: of the core, and of the native loops of bench/native.

import { Format, systemChance } from "../src/types/mod.ts";
import { Core, type FoldOptions } from "../src/wasm/mod.ts";
import { benchOptions, foldAgain } from "./fold_again.ts";
import { fillItems, makeWorkload } from "./workload.ts";

const BATCHES = 400;
const RECORDS = 1000;
const ROUNDS = 12;
const WINDOW_MS = 60_000;

/** A stage, and what it adds to those before, in ns per record. */
export type StageCost = readonly [stage: string, ns: number];

/** The same stages of the core and of the native loop of its layout. */
const STAGES = [
  "walk through the records",
  "parse, find and apply",
  "windows",
  "results and their CRC",
  "CRC of the input",
] as const;

/** Nanoseconds per record: of each batch its best round, so that what else the machine does shows little. */
export function measureBest(
  batches: readonly Uint8Array[],
  fold: (batch: Uint8Array) => void,
): number {
  const best = batches.map(() => Infinity);
  for (let round = 0; round < ROUNDS; round++) {
    batches.forEach((batch, i) => {
      const from = performance.now();
      fold(batch);
      best[i] = Math.min(best[i]!, performance.now() - from);
    });
  }
  return best.reduce((sum, ms) => sum + ms) * 1e6 / (BATCHES * RECORDS);
}

export function loopWorkload(format: Format, items: number): Uint8Array[] {
  return makeWorkload({ format, items, batches: BATCHES, recordsPerBatch: RECORDS });
}

/** Costs of the stages from times in which each is upon those before. */
function costsOf(times: readonly number[]): StageCost[] {
  return STAGES.map((stage, i) => [stage, times[i]! - (times[i - 1] ?? 0)]);
}

export function coreStages(format: Format, items: number): StageCost[] {
  const batches = loopWorkload(format, items);
  const time = (windowMs: number, how: FoldOptions, position = 0n): number => {
    const core = new Core(benchOptions(format, windowMs), systemChance);
    for (const batch of fillItems(format, 0, items, 1000)) foldAgain(core, batch, { emit: false });
    return measureBest(batches, (batch) => {
      foldAgain(core, batch, how, position);
      core.discard();
    });
  };
  const silent = { emit: false, checkCrc: false };
  return costsOf([
    time(0, silent, BigInt(RECORDS)),
    time(0, silent),
    time(WINDOW_MS, silent),
    time(WINDOW_MS, { checkCrc: false }),
    time(WINDOW_MS, {}),
  ]);
}

export interface NativeLoops {
  /** ns per record of an idiomatic program, and of one with the core's own layout and passes. */
  readonly idiomatic: number;
  readonly layout: number;
  /** Stages of the latter. */
  readonly stages: readonly StageCost[];
}

/** Builds and runs the native loops over the same workload; null when cargo is not there. */
export async function runNative(items: number): Promise<NativeLoops | null> {
  const folder = new URL("native/", import.meta.url).pathname;
  const file = await Deno.makeTempFile();
  try {
    const handle = await Deno.open(file, { write: true });
    for (const batch of loopWorkload(Format.Text, items)) {
      for (let at = 0; at < batch.length;) at += await handle.write(batch.subarray(at));
    }
    handle.close();
    const { success, stdout, stderr } = await new Deno.Command("cargo", {
      args: ["run", "--quiet", "--release", "--", file, String(items), String(ROUNDS)],
      cwd: folder,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const [idiomatic, layout, ...times] = new TextDecoder().decode(stdout).trim().split("\n")
      .map(Number);
    return { idiomatic: idiomatic!, layout: layout!, stages: costsOf(times) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  } finally {
    await Deno.remove(file);
  }
}
