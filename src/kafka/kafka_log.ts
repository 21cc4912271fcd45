import { getLogger } from "@logtape/logtape";
import type {
  BatchLimits,
  CommittedPosition,
  ConsumableLog,
  ConsumerSpec,
  LogSession,
  LogUser,
  Methods,
  StandBy,
  ThreadedLog,
  TopicConsumer,
} from "../log/mod.ts";
import { firstPosition, LostError, PlainLog, StopError } from "../log/mod.ts";
import { type ConditionReporter, Waits } from "../engine/mod.ts";
import type { Instance } from "../service/mod.ts";
import type { Clock, PartitionerName } from "../types/mod.ts";
import type { Ask } from "./active_watch.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { encodeMetadata, type LogIdentity, UNKNOWN_LOG } from "./committed_metadata.ts";
import { type CommittedEntries, fetchCommitted, positionsOf } from "./committed_offsets.ts";
import type { ActiveGeneration } from "./active_generation.ts";
import {
  KafkaSession,
  logEnds,
  type PartitionOutputs,
  type SessionFacts,
  toJobError,
} from "./kafka_session.ts";
import type { SharedFacts } from "./member_facts.ts";
import { KafkaConsumer } from "./topic_consumer.ts";
import { type MemberIds, Membership } from "./membership.ts";
import { MessageReader } from "./message_reader.ts";
import type { TopicPartitions } from "./protocol/offsets.ts";
import { OfflinePartitions } from "./offline_partitions.ts";
import { OutputForm } from "./output_form.ts";
import { TopicWatch } from "./topic_watch.ts";
import { outputsOf } from "./topics.ts";
import type { WiredTopics } from "../service/mod.ts";
import type { TopicsView } from "./topics_view.ts";
import { isBlocked, TransactionalIds } from "./transactional_ids.ts";
import { type GroupMember, TransactionalProducer } from "./transactional_producer.ts";

const log = getLogger(["stockflow", "kafka"]);

/** How long a take-over waits for an id whose transaction cannot end while an output has no leader. */
const BLOCKED_MS_MAX = 1000;

const NO_OUTPUTS: PartitionOutputs = { always: [], rarely: [] };

export interface KafkaLogOptions {
  readonly facts: SessionFacts;
  readonly clusterId: string;
  readonly topics: WiredTopics;
  /** The topics as they are now. */
  readonly view: TopicsView;
  readonly sessionTimeoutMs: number;
  readonly discoveryMs: number;
  readonly memberIds: MemberIds;
  /** What all members of the group must share, by name. */
  readonly shared: SharedFacts;
  /** This process, as those that stand by know it. */
  readonly instance: Pick<Instance, "id" | "address">;
  readonly ask: Ask;
  readonly clock: Clock;
  /** Where it is reported that something is waited for. */
  readonly conditions: ConditionReporter;
  /** Tries in a row when the group refuses for good. */
  readonly retries: number;
  /** Goes on although the group has lost its offsets, or a log its records. */
  readonly acceptOffset: boolean;
  /** Largest output batch. */
  readonly batchBytesMax: number;
  /** What its records show; null = what parameters say. */
  readonly partitioner: PartitionerName | null;
  readonly user: LogUser;
}

/**
 * Transactional ids of a group. The n-th worker of the active process writes with the n-th, whatever partitions it
 * has; there are as many as partitions, and the first act of a process that becomes active is to fence all of them.
 */
export function transactionalId(groupId: string, n: number): string {
  return `${groupId}-t-${n}`;
}

/** Identity of a log, which checkpoints remember: a topic of a cluster. */
export function logIdOf(clusterId: string, topic: string): string {
  return `${clusterId}/${topic}`;
}

/** What partitions of transactions write to. */
export function outputsOfPartitions(
  { results, summaries, deadLetters }: WiredTopics,
): PartitionOutputs {
  return {
    always: [results, summaries].filter((topic) => topic !== null),
    rarely: deadLetters === null ? [] : [deadLetters],
  };
}

export function queryTransactionalId(groupId: string): string {
  return `${groupId}-q-0`;
}

/** Topics of Apache Kafka, read and written by the active member of a consumer group. */
export class KafkaLog extends PlainLog implements ConsumableLog {
  readonly membership: Membership;
  readonly watch: TopicWatch;
  readonly #form: OutputForm;
  readonly #queryForm: OutputForm;
  readonly #offlinePartitions: OfflinePartitions;
  readonly #ids = new TransactionalIds();
  readonly #waits: Waits;
  readonly #closed = new AbortController();
  /** Looks into the topics of the job. */
  readonly browser: MessageReader;
  #threads: ThreadedLog | null = null;

