// Logs and sessions over other ones: all that is not overridden is what lies beneath.

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

/** A log over another one. Its capabilities are not passed on: what they do would go past the log above. */
export class ForwardingLog implements Log {
  constructor(readonly beneath: Log) {}

  get id(): string {
    return this.beneath.id;
  }

  get restoredFrom(): RestoredFrom | null {
    return this.beneath.restoredFrom;
  }

  get topicId(): string | null {
    return this.beneath.topicId;
  }

  get limits(): BatchLimits {
    return this.beneath.limits;
  }

  get partitioner(): PartitionerName | null {
    return this.beneath.partitioner;
  }

  get idempotencyWindowMs(): number | null {
    return this.beneath.idempotencyWindowMs;
  }

  get reportsThroughput(): boolean {
    return this.beneath.reportsThroughput;
  }

  get threads(): ThreadedLog | null {
    return this.beneath.threads;
  }

  get isAvailable(): boolean {
    return this.beneath.isAvailable;
  }

  get isClaimed(): boolean {
    return this.beneath.isClaimed;
  }

  get standsBy(): StandBy | null {
    return this.beneath.standsBy;
  }

  partitionsOf(topic: string): number {
    return this.beneath.partitionsOf(topic);
  }

  claim(
    input: string,
    partitions?: readonly number[],
    signal?: AbortSignal,
    worker?: number,
  ): Promise<LogSession> {
    return this.beneath.claim(input, partitions, signal, worker);
  }
}

/** A session over another one. */
export class ForwardingSession implements LogSession {
  constructor(readonly beneath: LogSession) {}

  get input(): string {
    return this.beneath.input;
  }

  get partitions(): readonly ClaimedPartition[] {
    return this.beneath.partitions;
  }

  get offline(): ReadonlyMap<number, string> {
    return this.beneath.offline;
  }

  get ahead(): AheadWriter | null {
    return this.beneath.ahead;
  }

  get producer(): Producer | null {
    return this.beneath.producer;
  }

  get ending(): AbortSignal {
    return this.beneath.ending;
  }

  add(
    partitions: readonly number[],
    signal?: AbortSignal,
  ): Promise<readonly ClaimedPartition[]> {
    return this.beneath.add(partitions, signal);
  }

  remove(partitions: readonly number[]): void {
    this.beneath.remove(partitions);
  }

  nextSequence(topic: string, partition: number): Promise<number> {
    return this.beneath.nextSequence(topic, partition);
  }

  read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer> {
    return this.beneath.read(partition, offset, options);
  }

  commit(commit: Commit, signal?: AbortSignal): Promise<CommitOutcome> {
    return this.beneath.commit(commit, signal);
  }

  endOf(partition: number): number | null {
    return this.beneath.endOf(partition);
  }

  close(): void {
    this.beneath.close();
  }
}
