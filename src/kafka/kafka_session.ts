import { getLogger } from "@logtape/logtape";
import type {
  AheadWriter,
  ClaimedPartition,
  Commit,
  CommitOutcome,
  LogSession,
  ReadAnswer,
  ReadOptions,
  TopicOutput,
} from "../log/mod.ts";
import { DamagedBatchError, LostError, RefusedError } from "../log/mod.ts";
import { assertThat, batchInfo, type Clock } from "../types/mod.ts";
import { claimed, type KafkaPartition, topicOf } from "./claimed_partitions.ts";
import type { Waits } from "../engine/mod.ts";
import type { Producer } from "./batches.ts";
import { errorCodeOf, isFenced, isUnavailable, reasonOf, stopErrorOf } from "./client/errors.ts";
import { type ConnectionOptions, KafkaClient, unwrittenOf } from "./client/kafka_client.ts";
import { CodecError, type CodecName, decompressBatch } from "./codecs.ts";
import { encodeMetadata } from "./committed_metadata.ts";
import { Fetcher } from "./fetcher.ts";
import {
  nameOf,
  type OfflinePartitions,
  type Place,
  reasonOfOffline,
} from "./offline_partitions.ts";
import type { TopicsView } from "./topics_view.ts";
import { type OutputForm, OutputRefusedError } from "./output_form.ts";
import type { TransactionalIds } from "./transactional_ids.ts";
import type { GroupMember, TransactionalProducer } from "./transactional_producer.ts";

const log = getLogger(["stockflow", "kafka"]);

/** What a session needs to know; can be cloned for another thread. */
export interface SessionFacts {
  readonly connection: ConnectionOptions;
  readonly groupId: string;
  readonly transactionTimeoutMs: number;
  /** Topics that are read or written. */
  readonly topics: readonly string[];
  readonly compression: CodecName;
  /** Largest batch once it is decompressed. */
  readonly inputBatchBytesMax: number;
  /** Of the topic of transactions; see FetcherOptions. */
  readonly paceMs: number;
  /** Of the topic of queries. */
  readonly queryPaceMs: number;
}

export interface SessionOptions {
  readonly facts: SessionFacts;
  /** The topics as they were when it was claimed. */
  readonly view: TopicsView;
  /** Outlives sessions: it remembers what outputs refused. */
  readonly form: OutputForm;
  /** Outlives sessions: it remembers which partitions have no leader. */
  readonly offlinePartitions: OfflinePartitions;
  /** Outlives sessions: it remembers which ids are blocked. */
  readonly ids: TransactionalIds;
  /** What partitions write to; of queries, nothing is known before. */
  readonly outputs: PartitionOutputs;
  readonly clock: Clock;
  readonly transactionalId: string;
  readonly input: string;
  readonly partitions: readonly number[];
  /** Queries: partitions without a committed offset are read from their first record; else that is an error. */
  readonly isQueries: boolean;
  readonly member: GroupMember;
  /** Aborted when the claim is about to be over. */
  readonly ending: AbortSignal;
  /** Where it is reported that something is waited for. */
  readonly waits: Waits;
  /** Is called when the session has further partitions. */
  readonly onAdded: (partitions: readonly number[]) => void;
  /** Is called when the session is closed. */
  readonly onClosed: () => void;
}

/** Output topics of partitions: partition p writes to partition p of them, modulo their partitions. */
export interface PartitionOutputs {
  readonly always: readonly string[];
  /** From time to time. */
  readonly rarely: readonly string[];
}

/**
 * The error that a job knows for one of Kafka: LostError where the recovery path helps, StopError where
 * nothing does, RefusedError for what Kafka refuses otherwise.
 */
export function toJobError(error: unknown, of?: Pick<SessionOptions, "facts" | "input">): Error {
  const stop = stopErrorOf(error, of ? { topic: of.input, group: of.facts.groupId } : {});
  if (stop) return stop;
  if (error instanceof LostError) return error;
  const message = reasonOf(error);
  if (isFenced(error) || isUnavailable(error)) return new LostError(message, { cause: error });
  if (errorCodeOf(error) !== null) return new RefusedError(message, { cause: error });
  return error as Error;
}

/** The right to commit partitions of one topic, with connections of its own. */
export class KafkaSession implements LogSession {
  readonly #fetcher: Fetcher;
  readonly #ended = new AbortController();
  /** Aborted when a partition that was left out can be claimed. */
  readonly #claimable = new AbortController();
  readonly ending: AbortSignal;
  #over: Error | null = null;
  #partitions: readonly KafkaPartition[] = [];
  readonly #offline = new Map<number, Place>();
  /** Next offset by partition as of the last commit. */
  readonly #committed = new Map<number, number>();