  constructor(readonly options: KafkaLogOptions) {
    super();
    const { facts, topics, view, conditions } = options;
    const { sessionTimeoutMs, memberIds, instance, ask, clock, retries } = options;
    this.browser = new MessageReader({ ...facts, clock });
    this.#waits = new Waits(conditions, clock);
    this.#offlinePartitions = new OfflinePartitions(this.#waits, clock);
    this.#form = new OutputForm(topics.deadLetters);
    this.#queryForm = new OutputForm(topics.deadLetters);
    this.watch = new TopicWatch({
      topics,
      groupId: facts.groupId,
      clusterId: options.clusterId,
      first: view,
      clock,
      conditions,
      client: () => this.membership.connected(),
    });
    this.membership = new Membership({
      connection: facts.connection,
      groupId: facts.groupId,
      sessionTimeoutMs,
      memberIds,
      shared: options.shared,
      instance,
      ask,
      clock,
      retries,
      waits: this.#waits,
      inputs: () =>
        new Map([topics.transactions, topics.queries].map((t) => [t, this.partitionsOf(t)])),
      onActive: (client, member) => this.#takeOver(client, member),
    });
    this.membership.start();
    if (options.discoveryMs > 0) void this.#discover();
  }

  override get id(): string {
    return logIdOf(this.options.clusterId, this.options.topics.transactions);
  }

  override get topicId(): string | null {
    const { topics, view } = this.options;
    return view.topics[topics.transactions]?.id ?? null;
  }

  override get threads(): ThreadedLog | null {
    return this.#threads;
  }

  /** They call the log that is opened. */
  override set threads(threads: ThreadedLog) {
    this.#threads = threads;
  }

  /** Dead letters stay whole until they are written. */
  override get limits(): BatchLimits {
    return { batchBytesMax: this.options.batchBytesMax, deadLetterBytesMax: Infinity };
  }

  override get partitioner(): PartitionerName | null {
    return this.options.partitioner;
  }

  override get reportsThroughput(): boolean {
    return true;
  }

  override get isAvailable(): boolean {
    return this.membership.isFresh;
  }

  override get standsBy(): StandBy | null {
    return this.membership.standsBy;
  }

  /** Whoever claims has dropped the instances of its claim before. */
  override get isClaimed(): boolean {
    const partitions = this.partitionsOf(this.options.topics.transactions);
    return this.membership.active?.hasClaimed(partitions) ?? false;
  }

  partitionsOf(topic: string): number {
    return this.watch.partitionsOf(topic);
  }

  async claim(
    input: string,
    partitions?: readonly number[],
    signal?: AbortSignal,
    worker?: number,
  ): Promise<LogSession> {
    const { member, view } = await confirmedClaim(this.membership, this.watch, signal);
    const { facts, clock, topics: { queries } } = this.options;
    const wanted = partitions ?? numbers(this.partitionsOf(input));
    member.claim(input === queries ? [] : wanted);
    const session = await KafkaSession.open({
      facts,
      view,
      form: input === queries ? this.#queryForm : this.#form,
      offlinePartitions: this.#offlinePartitions,
      ids: this.#ids,
      outputs: input === queries ? NO_OUTPUTS : outputsOfPartitions(this.options.topics),
      clock,
      input,
      partitions: wanted,
      waits: this.#waits,
      member,
      transactionalId: input === queries
        ? queryTransactionalId(facts.groupId)
        : transactionalId(facts.groupId, worker ?? wanted[0]!),
      isQueries: input === queries,
      ending: member.ending,
      onAdded: (added) => member.add(added),
      onClosed: () => member.release(),
    });
    const end = () => session.end(member.ended.reason);
    member.ended.addEventListener("abort", end, { signal: session.ended });
    if (member.ended.aborted) end();
    return session;
  }

  /** Nobody writes to the topics before this process is the active one. */
  prepareConsumer(): Promise<void> {
    return Promise.resolve();
  }

