import { type FoldParameters, foldParametersOf, PARTITIONERS } from "../state/mod.ts";
import type { CoreOptions } from "../wasm/mod.ts";
import type { Log } from "../log/mod.ts";
import { formatOf, type Parameters, partitionerNameOf } from "../parameters/parameters.ts";

/** More than a block of records may put out at once. */
const OUTPUT_ROOM_BYTES = 128 * 1024;

/** Areas of a core that hold an open batch of the largest size, and room for a block of records behind it. */
export function areasOf(batchBytesMax: number) {
  return {
    batchBytesMax,
    resultBytes: 2 * batchBytesMax + OUTPUT_ROOM_BYTES,
    summaryBytes: batchBytesMax + OUTPUT_ROOM_BYTES,
  };
}

/** Parameters as they count with a log: what they leave to it is what it was created with. */
export function parametersWith(log: Log, params: Parameters): Parameters {
  const window = params.get("idempotency.window.ms");
  return params.with({
    "transaction.partitioner": log.partitioner ?? partitionerNameOf(params),
    "idempotency.window.ms": String(window === "auto" ? log.idempotencyWindowMs ?? 0 : window),
  });
}

/** What the state depends on, of a job with these parameters. */
export function foldParametersFor(params: Parameters, partitions: number): FoldParameters {
  return foldParametersOf(coreOptionsFor(params, partitions));
}

/** Options of a core; the partition is replaced by whoever folds it. */
export function coreOptionsFor(params: Parameters, partitions: number): CoreOptions {
  const window = params.get("idempotency.window.ms");
  const rememberMs = window === "auto" ? 0 : window;
  return {
    format: formatOf(params),
    partitioner: PARTITIONERS[partitionerNameOf(params)],
    partition: 0,
    partitions,
    windowMs: params.get("enable.summaries") ? 60_000 * params.get("time.intervals.in.minutes") : 0,
    eventTime: params.get("event.time"),
    outOfOrderMs: params.get("watermark.out.of.orderness.ms"),
    maxAheadMs: params.get("event.time.max.ahead.ms"),
    alertTotalMin: params.get("transaction.num.min"),
    alertRateMin: params.get("transaction.failure.rate.min"),
    remember: rememberMs > 0
      ? { windowMs: rememberMs, max: params.get("idempotency.transactions.max"), secret: null }
      : undefined,
  };
}