  private constructor(
    readonly options: SessionOptions,
    readonly client: KafkaClient,
    readonly transactions: TransactionalProducer,
  ) {
    const { clock, facts: { paceMs, queryPaceMs }, isQueries } = options;
    this.ending = AbortSignal.any([options.ending, this.#claimable.signal]);
    this.#fetcher = new Fetcher({
      client,
      topic: topicOf(options),
      clock,
      ends: new Map(),
      paceMs: isQueries ? queryPaceMs : paceMs,
    });
  }

  /**
   * Fences whoever used the transactional id, and reads what was committed.
   *
   * @throws {LostError} when the brokers are not there at the moment
   * @throws {StopError} when only a person can help
   */
  static async open(options: SessionOptions): Promise<KafkaSession> {
    const { facts, form, view, clock, transactionalId } = options;
    const client = new KafkaClient(facts.connection, clock, options.waits);
    form.use(view.limits);
    try {
      await client.connect(facts.topics);
      const offline = await findOffline(options, client, options.partitions);
      const outputs = facts.topics.filter((topic) => topic in view.limits);
      const transactions = await options.ids.open(client, clock, {
        transactionalId,
        timeoutMs: facts.transactionTimeoutMs,
        groupId: facts.groupId,
        compression: facts.compression,
        form,
      }, client.hasOffline(outputs));
      const session = new KafkaSession(options, client, transactions);
      session.#take(await claimed(options, client, options.partitions, offline), offline);
      return session;
    } catch (error) {
      void client.close().catch(() => {});
      options.onClosed();
      throw toJobError(error, options);
    }
  }

  get input(): string {
    return this.options.input;
  }

  get partitions(): readonly ClaimedPartition[] {
    return this.#partitions;
  }

