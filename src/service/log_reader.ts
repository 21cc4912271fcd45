import type { AppendableLog } from "../log/mod.ts";
import { decodeBatch, type LogRecord } from "../types/mod.ts";

/** Bytes that are read of the log at a time, and from which a page is full. */
const READ_BYTES = 256 * 1024;
const PAGE_BYTES = 1024 * 1024;

/** Some records of a partition. */
export interface LogPage {
  /** First offset held. */
  readonly start: number;
  /** Next offset to be given. */
  readonly end: number;
  /** Offset to go on from. */
  readonly next: number;
  readonly records: readonly LogRecord[];
}

/** Looks into the embedded log, for people and tools. */
export class LogReader {
  constructor(readonly log: AppendableLog) {}

  /** Topics with the bounds of their partitions. */
  topics(): { topic: string; partitions: { start: number; end: number }[] }[] {
    return [...this.log.topics].map(([topic, partitions]) => ({
      topic,
      partitions: partitions.map(({ start, end }) => ({ start, end })),
    }));
  }

  has(topic: string, partition: number): boolean {
    return this.log.topics.get(topic)?.[partition] !== undefined;
  }

  /**
   * Records from an offset on, or from the start; fewer than `limit` when they are large.
   *
   * @throws {OffsetOutOfRangeError}
   */
  async read(
    topic: string,
    partition: number,
    offset: number | null,
    limit: number,
  ): Promise<LogPage> {
    const { start, end } = this.log.bounds(topic, partition);
    const records: LogRecord[] = [];
    let next = offset ?? start;
    let bytes = 0;
    do {
      const options = { maxBytes: READ_BYTES, waitMs: 0 };
      const { batches } = await this.log.read(topic, partition, next, options);
      if (batches.length === 0) break;
      for (const record of batches.flatMap((batch) => decodeBatch(batch))) {
        if (record.offset < next || records.length === limit) continue;
        records.push(record);
        bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
        next = record.offset + 1;
      }
    } while (records.length < limit && bytes < PAGE_BYTES && next < end);
    return { start, end, next, records };
  }

  /** The newest records of all partitions of a topic by their timestamps, newest first. */
  async newest(topic: string, limit: number): Promise<LogRecord[]> {
    let newest: LogRecord[] = [];
    for (const { partition } of this.log.topics.get(topic) ?? []) {
      const { start, end } = this.log.bounds(topic, partition);
      for (let next = Math.max(start, end - limit); next < end;) {
        const page = await this.read(topic, partition, next, limit);
        if (page.records.length === 0) break;
        // A stable sort keeps the order of the log among equal timestamps.
        newest = [...page.records.toReversed(), ...newest]
          .toSorted((a, b) => b.timestamp - a.timestamp)
          .slice(0, limit);
        next = page.next;
      }
    }
    return newest;
  }
}
