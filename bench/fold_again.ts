import { Format, Partitioner } from "../src/types/mod.ts";
import { Code, Core, type CoreOptions, type FoldOptions } from "../src/wasm/mod.ts";

/** Options of a benchmark's core: one partition, event time. */
export function benchOptions(format: Format, windowMs: number): CoreOptions {
  return {
    format,
    partitioner: Partitioner.None,
    partition: 0,
    partitions: 1,
    windowMs,
    eventTime: true,
    outOfOrderMs: 60_000,
    maxAheadMs: 86_400_000,
    alertTotalMin: 100,
    alertRateMin: 0.5,
    batchBytesMax: 1_000_000,
  };
}

/** Folds a batch from an offset on, whatever was folded before. */
export function foldAgain(core: Core, batch: Uint8Array, how: FoldOptions, position = 0n): void {
  core.position = position;
  const refused = core.begin(batch, how);
  if (refused < 0) throw new Error(Code[refused]);
  for (let code = core.run(); code !== Code.Done; code = core.run()) {
    if (code < 0) throw new Error(Code[code]);
    if (code === Code.WindowsDue) { while (core.fire(false) !== Code.Done); }
    core.discard();
  }
}