  #take(partitions: readonly KafkaPartition[], offline: ReadonlyMap<number, Place>): void {
    this.#partitions = [...this.#partitions, ...partitions];
    for (const { partition, committed, logEnd, last, leaderEpoch } of partitions) {
      this.#fetcher.add(partition, logEnd, leaderEpoch, last);
      this.#committed.set(partition, committed.offset);
      this.#fetcher.lastBatches.begin(partition, committed.offset, last);
    }
    for (const [partition, place] of offline) this.#offline.set(partition, place);
    if (offline.size > 0) void this.#watchOffline(offline);
  }

  /**
   * Reads where the partitions stand, and nothing else: to initialise the transactional id would end the transaction of
   * those that the session has.
   */
  async add(partitions: readonly number[]): Promise<readonly ClaimedPartition[]> {
    if (this.#over) throw this.#over;
    const { options, client } = this;
    try {
      options.onAdded(partitions);
      const offline = await findOffline(options, client, partitions);
      const added = await claimed(options, client, partitions, offline);
      if (this.#over) throw this.#over;
      this.#take(added, offline);
      return added;
    } catch (error) {
      throw this.#over ?? toJobError(error, this.options);
    }
  }

  remove(partitions: readonly number[]): void {
    this.#partitions = this.#partitions.filter((p) => !partitions.includes(p.partition));
    for (const partition of partitions) {
      this.#fetcher.remove(partition);
      this.#committed.delete(partition);
    }
  }

  nextSequence(topic: string, partition: number): Promise<number> {
    return Promise.resolve(this.transactions.nextSequence(topic, partition));
  }

  /** Partitions that were left out of the claim, by why. */
  get offline(): ReadonlyMap<number, string> {
    return new Map([...this.#offline].map(([p, place]) => [p, reasonOfOffline(place)]));
  }

  /** A claim of all partitions takes the place of this one, in good order, when there is more to claim. */
  async #watchOffline(offline: ReadonlyMap<number, Place>): Promise<void> {
    const { facts: { connection }, offlinePartitions, input, partitions } = this.options;
    if (await offlinePartitions.untilLed(connection, input, partitions, offline, this.ended)) {
      this.#claimable.abort("a leader is there");
    }
  }

  get producer(): Producer {
    return this.transactions.producer;
  }

  async read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer> {
    if (this.#over) throw this.#over;
    try {
      const { batches, endOffset } = await this.#fetcher.read(partition, offset, options);
      return { batches: batches.map((batch) => this.#decompress(partition, batch)), endOffset };
    } catch (error) {
      throw this.#over ?? toJobError(error, this.options);
    }
  }

  #decompress(partition: number, batch: Uint8Array): Uint8Array {
    try {
      return decompressBatch(batch, this.options.facts.inputBatchBytesMax);
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      const where = `offset ${batchInfo(batch).baseOffset} of ${this.input}-${partition}`;
      throw new DamagedBatchError(
        where,
        `The batch at ${where} cannot be decompressed: ${error.message}`,
        "raise input.batch.bytes.max, or restore the log from a copy; skipping it would lose records",
        { cause: error },
      );
    }
  }

  endOf(partition: number): number | null {
    return this.#fetcher.endOf(partition);
  }

  /** Outputs go into the open transaction. */
  get ahead(): AheadWriter {
    return this;
  }

  async write(outputs: readonly TopicOutput[]): Promise<void> {
    if (this.#over) throw this.#over;
    try {
      await this.transactions.write(outputs);
    } catch (error) {
      if (!this.#over) this.end(this.#jobError(error)); // a commit may have said so already
      throw error;
    }
  }

  /** Next claims leave out what writes where nobody can. */
  #noteUnwritten(error: unknown): void {
    for (const name of unwrittenOf(error)) this.options.offlinePartitions.needed.add(name);
  }

  /** One that an output's refusal is the cause of names the output, and where its input stands. */
  #jobError(error: unknown): Error {
    this.#noteUnwritten(error);
    if (!(error instanceof OutputRefusedError)) return toJobError(error, this.options);
    const from = [...this.#committed].map(([partition, offset]) =>
      `${partition} from offset ${offset}`
    );
    const of = `partition ${from.join(", ")} on of ${this.input}`;
    return this.options.form.onRefusal(error.refusal, of);
  }

  async commit({ positions, outputs }: Commit): Promise<CommitOutcome> {
    if (this.#over) return this.#lost(this.#over);
    // Kafka takes offsets of any partition from a member: that nobody else commits these is ours to keep.
    for (const { partition } of positions) {
      assertThat(
        this.#committed.has(partition),
        `partition ${partition} is committed by the session that has it`,
      );
    }
    const { lastBatches, options: { topic: { id: topicId } } } = this.#fetcher;
    const offsets = positions.map(({ partition, offset, ...rest }) => {
      const last = lastBatches.below(partition, offset);
      return { partition, offset, metadata: encodeMetadata(rest, { topicId, last }) };
    });
    try {
      const { member, input } = this.options;
      await this.transactions.commit(outputs, member, [{ topic: input, partitions: offsets }]);
      this.options.form.onCommitted();
      for (const { partition, offset } of positions) this.#committed.set(partition, offset);
      return "committed";
    } catch (error) {
      return this.#lost(this.#over ?? this.#jobError(error));
    }
  }

  /** Nothing of the session is of use after a commit that is not known to have happened. */
  #lost(error: Error): CommitOutcome {
    this.end(error);
    if (!(error instanceof LostError)) throw error;
    log.warn("A transaction of {id} was lost: {reason}", {
      id: this.options.transactionalId,
      reason: error.message,
    });
    return "lost";
  }

  /** Aborted when the session is over: nobody needs to end it then. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Ends the session, because the claim is over. */
  end(reason: Error): void {
    if (this.#over) return;
    this.#over = reason;
    this.#fetcher.close(reason);
    this.#ended.abort(reason);
    void this.client.close().catch(() => {});
    this.options.onClosed();
  }

  close(): void {
    this.end(new LostError("The session was closed"));
  }
}

/** What a partition writes to, as far as it is known to. */
function outputsOf(
  { outputs: { always, rarely }, offlinePartitions: { needed }, view }: SessionOptions,
): (partition: number) => Place[] {
  const placeOf = (topic: string, partition: number): Place => ({
    topic,
    partition: partition % (view.topics[topic]?.partitions ?? 1),
  });
  return (partition) => [
    ...always.map((topic) => placeOf(topic, partition)),
    ...rarely.map((topic) => placeOf(topic, partition)).filter((p) => needed.has(nameOf(p))),
  ];
}

/** Which of some partitions are to be left out, by the partition that has no leader. */
async function findOffline(
  options: SessionOptions,
  client: KafkaClient,
  partitions: readonly number[],
): Promise<ReadonlyMap<number, Place>> {
  const { offlinePartitions, input } = options;
  return await offlinePartitions.find(client, input, partitions, outputsOf(options));
}
