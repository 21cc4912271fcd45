import type { LogOpener, OffsetReset } from "../log/mod.ts";
import { ParameterError } from "../parameters/errors.ts";
import { TOPIC, TOPIC_ALLOWED } from "../parameters/parameter_kinds.ts";
import type {
  Chance,
  Clock,
  ItemTransaction,
  Query,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "../types/mod.ts";

/** Where the topics of a job are. */
export type LogKind = "embedded" | "kafka";

/** Where a feed brings its records. */
export interface FeedTarget<T> {
  /**
   * Resolves when the records are durable. While the log does not take them it waits, and reports that; what is not
   * known to be written is written again.
   *
   * @param from what brings them, for messages
   */
  append(records: readonly T[], from: string, stop: AbortSignal): Promise<void>;
  /**
   * Reads a record of text.
   *
   * @throws {InvalidRecordError}
   */
  parseLine(line: Uint8Array): T;
  /** What a record is called, for messages. */
  readonly what: string;
  readonly clock: Clock;
  readonly chance: Chance;
}

/** What brings records into a topic while the job runs. */
export interface Feed<T> {
  /** Where they come from, such as host:port, for people. */
  readonly from: string;
  /** What its user may type to try it. */
  readonly hint?: string;
  /** Runs until it has no more records, or the signal is aborted; an error stops the job. */
  run(target: FeedTarget<T>, stop: AbortSignal): Promise<void>;
}

/** A stream of records that a job reads: a topic of its log. T says what its records are. */
export interface InputStream<T> {
  /** Left away: transactions or queries, by what it is read as. */
  readonly topic?: string;
  /** Brings records into the topic while the job runs, if it is the job that does. */
  readonly feed?: Feed<T>;
  /** Its records are computed; see generated. */
  readonly generated?: true;
  /** A log of its own instead of the job's, which tests bring. */
  readonly opener?: LogOpener;
  /** Never set: makes streams of different records different types. */
  readonly records?: T;
}

/** An input whose topic is known. */
export type WiredInput<T> = InputStream<T> & { readonly topic: string };

/** A sink that is a topic of the job's log: its records are part of the commits, so they are there exactly once. */
export interface TopicSink {
  readonly kind: "topic";
  readonly topic: string;
}

const TOPIC_NAME = new RegExp(TOPIC);

/**
 * A topic of the job's log: as a source, for records that others bring (posted over HTTP, or written by any client of
 * Kafka); as a sink, with its records in it exactly once.
 *
 * @throws {RangeError} when it cannot be a topic's name
 */
export function topic(name: string): TopicSink & InputStream<never> {
  if (!TOPIC_NAME.test(name)) {
    throw new RangeError(`${TOPIC_ALLOWED} is expected, not ${JSON.stringify(name)}`);
  }
  return { kind: "topic", topic: name };
}

/** Where the values of one call of a sink in the process stand in its topic. */
export interface Delivery {
  readonly partition: number;
  /** Of the first value; the others follow without a gap. */
  readonly offset: number;
  /** Aborted when the job no longer waits for the call. */
  readonly signal: AbortSignal;
}

/**
 * A sink in this process: a consumer of the stream's topic with a committed offset of its own. It is given what was
 * committed, at least once, in the order of each partition, one call of a partition at a time. A call that fails is
 * made again with the same values.
 */
export interface ProcessSink<T> {
  readonly kind: "process";
  /** Under which its offset is kept; by default the name of the stream, and its number if there are several. */
  readonly name?: string;
  /** Where it begins when no offset of it was ever committed. */
  readonly offsetReset?: OffsetReset;
  accept(values: readonly T[], at: Delivery): void | Promise<void>;
}

export type Sink<T> = TopicSink | ProcessSink<T>;

export interface ForEachOptions {
  /** Letters, digits, `.`, `_` and `-`; another name begins anew. */
  readonly name?: string;
  /** By default earliest: with the first record that the topic holds. */
  readonly offsetReset?: OffsetReset;
}

/** A sink that calls a function with what was committed; see ProcessSink. */
export function forEach<T>(
  accept: (values: readonly T[], at: Delivery) => void | Promise<void>,
  options: ForEachOptions = {},
): ProcessSink<T> {
  return { kind: "process", accept, ...options };
}

/** A process sink with everything that is left away filled in. */
export interface NamedSink<T> extends ProcessSink<T> {
  readonly name: string;
  readonly offsetReset: OffsetReset;
}

const SINK_NAME = /^[A-Za-z0-9._-]{1,100}$/;

/** A stream of records that a job puts out. */
export class OutputStream<T> {
  readonly sinks: Sink<T>[] = [];

  /**
   * @param name of the stream, such as transaction-results
   * @param internal what the name of a topic begins with that is for its sinks alone
   */
  constructor(readonly name: string, readonly internal = "internal-") {}

  /** Adds a sink. A stream may have one topic and any number of sinks in the process. */
  addSink(sink: Sink<T>): this {
    if (sink.kind === "topic" && this.topic !== null) {
      throw new Error(`The stream goes to topic ${this.topic} already: ${sink.topic}`);
    }
    if (sink.kind === "process" && sink.name !== undefined && !SINK_NAME.test(sink.name)) {
      throw new RangeError(
        `The name of a sink has 1 to 100 characters of A-Z, a-z, 0-9 and ._-, not ${
          JSON.stringify(sink.name)
        }`,
      );
    }
    this.sinks.push(sink);
    return this;
  }

  /** The topic that the stream was given, if any. */
  get topic(): string | null {
    for (const sink of this.sinks) if (sink.kind === "topic") return sink.topic;
    return null;
  }

  /** Its sinks in the process. */
  get processSinks(): NamedSink<T>[] {
    return this.sinks.filter((sink) => sink.kind === "process").map((sink, n) => ({
      kind: sink.kind,
      name: sink.name ?? (n === 0 ? this.name : `${this.name}-${n + 1}`),
      offsetReset: sink.offsetReset ?? "earliest",
      accept: (values, at) => sink.accept(values, at),
    }));
  }

  /** Where its records go: to the topic that it was given, or to an internal one for its sinks; null = nowhere. */
  get writtenTopic(): string | null {
    if (this.topic !== null) return this.topic;
    return this.processSinks.length > 0 ? this.internal + this.name : null;
  }
}

/** Everything that a job reads and writes, as its methods wired it. */
export interface Wiring {
  readonly log: LogKind;
  readonly transactions: WiredInput<ItemTransaction>;
  readonly queries: WiredInput<Query>;
  readonly results: OutputStream<TransactionResult>;
  readonly queryResults: OutputStream<QueryResult>;
  readonly summaries: OutputStream<TransactionSummary>;
  /** Topic for invalid records; null = they are counted and logged. */
  readonly deadLetterTopic: string | null;
}

/** Topics of a job by their roles; null = not used. */
export interface WiredTopics {
  readonly transactions: string;
  readonly queries: string;
  readonly results: string | null;
  readonly queryResults: string | null;
  readonly summaries: string | null;
  readonly deadLetters: string | null;
}

export function topicsOf(wiring: Wiring): WiredTopics {
  return {
    transactions: wiring.transactions.topic,
    queries: wiring.queries.topic,
    results: wiring.results.writtenTopic,
    queryResults: wiring.queryResults.writtenTopic,
    summaries: wiring.summaries.writtenTopic,
    deadLetters: wiring.deadLetterTopic,
  };
}

/**
 * Checks that each role has a topic of its own.
 *
 * @param nameOf how the topic of a role is given
 * @throws {ParameterError} when one is given twice
 */
export function checkDifferent(
  topics: WiredTopics,
  nameOf: (role: keyof WiredTopics) => string = (role) => role,
): void {
  const roles = (Object.keys(topics) as (keyof WiredTopics)[]).filter((role) => topics[role]);
  for (const [topic, same] of Map.groupBy(roles, (role) => topics[role])) {
    if (same.length < 2) continue;
    const given = same.map(nameOf).join(" and as ");
    throw new ParameterError(`Topic ${topic} is given as ${given}; each needs a topic of its own`);
  }
}
