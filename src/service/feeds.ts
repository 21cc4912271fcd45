// What brings records into the topics of a job while it runs.

import { appendable, isRunHere, type Log, sharingOf, StopError } from "../log/mod.ts";
import {
  type Chance,
  type Clock,
  type Codec,
  encodeUtf8,
  type ItemTransaction,
  type NewRecord,
  parseQueryTextBytes,
  parseTransactionTextBytes,
  type Query,
} from "../types/mod.ts";
import type { Owners } from "../engine/owners.ts";
import { appendOrWait } from "./sources/append.ts";
import type { Parameters } from "../parameters/mod.ts";
import type { WiredInput, Wiring } from "./streams.ts";

/** Records that are appended at once. */
const APPEND_RECORDS = 1000;
/** Queries that the job brings go to one partition, so that they are answered in their order. */
const QUERY_PARTITION = 0;
/** How often a process that stands by looks whether it has become the active one. */
const ACTIVE_LOOK_MS = 250;

/** What writes records into topics of a job's log. */
export interface RecordWriter {
  /** Resolves when the records are durable. An append that failed is repeated with the same array. */
  append(topic: string, partition: number, records: readonly NewRecord[]): Promise<unknown>;
  close(): Promise<void>;
}

/** What runs beside the workers. */
type Companion = (stop: AbortSignal) => Promise<void>;

export interface FeedsOptions {
  readonly wiring: Pick<Wiring, "transactions" | "queries">;
  readonly transactionLog: Log;
  readonly queryLog: Log;
  readonly codec: Codec;
  readonly owners: Pick<Owners, "partitionOfBytes">;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly params: Parameters;
  /** See Surroundings.feedWriter. */
  readonly feedWriter: ((params: Parameters) => Promise<RecordWriter>) | null;
}

/** How records of a stream are written. */
interface Encoding<T> {
  readonly what: string;
  parseLine(line: Uint8Array): T;
  keyOf(record: T): Uint8Array | null;
  partitionOf(key: Uint8Array | null): number;
  format(record: T): string;
}

/** The feeds of those streams that have one. */
export function feedsOf(options: FeedsOptions): Companion[] {
  const { wiring: { transactions, queries }, codec, owners } = options;
  const ofTransactions: Encoding<ItemTransaction> = {
    what: "transaction",
    parseLine: parseTransactionTextBytes,
    keyOf: ({ itemId }) => encodeUtf8(itemId),
    partitionOf: (key) => owners.partitionOfBytes(key!),
    format: (transaction) => codec.formatTransaction(transaction),
  };
  const ofQueries: Encoding<Query> = {
    what: "query",
    parseLine: parseQueryTextBytes,
    keyOf: () => null,
    partitionOf: () => QUERY_PARTITION,
    format: (query) => codec.formatQuery(query),
  };
  return [
    ...feedOf(transactions, options.transactionLog, ofTransactions, options),
    ...feedOf(queries, options.queryLog, ofQueries, options),
  ];
}

function feedOf<T>(
  { feed, topic }: WiredInput<T>,
  log: Log,
  encoding: Encoding<T>,
  { clock, chance, params, feedWriter }: FeedsOptions,
): Companion[] {
  if (!feed) return [];
  const embedded = appendable(log);
  if (!embedded && !feedWriter) {
    throw new StopError(
      `Records of ${feed.from} cannot be brought into ${topic}: the job does not write to its log`,
      "use a topic that others write to, or another log",
    );
  }
  return [async (stop) => {
    await untilActive(log, clock, stop);
    if (stop.aborted) return;
    const writer = embedded ? null : await feedWriter!(params);
    const append = (partition: number, records: readonly NewRecord[]) =>
      embedded
        ? embedded.append(topic, partition, records)
        : writer!.append(topic, partition, records);
    const { what, parseLine } = encoding;
    try {
      await feed.run({
        what,
        parseLine,
        clock,
        chance,
        async append(records, from, stop) {
          for (let at = 0; at < records.length && !stop.aborted; at += APPEND_RECORDS) {
            await untilActive(log, clock, stop);
            const parts = partsOf(records.slice(at, at + APPEND_RECORDS), encoding, clock.now());
            const about = { from, target: { clock, chance }, stop };
            await Promise.all(
              [...parts].map(([partition, some]) =>
                appendOrWait(() => append(partition, some), { ...about, count: some.length })
              ),
            );
          }
        },
      }, stop);
    } finally {
      await writer?.close();
    }
  }];
}

/** Records as they are appended, by partition. */
function partsOf<T>(
  records: readonly T[],
  { keyOf, partitionOf, format }: Encoding<T>,
  timestamp: number,
): Map<number, NewRecord[]> {
  const parts = new Map<number, NewRecord[]>();
  for (const record of records) {
    const key = keyOf(record);
    const made = { timestamp, key, value: encodeUtf8(format(record)) };
    const partition = partitionOf(key);
    const others = parts.get(partition);
    if (others) others.push(made);
    else parts.set(partition, [made]);
  }
  return parts;
}

/** Of the processes of a group one brings records: the active one, or that which runs sources where all are active. */
async function untilActive(log: Log, clock: Clock, stop: AbortSignal): Promise<void> {
  const sharing = sharingOf(log);
  const isHere = () =>
    log.isAvailable && log.standsBy === null && (sharing === null || isRunHere(sharing));
  while (!isHere() && !stop.aborted) await clock.sleep(ACTIVE_LOOK_MS, stop);
}
