import { getLogger } from "@logtape/logtape";
import type { CommittedPosition, TopicOutput } from "../log/mod.ts";
import { DATE_MAX } from "../wasm/mod.ts";
import {
  batchInfo,
  type Codec,
  decodeBatch,
  encodeUtf8,
  InvalidRecordError,
  isIntact,
  type LogRecord,
  type NewRecord,
  Partitioner,
  partitionOf,
  type Query,
  type QueryResult,
  Reason,
  reasonName,
  splitIntoBatches,
} from "../types/mod.ts";
import { DamagedBatchError } from "../log/mod.ts";
import type { Committable, Pending } from "../engine/pending.ts";
import { deadLetterOf, letterBytesMax } from "../engine/dead_letters.ts";
import type { Owners } from "../engine/owners.ts";

const log = getLogger(["stockflow", "job"]);

/** Where the results of queries go; null = not written. */
export interface QueryTopics {
  readonly input: string;
  readonly results: string | null;
  readonly deadLetters: string | null;
  partitionsOf(topic: string): number;
  readonly batchBytesMax: number;
  /** Largest batch of a dead letter alone, if that is another. */
  readonly deadLetterBytesMax?: number;
}

/** What became of a query record: its result, or why it is invalid. */
export type QueryOutcome = QueryResult | InvalidRecordError;

/** Learns what became of query records. */
export type OnAnswers = (partition: number, firstOffset: number, outcomes: QueryOutcome[]) => void;

interface ReadQuery {
  readonly record: LogRecord;
  readonly query: Query | InvalidRecordError;
}

/** Answers the queries of one partition of the query topic. */
export class QueryProcessor implements Committable {
  position: number;
  acknowledged: CommittedPosition;
  #results: { partition: number; record: NewRecord }[] = [];
  #deadLetters: NewRecord[] = [];
  #largestTimestamp = 0;
  pendingBytes = 0;
  answered = 0;
  invalid = new Map<Reason, number>();

  constructor(
    readonly partition: number,
    readonly codec: Codec,
    readonly owners: Owners,
    readonly topics: QueryTopics,
    committed: CommittedPosition,
    readonly onAnswers: OnAnswers,
  ) {
    this.position = committed.offset;
    this.acknowledged = committed;
  }

  /**
   * Answers the queries of a batch from the position on.
   *
   * @throws {LostError} when the signal is aborted while owners are not ready
   * @throws {DamagedBatchError} when its CRC or its records are wrong
   */
  async answer(batch: Uint8Array, signal: AbortSignal): Promise<void> {
    const records = this.#decode(batch).filter((r) => r.offset >= this.position);
    // Behind the batch, whose last records may be gone: a log may hold batches without records.
    const end = batchInfo(batch).lastOffset + 1;
    if (records.length === 0) {
      this.position = Math.max(this.position, end);
      return;
    }
    const read = records.map((record) => ({ record, query: this.#parse(record) }));
    const valid = read.map((r) => r.query).filter((q): q is Query =>
      !(q instanceof InvalidRecordError)
    );
    const stocks = await this.owners.lookUp(valid.map((q) => q.itemId), signal);
    const outcomes = read.map((r) => this.#put(r, stocks));
    this.position = end;
    this.onAnswers(this.partition, records[0]!.offset, outcomes);
  }

  #decode(batch: Uint8Array): LogRecord[] {
    try {
      if (!isIntact(batch)) throw new RangeError("Its CRC is wrong");
      return decodeBatch(batch);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const where = `${this.topics.input}-${this.partition} at offset ${this.position}`;
      throw new DamagedBatchError(
        where,
        `The log is damaged: cannot read the queries of ${where}: ${error.message}`,
        "restore the log from a copy; skipping the batch would leave queries without an answer",
        { cause: error },
      );
    }
  }

  #parse({ value }: LogRecord): Query | InvalidRecordError {
    try {
      if (value === null) throw new InvalidRecordError(Reason.NullValue, "A query has a value");
      return this.codec.parseQueryBytes(withoutReturn(value));
    } catch (error) {
      if (error instanceof InvalidRecordError) return error;
      throw error;
    }
  }

  /** Puts out the result or dead letter of one record; takes its stock from the front of the list. */
  #put({ record, query }: ReadQuery, stocks: (bigint | null)[]): QueryOutcome {
    // A record without timestamp takes the largest before it; one that no date can have counts as none.
    const isNone = record.timestamp < 0 || record.timestamp > DATE_MAX;
    const timestamp = isNone ? this.#largestTimestamp : record.timestamp;
    this.#largestTimestamp = Math.max(this.#largestTimestamp, timestamp);
    const { topics } = this;
    if (query instanceof InvalidRecordError) {
      this.invalid.set(query.reason, (this.invalid.get(query.reason) ?? 0) + 1);
      log.warn("Invalid in {topic}-{partition} at offset {offset}: {reason}", {
        topic: topics.input,
        partition: this.partition,
        offset: record.offset,
        reason: reasonName(query.reason),
      });
      const place = { topic: topics.input, partition: this.partition };
      const about = {
        reason: query.reason,
        offset: BigInt(record.offset),
        timestamp: BigInt(timestamp),
      };
      const letter = deadLetterOf(record, about, place, letterBytesMax(topics));
      this.#deadLetters.push(letter);
      this.pendingBytes += letter.value?.length ?? 0;
      return query;
    }
    const quantity = stocks.shift()!;
    const itemInfo = quantity === null ? null : { itemId: query.itemId, quantity };
    const result: QueryResult = { queryId: query.queryId, itemInfo };
    this.answered++;
    if (topics.results !== null) {
      const key = encodeUtf8(String(query.queryId));
      const value = encodeUtf8(this.codec.formatQueryResult(result));
      const partition = partitionOf(Partitioner.JavaHash, key, topics.partitionsOf(topics.results));
      this.#results.push({ partition, record: { timestamp, key, value } });
      this.pendingBytes += value.length + 64;
    }
    return result;
  }

  take(): Pending | null {
    if (this.position === this.acknowledged.offset) return null;
    const { topics } = this;
    const outputs: TopicOutput[] = [];
    for (const [partition, results] of Map.groupBy(this.#results, (r) => r.partition)) {
      outputs.push({
        topic: topics.results!,
        partition,
        batches: splitIntoBatches(results.map((r) => r.record), topics.batchBytesMax),
      });
    }
    if (topics.deadLetters !== null && this.#deadLetters.length > 0) {
      outputs.push({
        topic: topics.deadLetters,
        partition: this.partition % topics.partitionsOf(topics.deadLetters),
        batches: splitIntoBatches(this.#deadLetters, topics.batchBytesMax),
      });
    }
    this.#results = [];
    this.#deadLetters = [];
    this.pendingBytes = 0;
    return { position: { ...this.acknowledged, offset: this.position }, outputs };
  }

  acknowledge({ position }: Pending): void {
    this.acknowledged = position;
  }
}

const CARRIAGE_RETURN = 13;

/** A line typed on a machine whose lines end in CR LF: a console producer leaves the CR, as the socket does not. */
function withoutReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