  async consume(spec: ConsumerSpec, signal: AbortSignal): Promise<TopicConsumer> {
    const { member, view } = await confirmedClaim(this.membership, this.watch, signal);
    const { facts, clock } = this.options;
    const { ended } = member;
    return await KafkaConsumer.open({ facts, view, spec, clock, waits: this.#waits, ended });
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.membership.close();
    this.#waits.allOver();
  }

  // ---- take-over ----

  /** Fences every earlier incarnation, on whatever machine; resolves the first offsets of a new group. */
  async #takeOver(client: KafkaClient, member: GroupMember): Promise<void> {
    const { facts, clock, topics: { transactions, queries } } = this.options;
    const { groupId, transactionTimeoutMs: timeoutMs } = facts;
    // One who has stood by may know the topics as they were long ago.
    await this.watch.look();
    const ids = numbers(this.partitionsOf(transactions)).map((n) => transactionalId(groupId, n));
    const { view } = this.watch;
    const mayBlock = outputsOf(this.options.topics)
      .some((topic) => (view.topics[topic]?.offline.length ?? 0) > 0);
    // One that is blocked can commit nothing that the group's offsets do not show when they are stable.
    const patience = mayBlock ? { giveUpMs: BLOCKED_MS_MAX } : {};
    const opened = await Promise.all(
      [...ids, queryTransactionalId(groupId)].map((transactionalId) =>
        TransactionalProducer.open(client, clock, {
          transactionalId,
          timeoutMs,
          groupId,
          ...patience,
        }).catch((error) => {
          if (!mayBlock || !isBlocked(error)) throw error;
          return null;
        })
      ),
    );
    const first = opened.find((producer) => producer !== null);
    const topics = [transactions, queries].map((topic) => ({
      topic,
      partitions: numbers(this.partitionsOf(topic)),
    }));
    const committed = await fetchCommitted(client, clock, {
      groupId,
      topics,
      view,
      isQueries: (topic) => topic === queries,
    });
    if (!isEmpty(committed) && !this.options.acceptOffset) return;
    if (!first) throw new LostError("Outputs have no leaders: no transaction can be begun");
    if (isEmpty(committed)) await this.#firstStart(client, first, member);
    else await this.#acceptEnds(client, first, member, positionsOf(committed.get(transactions)));
  }

  /**
   * Commits where reading starts: transactions at their first record, queries behind their last. If there
   * are checkpoints, the group has lost its offsets: transactions go on at the newest ones, if that is
   * accepted.
   */
  async #firstStart(
    client: KafkaClient,
    producer: TransactionalProducer,
    member: GroupMember,
  ): Promise<void> {
    const { facts, topics: { transactions, queries }, user, acceptOffset } = this.options;
    if (await user.hasCheckpoints() && !acceptOffset) {
      throw new StopError(
        `There are checkpoints, but group ${facts.groupId} has no committed offset`,
        "set the kafka.group.id that they were made with; if its offsets expired or were removed, start " +
          "with an empty file for the state (state.kv), which folds the topic again from its first record, " +
          "or with --accept-offset, which goes on where the newest checkpoints stand: what was written since " +
          "they were made is written again",
      );
    }
    const checkpoints = await user.newestCheckpoints(this.id, this.topicId);
    const offsets: TopicPartitions<{ partition: number; offset: number; metadata: string }>[] = [];
    for (const [topic, which] of [[transactions, "earliest"], [queries, "latest"]] as const) {
      const found = await client.offsets(topic, numbers(this.partitionsOf(topic)), which);
      const partitions = [...found].map(([partition, first]) => {
        const known = topic === transactions ? checkpoints.get(partition) : undefined;
        const { offset, ...rest } = known ?? firstPosition(first);
        return { partition, offset, metadata: encodeMetadata(rest, this.#identityOf(topic)) };
      });
      offsets.push({ topic, partitions });
    }
    await producer.commit([], member, offsets);
    if (checkpoints.size > 0) {
      log.warn("Group {group} goes on at the newest checkpoints: its offsets were lost", {
        group: facts.groupId,
      });
      await this.#acceptEnds(client, producer, member, checkpoints);
      return;
    }
    log.info("Group {group} is new: transactions from the first record on, queries from now on", {
      group: facts.groupId,
    });
  }

  /** Takes committed offsets back to the ends of logs that have lost records. */
  async #acceptEnds(
    client: KafkaClient,
    producer: TransactionalProducer,
    member: GroupMember,
    committed: ReadonlyMap<number, CommittedPosition>,
  ): Promise<void> {
    const { clock, topics: { transactions } } = this.options;
    const ids = [...committed.keys()];
    const ends = await logEnds(client, clock, transactions, ids, (p) => committed.get(p)!.offset);
    const lost = [...committed].filter(([partition, { offset }]) => offset > ends.get(partition)!);
    if (lost.length === 0) return;
    const partitions = lost.map(([partition, { start, ...rest }]) => {
      const offset = ends.get(partition)!;
      const from = start === null ? null : Math.min(start, offset);
      const metadata = encodeMetadata({ ...rest, start: from }, this.#identityOf(transactions));
      return { partition, offset, metadata };
    });
    await producer.commit([], member, [{ topic: transactions, partitions }]);
    for (const [partition, { offset }] of lost) {
      log.warn(
        "Partition {partition} goes on at the end of its log, {end}: {offset} was committed",
        {
          partition,
          end: ends.get(partition),
          offset,
        },
      );
    }
  }

  // ---- discovery ----

  /** Looks from time to time at all topics. */
  #discover(): Promise<void> {
    const onChange = () => this.membership.rejoin();
    const onStop = (error: unknown) => {
      if (error instanceof StopError) this.membership.fail(error);
    };
    return this.watch.run(this.options.discoveryMs, this.#closed.signal, onChange, onStop);
  }

  /** Which log offsets are of that are not those behind a batch. */
  #identityOf(topic: string): LogIdentity {
    return { ...UNKNOWN_LOG, topicId: this.watch.view.topics[topic]?.id ?? null };
  }
}

/** A claim that a member may make, with the topics as they are. */
export interface ConfirmedClaim<M extends GroupMember = GroupMember> {
  readonly member: M;
  readonly view: TopicsView;
}

/**
 * Waits until this process is the active one of its group, and all topics are there.
 *
 * @throws {StopError} when the job cannot go on with the topics as they are
 */
async function confirmedClaim(
  membership: Membership,
  watch: TopicWatch,
  signal?: AbortSignal,
): Promise<ConfirmedClaim<ActiveGeneration>> {
  const member = await membership.confirmed(signal);
  const ended = signal ? AbortSignal.any([signal, member.ended]) : member.ended;
  try {
    return { member, view: await watch.whole(ended) };
  } catch (error) {
    throw toJobError(error);
  }
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, p) => p);
}

