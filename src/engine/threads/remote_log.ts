// The log as a worker thread sees it: all that a session does are calls to the control plane.

import {
  type AheadWriter,
  AnsweringLog,
  type Caller,
  type ClaimedPartition,
  type Commit,
  type CommitOutcome,
  type GeneratorFacts,
  type Log,
  type LogSession,
  LostError,
  type Methods,
  ofTopic,
  outcomesOf,
  type Producer,
  type ReadAnswer,
  type ReadOptions,
  type RestoredFrom,
  type TopicOutput,
  Transferred,
} from "../../log/mod.ts";

/** To move a buffer costs as much as to copy so many bytes. */
const COPIED_BYTES_MAX = 2048;
/** A reason for an abort: without one an error with a stack is made each time. */
const CLOSED = "closed";

/** Identity and partitions of a log, as a thread is given them. */
export interface LogFacts {
  readonly id: string;
  readonly topicId: string | null;
  readonly restoredFrom: RestoredFrom | null;
  readonly partitions: Readonly<Record<string, number>>;
  /** The transactions are generated in the thread; null = they come from the log. */
  readonly generator: GeneratorFacts | null;
  /** Somebody is to learn the outcome of every record. */
  readonly outcomes: boolean;
}

/** Partitions that a session was given. */
interface Given {
  readonly partitions: readonly ClaimedPartition[];
  /** All that are left out, by why. */
  readonly offline: ReadonlyMap<number, string>;
}

interface GivenSession extends Given {
  readonly session: number;
  readonly producer: Producer | null;
  readonly writesAhead: boolean;
}

interface Read extends ReadAnswer {
  /** See LogSession.endOf. */
  readonly end: number | null;
}

/** What the control plane answers of its log; sessions are named by numbers. */
export interface LogCalls {
  claim(
    input: string,
    partitions: readonly number[] | undefined,
    worker: number | undefined,
  ): GivenSession;
  add(session: number, partitions: readonly number[]): Given;
  remove(session: number, partitions: readonly number[]): void;
  read(
    session: number,
    partition: number,
    offset: number,
    options: Omit<ReadOptions, "signal">,
  ): Read;
  write(session: number, outputs: readonly TopicOutput[]): void;
  /** @param mayWait a full disk is waited for until the call is given up */
  commit(session: number, commit: Commit, mayWait: boolean): CommitOutcome;
  nextSequence(session: number, topic: string, partition: number): number;
  outcomes(partition: number, first: number, outcomes: Uint8Array): void;
  /** Answers when the claim is about to be over. */
  ending(session: number): void;
  close(session: number): void;
}

/** A log on the other side of a channel. */
export class RemoteLog extends AnsweringLog {
  constructor(readonly rpc: Caller<LogCalls>, readonly facts: LogFacts) {
    super();
    // Whoever gets the outcomes owns them: many are moved, few are copied.
    if (facts.outcomes) {
      this.onOutcomes = (partition, first, outcomes) => {
        const moved = outcomes.length > COPIED_BYTES_MAX ? [outcomes.buffer as ArrayBuffer] : [];
        rpc.notify("outcomes", [partition, first, outcomes], moved);
      };
    }
  }

  override get id(): string {
    return this.facts.id;
  }

  override get topicId(): string | null {
    return this.facts.topicId;
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
    worker?: number,
  ): Promise<LogSession> {
    const given = await this.rpc.call("claim", [input, partitions, worker], { signal });
    return new RemoteSession(this.rpc, input, given);
  }
}

class RemoteSession implements LogSession, AheadWriter {
  partitions: readonly ClaimedPartition[];
  offline: ReadonlyMap<number, string>;
  readonly producer: Producer | null;
  readonly #session: number;
  readonly #writesAhead: boolean;
  readonly #ending = new AbortController();
  readonly #closed = new AbortController();
  readonly #ends = new Map<number, number | null>();

