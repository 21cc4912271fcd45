import * as c from "../../wasm/contract.ts";
import type { CoreOptions } from "./core_types.ts";

const DEFAULTS = {
  inputBytes: 128 * 1024,
  resultBytes: 512 * 1024,
  summaryBytes: 128 * 1024,
  batchBytesMax: 65_000,
  copyPagesMax: 4096,
  memoryPagesMax: 65_535,
} as const;

const SECRET_BYTES = 16;

/** Writes the options to the core's configuration area. */
export function writeConfig(v: DataView, at: number, options: CoreOptions): void {
  const o = { ...DEFAULTS, ...options };
  const u32: [number, number][] = [
    [c.CONFIG_INPUT_BYTES, o.inputBytes],
    [c.CONFIG_RESULT_BYTES, o.resultBytes],
    [c.CONFIG_SUMMARY_BYTES, o.summaryBytes],
    [c.CONFIG_BATCH_BYTES_MAX, o.batchBytesMax],
    [c.CONFIG_FORMAT, o.format],
    [c.CONFIG_PARTITIONER, o.partitioner],
    [c.CONFIG_PARTITION, o.partition],
    [c.CONFIG_PARTITIONS, o.partitions],
    [c.CONFIG_EVENT_TIME, o.eventTime ? 1 : 0],
    [c.CONFIG_COPY_PAGES_MAX, o.copyPagesMax],
    [c.CONFIG_MEMORY_PAGES_MAX, o.memoryPagesMax],
    [c.CONFIG_FOLD_VERSION, o.foldVersion ?? c.FOLD_VERSION],
    [c.CONFIG_REMEMBERED_MAX, o.remember?.max ?? 0],
  ];
  for (const [field, value] of u32) v.setUint32(at + field, value, true);
  const i64: [number, number][] = [
    [c.CONFIG_WINDOW_MS, o.windowMs],
    [c.CONFIG_OUT_OF_ORDER_MS, o.outOfOrderMs],
    [c.CONFIG_MAX_AHEAD_MS, o.maxAheadMs],
    [c.CONFIG_ALERT_TOTAL_MIN, o.alertTotalMin],
    [c.CONFIG_REMEMBER_MS, o.remember?.windowMs ?? 0],
  ];
  for (const [field, value] of i64) v.setBigInt64(at + field, BigInt(value), true);
  v.setFloat64(at + c.CONFIG_ALERT_RATE_MIN, o.alertRateMin, true);
  if (!o.remember) return;
  const { secret } = o.remember;
  if (secret?.length !== SECRET_BYTES) {
    throw new RangeError(`A log's secret has ${SECRET_BYTES} bytes, not ${secret?.length}`);
  }
  secret.forEach((byte, i) => v.setUint8(at + c.CONFIG_LOG_SECRET + i, byte));
}
