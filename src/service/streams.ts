import type { CommittedPosition, Log, Restoration, RestoredFrom } from "../log/mod.ts";
import type { PartitionerName } from "../state/mod.ts";
import type { Disk } from "./disk.ts";
import type { ThreadedLog } from "../log/threaded_log.ts";
import type {
  ItemTransaction,
  Query,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "../types/mod.ts";

/** Something that brings a log when the job starts, and closes it when the job has ended. */
export interface LogSource<L extends Log = Log> {
  /**
   * @param restoration creates the log at the positions of a savepoint; its `restoredFrom` tells that
   * @throws {StopError} when it cannot be opened, or is to be created and is there already
   */
  open(job: LogUser, restoration?: Restoration): Promise<L>;
  /**
   * Before open: what a log that is there already was created from; null = there is none, or it cannot be created
   * from a savepoint.
   */
  existing?(): Promise<{ readonly restoredFrom: RestoredFrom | null } | null>;
  /** Before open: moves the log away; answers where it is now. */
  moveAway?(): Promise<string>;
  close(): Promise<void>;
  /** After open: how worker threads open the log by themselves; without it they call this thread. */
  readonly threads?: ThreadedLog | undefined;
  /** Whether the job is to tell how fast it folds: its records come from elsewhere. */
  readonly tellsThroughput?: boolean;
  /** After open: largest batch that the log takes; without it, what a value of Deno KV holds. */
  readonly batchBytesMax?: number;
  /** After open: which partitioner its records show, if transaction.partitioner=auto left that open. */
  readonly partitioner?: PartitionerName | undefined;
  /** Largest batch of a dead letter alone, if that is another. */
  readonly deadLetterBytesMax?: number;
}

/** What a log may ask of the job that opens it. */
export interface LogUser {
  /** Whether the job has a checkpoint. */
  hasCheckpoints(): Promise<boolean>;
  /** The disk of log.kv, for a log that is kept there. */
  readonly logDisk?: Disk;
  /** Where the newest checkpoints of a log stand, by partition. */
  newestCheckpoints(
    logId: string,
    topicId: string | null,
  ): Promise<ReadonlyMap<number, CommittedPosition>>;
  /** Which partitioner the checkpoints of a log were made with; null if there are none. */
  partitionerOf?(logId: string): Promise<PartitionerName | null>;
}

/** A stream of records that a job reads: a topic of a log. T tells what its records are. */
export interface InputStream<T, L extends Log = Log> {
  readonly source: LogSource<L>;
  readonly topic: string;
  /** Brings records into the topic while the job runs, if it is the job that does; ends by the signal. */
  feed?(log: L, stop: AbortSignal): Promise<void>;
  /** Never set: makes streams of different records different types. */
  readonly records?: T;
}

/** A sink that is a topic of the log which the stream's input comes from: its records are part of the commits. */
export interface TopicSink {
  readonly kind: "topic";
  readonly topic: string;
}

/** A sink inside the process: it is given what was committed. */
export interface CallbackSink<T> {
  readonly kind: "callback";
  accept(values: readonly T[]): void;
  /** Resolves when it may be given more, or the signal is aborted; without it, it always may. */
  room?(signal: AbortSignal): Promise<void>;
}

export type Sink<T> = TopicSink | CallbackSink<T>;

/** A stream of records that a job puts out. */
export class OutputStream<T> {
  readonly sinks: Sink<T>[] = [];

  /** Resolves when every sink may be given more, or the signal is aborted. */
  async room(signal: AbortSignal): Promise<void> {
    for (const sink of this.sinks) if (sink.kind === "callback") await sink.room?.(signal);
  }

  /** Adds a sink. A stream may have one topic and any number of callbacks. */
  addSink(sink: Sink<T>): this {
    if (sink.kind === "topic" && this.topic !== null) {
      throw new Error(`The stream goes to topic ${this.topic} already: ${sink.topic}`);
    }
    this.sinks.push(sink);
    return this;
  }

  /** The topic that the stream goes to, if any. */
  get topic(): string | null {
    for (const sink of this.sinks) if (sink.kind === "topic") return sink.topic;
    return null;
  }

  /** Gives values to the callbacks. */
  deliver(values: readonly T[]): void {
    for (const sink of this.sinks) if (sink.kind === "callback") sink.accept(values);
  }

  /** Whether anyone wants the values themselves. */
  get hasCallbacks(): boolean {
    return this.sinks.some((sink) => sink.kind === "callback");
  }
}

/** Everything that a job reads and writes, as its methods wired it. */
export interface Wiring {
  readonly transactions: InputStream<ItemTransaction>;
  readonly queries: InputStream<Query>;
  readonly results: OutputStream<TransactionResult>;
  readonly queryResults: OutputStream<QueryResult>;
  readonly summaries: OutputStream<TransactionSummary>;
  /** Topic for invalid records; null = they are counted and logged. */
  readonly deadLetterTopic: string | null;
}
