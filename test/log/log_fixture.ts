import type { Clock, NewRecord } from "../../src/types/mod.ts";
import { decodeBatch, decodeUtf8, encodeBatch, encodeUtf8 } from "../../src/types/mod.ts";
import { type CommittedPosition, EmbeddedLog } from "../../src/log/mod.ts";
import { type Kv, toKv } from "../../src/kv/mod.ts";

export const TOPICS = { transactions: 2, queries: 1, results: 2, summaries: 1 } as const;

/** Longer than any test: such a sleep ends by its signal alone. */
export const FOREVER = 1e9;

/** A clock that never waits for real: sleeping is a turn of the event loop. */
export class TestClock implements Clock {
  time = 1_700_000_000_000;

  now(): number {
    return this.time;
  }

  monotonic(): number {
    return this.time;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms >= FOREVER && signal) {
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
    }
    this.time += ms;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  yield(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, 0));
  }
}

export function openLog(kv: Kv | Deno.Kv, clock: Clock = new TestClock()): Promise<EmbeddedLog> {
  return EmbeddedLog.open("listKeys" in kv ? kv : toKv(kv), {
    topics: TOPICS,
    inputs: ["transactions", "queries"],
    clock,
    chance: () => 0.5,
  });
}

export function records(values: readonly string[], timestamp = 0): NewRecord[] {
  return values.map((value) => ({ timestamp, key: null, value: encodeUtf8(value) }));
}

export function batch(values: readonly string[]): Uint8Array<ArrayBuffer> {
  return encodeBatch(records(values));
}

/** All values of a partition that a reader can see, from its start on; checks that offsets have no gap. */
export async function valuesOf(
  log: EmbeddedLog,
  topic: string,
  partition: number,
): Promise<string[]> {
  const values: string[] = [];
  const { start } = log.bounds(topic, partition);
  let offset = start;
  while (true) {
    const { batches, endOffset } = await log.read(topic, partition, offset, {
      maxBytes: 100_000,
      waitMs: 0,
    });
    for (const record of batches.flatMap((b) => decodeBatch(b))) {
      if (record.offset < offset) continue;
      if (record.offset !== offset++) throw new Error(`gap before ${record.offset}`);
      values.push(decodeUtf8(record.value!)!);
    }
    if (offset >= endOffset) return values;
  }
}

export function position(offset: number, watermark = 0n): CommittedPosition {
  return { offset, watermark, start: 0, parametersHash: "p", secret: null, raisedAt: null };
}