  constructor(readonly rpc: Caller<LogCalls>, readonly input: string, given: GivenSession) {
    this.partitions = given.partitions;
    this.offline = given.offline;
    this.producer = given.producer;
    this.#session = given.session;
    this.#writesAhead = given.writesAhead;
    void rpc.call("ending", [this.#session], { signal: this.#closed.signal })
      .then(() => this.#ending.abort("ending"), () => {}); // who is gone gives no notice
  }

  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  get ahead(): AheadWriter | null {
    return this.#writesAhead ? this : null;
  }

  async add(
    partitions: readonly number[],
    signal?: AbortSignal,
  ): Promise<readonly ClaimedPartition[]> {
    const given = await this.rpc.call("add", [this.#session, partitions], { signal });
    this.partitions = [...this.partitions, ...given.partitions];
    this.offline = given.offline;
    return given.partitions;
  }

  remove(partitions: readonly number[]): void {
    this.partitions = this.partitions.filter((p) => !partitions.includes(p.partition));
    this.rpc.notify("remove", [this.#session, partitions]);
  }

  async read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer> {
    const { signal, ...rest } = options;
    const args = [this.#session, partition, offset, rest] as const;
    const { end, ...answer } = await this.rpc.call("read", [...args], { signal });
    this.#ends.set(partition, end);
    return answer;
  }

  write(outputs: readonly TopicOutput[]): Promise<void> {
    return this.rpc.call("write", [this.#session, outputs], { transfer: buffersOf(outputs) });
  }

  commit(commit: Commit, signal?: AbortSignal): Promise<CommitOutcome> {
    const transfer = buffersOf(commit.outputs);
    const mayWait = signal !== undefined;
    return this.rpc.call("commit", [this.#session, commit, mayWait], { transfer, signal });
  }

  nextSequence(topic: string, partition: number): Promise<number> {
    return this.rpc.call("nextSequence", [this.#session, topic, partition]);
  }

  endOf(partition: number): number | null {
    return this.#ends.get(partition) ?? null;
  }

  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort(CLOSED);
    this.rpc.notify("close", [this.#session]);
  }
}

function buffersOf(outputs: readonly TopicOutput[]): ArrayBuffer[] {
  return outputs.flatMap(({ batches }) => batches.map((batch) => batch.buffer as ArrayBuffer));
}

/** The sessions of one thread's claims, until it closes them or has ended. */
export class ServedLog {
  readonly #sessions = new Map<number, LogSession>();
  #last = 0;
  #over = false;

  constructor(readonly log: Log) {}

  /** Sessions that are open. */
  get open(): number {
    return this.#sessions.size;
  }

  #session(id: number): LogSession {
    const session = this.#sessions.get(id);
    if (!session) throw new LostError("The session was closed");
    return session;
  }

  /** The methods by which a thread reaches the log. */
  readonly methods: Methods<LogCalls> = {
    claim: async ([input, partitions, worker], signal) => {
      const session = await this.log.claim(input, partitions, signal, worker);
      if (this.#over) session.close(); // the thread has ended meanwhile
      else this.#sessions.set(++this.#last, session);
      const { producer } = session;
      return {
        ...givenOf(session, session.partitions),
        session: this.#last,
        producer: producer && { id: producer.id, epoch: producer.epoch },
        writesAhead: session.ahead !== null,
      };
    },
    add: async ([id, partitions], signal) => {
      const session = this.#session(id);
      return givenOf(session, await session.add(partitions, signal));
    },
    remove: ([id, partitions]) => this.#session(id).remove(partitions),
    read: async ([id, partition, offset, options], signal) => {
      const session = this.#session(id);
      const answer = await session.read(partition, offset, { ...options, signal });
      const end = session.endOf(partition);
      // The log may keep its batches: they are copied.
      const batches = answer.batches.map((batch) => batch.slice());
      const read = { ...answer, batches, end };
      if (batches.length === 1 && batches[0]!.length <= COPIED_BYTES_MAX) return read;
      return new Transferred(read, batches.map((b) => b.buffer as ArrayBuffer));
    },
    write: async ([id, outputs]) => await this.#session(id).ahead!.write(outputs),
    commit: ([id, commit, mayWait], signal) =>
      this.#session(id).commit(commit, mayWait ? signal : undefined),
    outcomes: ([partition, first, outcomes]) => outcomesOf(this.log)?.(partition, first, outcomes),
    nextSequence: ([id, topic, partition]) => this.#session(id).nextSequence(topic, partition),
    ending: ([id], signal) => {
      const { ending } = this.#session(id);
      return new Promise((resolve) => {
        // Sessions may share what ends them: who is not called any more must not stay with it.
        const end = () => {
          ending.removeEventListener("abort", end);
          resolve();
        };
        ending.addEventListener("abort", end);
        signal.addEventListener("abort", end);
        if (ending.aborted || signal.aborted) end();
      });
    },
    close: ([id]) => {
      this.#sessions.get(id)?.close();
      this.#sessions.delete(id);
    },
  };

  /** The thread has ended, in good order or not. */
  close(): void {
    this.#over = true;
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
  }
}

function givenOf(session: LogSession, partitions: readonly ClaimedPartition[]): Given {
  return { partitions, offline: session.offline };
}
