import { KV_VALUE_BYTES_MAX } from "../kv/mod.ts";
import type { PartitionerName } from "../types/mod.ts";
import type {
  AheadWriter,
  BatchLimits,
  ClaimedPartition,
  Commit,
  CommitOutcome,
  Log,
  LogSession,
  Producer,
  ReadAnswer,
  ReadOptions,
  RestoredFrom,
  StandBy,
} from "./port.ts";
import type { ThreadedLog } from "./threaded_log.ts";

const LIMITS: BatchLimits = {
  batchBytesMax: KV_VALUE_BYTES_MAX,
  deadLetterBytesMax: KV_VALUE_BYTES_MAX,
};

/** A log that has nothing of what only some have; those override what they do have. */
export abstract class PlainLog implements Log {
  abstract readonly id: string;
  abstract partitionsOf(topic: string): number;
  abstract claim(
    input: string,
    partitions?: readonly number[],
    signal?: AbortSignal,
    worker?: number,
  ): Promise<LogSession>;

  get restoredFrom(): RestoredFrom | null {
    return null;
  }

  get topicId(): string | null {
    return null;
  }

  get limits(): BatchLimits {
    return LIMITS;
  }

  get partitioner(): PartitionerName | null {
    return null;
  }

  get idempotencyWindowMs(): number | null {
    return null;
  }

  get reportsThroughput(): boolean {
    return false;
  }

  get threads(): ThreadedLog | null {
    return null;
  }

  get isAvailable(): boolean {
    return true;
  }

  get isClaimed(): boolean {
    return true;
  }

  get standsBy(): StandBy | null {
    return null;
  }
}

const NONE: ReadonlyMap<number, string> = new Map();

/** A session of such a log. */
export abstract class PlainSession implements LogSession {
  abstract readonly input: string;
  abstract readonly partitions: readonly ClaimedPartition[];
  readonly #ending = new AbortController();

  get offline(): ReadonlyMap<number, string> {
    return NONE;
  }

  abstract add(
    partitions: readonly number[],
    signal?: AbortSignal,
  ): Promise<readonly ClaimedPartition[]>;
  abstract remove(partitions: readonly number[]): void;
  abstract read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer>;
  abstract commit(commit: Commit, signal?: AbortSignal): Promise<CommitOutcome>;

  get ahead(): AheadWriter | null {
    return null;
  }

  get producer(): Producer | null {
    return null;
  }

  nextSequence(_topic: string, _partition: number): Promise<number> {
    return Promise.resolve(0);
  }

  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  endOf(_partition: number): number | null {
    return null;
  }

  close(): void {}
}
