// The log as a worker thread sees it: claims, reads and commits are calls to the control plane.

import {
  type ClaimedPartition,
  type Commit,
  type CommitOutcome,
  type GeneratorFacts,
  type Log,
  type LogSession,
  ofTopic,
  PlainLog,
  PlainSession,
  type ReadAnswer,
  type ReadOptions,
  type RestoredFrom,
} from "../../log/mod.ts";
import type { Method } from "../../log/threaded_log.ts";
import { type Rpc, Transferred } from "./rpc.ts";

/** To move a buffer costs as much as to copy so many bytes. */
const COPIED_BYTES_MAX = 2048;

/** Identity and partitions of a log, as a thread is told them. */
export interface LogFacts {
  readonly id: string;
  readonly restoredFrom: RestoredFrom | null;
  readonly partitions: Readonly<Record<string, number>>;
  /** The transactions are generated in the thread; null = they come from the log. */
  readonly generator: GeneratorFacts | null;
}

/** A log on the other side of a channel. */
export class RemoteLog extends PlainLog {
  constructor(readonly rpc: Rpc, readonly facts: LogFacts) {
    super();
  }

  override get id(): string {
    return this.facts.id;
  }

  override get restoredFrom(): RestoredFrom | null {
    return this.facts.restoredFrom;
  }

  partitionsOf(topic: string): number {
    return ofTopic(this.facts.partitions[topic], topic);
  }

  async claim(
    input: string,
    partitions?: readonly number[],
    signal?: AbortSignal,
  ): Promise<LogSession> {
    const options = signal ? { signal } : {};
    const claimed = await this.rpc.call<ClaimedSession>("claim", [input, partitions], options);
    return new RemoteSession(this.rpc, input, claimed);
  }
}

interface ClaimedSession {
  readonly session: number;
  readonly partitions: readonly ClaimedPartition[];
}

class RemoteSession extends PlainSession {
  override readonly partitions: readonly ClaimedPartition[];

  constructor(
    readonly rpc: Rpc,
    override readonly input: string,
    readonly claimed: ClaimedSession,
  ) {
    super();
    this.partitions = claimed.partitions;
  }

  add(
    partitions: readonly number[],
    signal?: AbortSignal,
  ): Promise<readonly ClaimedPartition[]> {
    return this.rpc.call("add", [this.claimed.session, partitions], signal ? { signal } : {});
  }

  remove(partitions: readonly number[]): void {
    this.rpc.notify("remove", [this.claimed.session, partitions]);
  }

  read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer> {
    const { signal, ...rest } = options;
    const args = [this.claimed.session, partition, offset, rest];
    return this.rpc.call("read", args, signal ? { signal } : {});
  }

  commit(commit: Commit, signal?: AbortSignal): Promise<CommitOutcome> {
    const batches = commit.outputs.flatMap((o) => o.batches);
    const transfer = batches.map((b) => b.buffer as ArrayBuffer);
    const args = [this.claimed.session, commit, signal !== undefined];
    return this.rpc.call("commit", args, signal ? { transfer, signal } : { transfer });
  }
}

/** The methods by which a thread reaches a log. */
export function logMethods(log: Log): Record<string, Method> {
  const sessions: LogSession[] = [];
  return {
    claim: async ([input, partitions], signal): Promise<ClaimedSession> => {
      const session = await log.claim(input, partitions, signal);
      return { session: sessions.push(session) - 1, partitions: session.partitions };
    },
    add: ([session, partitions], signal) => sessions[session]!.add(partitions, signal),
    remove: ([session, partitions]) => sessions[session]!.remove(partitions),
    read: async ([session, partition, offset, options], signal) => {
      const answer = await sessions[session]!.read(partition, offset, { ...options, signal });
      // The log may keep its batches: they are copied.
      const batches = answer.batches.map((batch) => batch.slice());
      if (batches.length === 1 && batches[0]!.length <= COPIED_BYTES_MAX) {
        return { ...answer, batches };
      }
      return new Transferred({ ...answer, batches }, batches.map((b) => b.buffer as ArrayBuffer));
    },
    commit: ([session, commit, mayWait], signal) =>
      sessions[session]!.commit(commit, mayWait ? signal : undefined),
  };
}
