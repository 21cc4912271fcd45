import type { AppendableLog, LogBrowser, LogPage } from "../log/mod.ts";
import { decodeBatch, type LogRecord } from "../types/mod.ts";

/** Bytes that are read of the log at a time, and from which a page is full. */
const READ_BYTES = 256 * 1024;
const PAGE_BYTES = 1024 * 1024;

/** Looks into the embedded log, for people and tools. */
export class LogReader implements LogBrowser {
  constructor(readonly log: AppendableLog) {}

  /** Topics with the bounds of their partitions. */
  topics(): ReturnType<LogBrowser["topics"]> {
    return Promise.resolve(
      [...this.log.topics].map(([topic, partitions]) => ({
        topic,
        partitions: partitions.map(({ start, end }) => ({ start, end })),
      })),
    );
  }

  /**
   * See LogBrowser.
   *
   * @throws {OffsetOutOfRangeError}
   */
  async read(
    topic: string,
    partition: number,
    offset: number | null,
    limit: number,
  ): Promise<LogPage | null> {
    if (this.log.topics.get(topic)?.[partition] === undefined) return null;
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
}

/** The newest records of all partitions of a topic by their timestamps, newest first. */
export async function newestRecords(
  log: LogBrowser,
  topic: string,
  limit: number,
): Promise<LogRecord[]> {
  let newest: LogRecord[] = [];
  const found = (await log.topics()).find((t) => t.topic === topic);
  for (const [partition, { start, end }] of found?.partitions.entries() ?? []) {
    for (let next = Math.max(start, end - limit); next < end;) {
      const page = await log.read(topic, partition, next, limit);
      if (!page || page.records.length === 0) break;
      // A stable sort keeps the order of the log among equal timestamps.
      newest = [...page.records.toReversed(), ...newest]
        .toSorted((a, b) => b.timestamp - a.timestamp)
        .slice(0, limit);
      next = page.next;
    }
  }
  return newest;
}
