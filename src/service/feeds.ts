// What brings records into the topics of a job while it runs.

import { appendable, type Log, StopError } from "../log/mod.ts";
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
import type { FeedTarget, WiredInput, Wiring } from "./streams.ts";

/** Records that are appended at once. */
const APPEND_RECORDS = 1000;
/** Queries that the job brings go to one partition, so that they are answered in their order. */
const QUERY_PARTITION = 0;

export interface FeedsOptions {
  readonly wiring: Pick<Wiring, "transactions" | "queries">;
  readonly transactionLog: Log;
  readonly queryLog: Log;
  readonly codec: Codec;
  readonly owners: Pick<Owners, "partitionOfBytes">;
  readonly clock: Clock;
  readonly chance: Chance;
}

/** How records of a stream are written. */
interface Encoding<T> {
  readonly what: string;
  parseLine(line: Uint8Array): T;
  keyOf(record: T): Uint8Array | null;
  partitionOf(key: Uint8Array | null): number;
  format(record: T): string;
}

/** What runs beside the workers: the feeds of those streams that have one. */
export function feedsOf(options: FeedsOptions): ((stop: AbortSignal) => Promise<void>)[] {
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
  { what, parseLine, keyOf, partitionOf, format }: Encoding<T>,
  { clock, chance }: FeedsOptions,
): ((stop: AbortSignal) => Promise<void>)[] {
  if (!feed) return [];
  const own = appendable(log);
  if (!own) {
    throw new StopError(
      `Records of ${feed.from} cannot be brought into ${topic}: the job does not write to its log`,
      "use a topic that others write to, or another log",
    );
  }
  const target: FeedTarget<T> = {
    what,
    parseLine,
    clock,
    chance,
    async append(records, from, stop) {
      for (let at = 0; at < records.length && !stop.aborted; at += APPEND_RECORDS) {
        const timestamp = clock.now();
        const byPartition = new Map<number, NewRecord[]>();
        for (const record of records.slice(at, at + APPEND_RECORDS)) {
          const key = keyOf(record);
          const made = { timestamp, key, value: encodeUtf8(format(record)) };
          const partition = partitionOf(key);
          const others = byPartition.get(partition);
          if (others) others.push(made);
          else byPartition.set(partition, [made]);
        }
        await Promise.all(
          [...byPartition].map(([partition, some]) =>
            appendOrWait(() => own.append(topic, partition, some), {
              from,
              count: some.length,
              target,
              stop,
            })
          ),
        );
      }
    },
  };
  return [(stop) => feed.run(target, stop)];
}