function isEmpty(committed: CommittedEntries): boolean {
  return [...committed.values()].every((positions) => positions.size === 0);
}

/** What the control plane answers to worker threads, which open their sessions themselves. */
export interface KafkaCalls {
  kafkaClaim(partitions: readonly number[]): ConfirmedClaim;
  kafkaAdded(generation: number, partitions: readonly number[]): void;
  kafkaReleased(generation: number): void;
  /** Answers when the generation is about to be over. */
  kafkaEnding(generation: number): void;
  /** Fails when the generation is over, with what its sessions are to end with, or when it is given up. */
  kafkaEnded(generation: number): never;
}

/** The claims of worker threads. */
export function claimMethods({ membership, watch }: KafkaLog): Methods<KafkaCalls> {
  return {
    kafkaClaim: async ([partitions], signal): Promise<ConfirmedClaim> => {
      const { member, view } = await confirmedClaim(membership, watch, signal);
      member.claim(partitions);
      return { member: { memberId: member.memberId, generation: member.generation }, view };
    },
    kafkaAdded: ([generation, partitions]) => membership.generation(generation)?.add(partitions),
    kafkaReleased: ([generation]) => membership.generation(generation)?.release(),
    kafkaEnding: ([generation], signal): Promise<void> => {
      const member = membership.generation(generation);
      if (!member) return Promise.resolve();
      const ending = AbortSignal.any([member.ending, member.ended, signal]);
      return new Promise((resolve) => {
        ending.addEventListener("abort", () => resolve());
        if (ending.aborted) resolve();
      });
    },
    kafkaEnded: ([generation], signal): Promise<never> => {
      const member = membership.generation(generation);
      if (!member) return Promise.reject(new LostError("The group has a new generation"));
      return new Promise((_, reject) => {
        const end = () => {
          member.ended.removeEventListener("abort", end);
          reject(member.ended.aborted ? member.ended.reason : new LostError("The session is over"));
        };
        member.ended.addEventListener("abort", end);
        signal.addEventListener("abort", end);
        if (member.ended.aborted) end();
      });
    },
  };
}
