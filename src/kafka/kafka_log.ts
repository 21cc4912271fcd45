import type {
  BatchLimits,
  ConsumableLog,
  ConsumerSpec,
  LogSession,
  LogUser,
  Methods,
  SharedLog,
  Sharing,
  StandBy,
  ThreadedLog,
  TopicConsumer,
} from "../log/mod.ts";
import { isRunHere, LostError, PlainLog, StopError } from "../log/mod.ts";
import { type ConditionReporter, Waits } from "../engine/mod.ts";
import { untilAborted } from "../engine/waiters.ts";
import type { ProcessLife, WiredTopics } from "../service/mod.ts";
import type { Chance, Clock, PartitionerName } from "../types/mod.ts";
import type { Ask } from "./active_watch.ts";
import {
  type ClaimedShare,
  claimOfQueries,
  claimOfWorker,
  type ConfirmedClaim,
  confirmedClaim,
} from "./claims.ts";
import {
  KafkaSession,
  type PartitionOutputs,
  type SessionFacts,
  toJobError,
} from "./kafka_session.ts";
import type { SharedFacts } from "./member_facts.ts";
import { KafkaConsumer } from "./topic_consumer.ts";
import { type MemberIds, Membership } from "./membership.ts";
import { MessageReader } from "./message_reader.ts";
import { OfflinePartitions } from "./offline_partitions.ts";
import { OneActive } from "./one_active.ts";
import { QueryTopic } from "./query_topic.ts";
import { OutputForm } from "./output_form.ts";
import { partitionNumbers } from "./partition_numbers.ts";
import { SharedDivision } from "./sharing/shared_division.ts";
import { TakeOver } from "./take_over.ts";
import { TopicWatch } from "./topic_watch.ts";
import type { TopicsView } from "./topics_view.ts";
import { TransactionalIds } from "./transactional_ids.ts";

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
  readonly life: Pick<ProcessLife, "id" | "address">;
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
  /** How the group's processes share the partitions; null = one of them is active, and the others stand by. */
  readonly shares: SharesOptions | null;
}

export interface SharesOptions {
  /** Workers of this process. */
  readonly workers: number;
  readonly chance: Chance;
}

/** Heartbeats in a session time-out. */
const HEARTBEATS = 10;
/** Where processes share partitions, a rebalance holds all of them up until the last one has noticed it. */
const SHARED_HEARTBEAT_MS = 100;

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

/** Topics of Apache Kafka, read and written by the active member of a consumer group. */
export class KafkaLog extends PlainLog implements ConsumableLog, SharedLog {
  readonly membership: Membership;
  readonly watch: TopicWatch;
  readonly #form: OutputForm;
  readonly #queryForm: OutputForm;
  readonly #offlinePartitions: OfflinePartitions;
  readonly #ids = new TransactionalIds();
  readonly #queryTopic: QueryTopic;
  readonly #waits: Waits;
  readonly #closed = new AbortController();
  /** Looks into the topics of the job. */
  readonly browser: MessageReader;
  #threads: ThreadedLog | null = null;
  readonly #sharing: Sharing | null;

  constructor(readonly options: KafkaLogOptions) {
    super();
    const { facts, topics, view, conditions } = options;
    const { sessionTimeoutMs, memberIds, ask, clock, retries } = options;
    this.browser = new MessageReader({ ...facts, clock });
    this.#waits = new Waits(conditions, clock);
    this.#offlinePartitions = new OfflinePartitions(this.#waits, clock);
    this.#form = new OutputForm(topics.deadLetters);
    this.#queryForm = new OutputForm(topics.deadLetters);
    this.#queryTopic = new QueryTopic({
      topic: topics.queries,
      name: logIdOf(options.clusterId, topics.queries),
      groupId: facts.groupId,
      readTopics: options.user.readTopics,
      acceptOffset: options.acceptOffset,
      clock,
    });
    this.watch = new TopicWatch({
      topics,
      groupId: facts.groupId,
      clusterId: options.clusterId,
      first: view,
      clock,
      conditions,
      client: () => this.membership.connected(),
    });
    const division = options.shares ? this.#sharedDivision(options.shares) : this.#oneActive();
    this.#sharing = division instanceof SharedDivision ? this.#sharingBy(division) : null;
    this.membership = new Membership({
      connection: facts.connection,
      groupId: facts.groupId,
      sessionTimeoutMs,
      memberIds,
      division,
      ask,
      clock,
      retries,
      waits: this.#waits,
      inputs: () => this.#inputs,
    });
    this.membership.start();
    if (options.discoveryMs > 0) void this.#discover();
  }

  get #inputs(): ReadonlyMap<string, number> {
    const { transactions, queries } = this.options.topics;
    return new Map([transactions, queries].map((topic) => [topic, this.partitionsOf(topic)]));
  }

  #takeOver(): TakeOver {
    const { facts, topics, clock, user, acceptOffset } = this.options;
    const topicId = () => this.topicId;
    return new TakeOver(
      { facts, topics, clock, user, acceptOffset, id: this.id, topicId },
      this.watch,
    );
  }

  #oneActive(): OneActive {
    const { facts: { groupId }, sessionTimeoutMs, life, shared } = this.options;
    const takeOver = this.#takeOver();
    return new OneActive({
      groupId,
      heartbeatMs: sessionTimeoutMs / HEARTBEATS,
      inputs: () => this.#inputs,
      life,
      shared,
      onActive: (client, member) => takeOver.takeOver(client, member),
    });
  }

  #sharedDivision({ workers, chance }: SharesOptions): SharedDivision {
    const { facts: { groupId }, sessionTimeoutMs, topics, life, shared, user } = this.options;
    const takeOver = this.#takeOver();
    return new SharedDivision({
      groupId,
      heartbeatMs: Math.min(SHARED_HEARTBEAT_MS, sessionTimeoutMs / HEARTBEATS),
      inputs: () => this.#inputs,
      topics,
      life,
      shared,
      workers,
      chance,
      isStarting: (client) => takeOver.isStarting(client),
      loadOf: (partition) => user.loadOf(partition),
      hasCheckpoints: () => user.hasCheckpoints(),
      start: (client, member, at) => takeOver.start(client, member, at),
      clear: (client, slot, workers) => takeOver.clear(client, slot, workers),
    });
  }

  /** How the processes of the group share the partitions; null = one of them is active. */
  get sharing(): Sharing | null {
    return this.#sharing;
  }

  #sharingBy(shared: SharedDivision): Sharing {
    const membership = () => this.membership;
    return {
      get view() {
        return shared.view;
      },
      changed: (signal) => shared.changed(signal),
      get active() {
        return membership().active;
      },
      confirm: (signal) => this.membership.confirmed(signal),
      leave: () => this.membership.leave(),
    };
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
    if (input === queries) await this.#checkQueryTopic(view);
    const all = () => partitionNumbers(this.partitionsOf(input));
    const claim = input === queries
      ? claimOfQueries(member, facts.groupId, all())
      : claimOfWorker(member, facts.groupId, partitions ?? all(), worker ?? partitions?.[0] ?? 0);
    const session = await KafkaSession.open({
      facts,
      view,
      form: input === queries ? this.#queryForm : this.#form,
      offlinePartitions: this.#offlinePartitions,
      ids: this.#ids,
      outputs: input === queries ? NO_OUTPUTS : outputsOfPartitions(this.options.topics),
      clock,
      input,
      ...claim,
      waits: this.#waits,
      member,
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

  async #checkQueryTopic(view: TopicsView): Promise<void> {
    const { queries } = this.options.topics;
    const { id, partitions } = view.topics[queries]!;
    try {
      await this.#queryTopic.check(id, partitions, () => this.membership.connected());
    } catch (error) {
      throw toJobError(error);
    }
  }

  /** Nobody writes to the topics before this process is the active one. */
  prepareConsumer(): Promise<void> {
    return Promise.resolve();
  }

  /** Where processes share partitions, one of them consumes: see runsOnce. */
  async consume(spec: ConsumerSpec, signal: AbortSignal): Promise<TopicConsumer> {
    const { facts, clock } = this.options;
    while (true) {
      const { member, view } = await confirmedClaim(this.membership, this.watch, signal);
      const { ended } = member;
      const { sharing } = this;
      const isHere = !sharing ||
        isRunHere(sharing) && sharing.view!.generation === member.generation;
      if (isHere) {
        return await KafkaConsumer.open({ facts, view, spec, clock, waits: this.#waits, ended });
      }
      await untilAborted(AbortSignal.any([ended, signal]));
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.membership.close();
    this.#waits.allOver();
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
}

/** What the control plane answers to worker threads, which open their sessions themselves. */
export interface KafkaCalls {
  kafkaClaim(wanted: readonly number[], worker: number): ConfirmedClaim & ClaimedShare;
  kafkaAdded(generation: number, partitions: readonly number[]): void;
  /** Answers when the generation is about to be over. */
  kafkaEnding(generation: number): void;
  /**
   * Fails when the generation is over, with what its sessions are to end with, or when it is given up: then the session
   * is closed, or its thread is gone, and the claim is released.
   */
  kafkaEnded(generation: number): never;
}

/** The claims of worker threads. */
export function claimMethods({ membership, watch, options }: KafkaLog): Methods<KafkaCalls> {
  return {
    kafkaClaim: async ([wanted, worker], signal) => {
      const { member, view } = await confirmedClaim(membership, watch, signal);
      const { memberId, generation } = member;
      const claim = claimOfWorker(member, options.facts.groupId, wanted, worker);
      return { member: { memberId, generation }, view, ...claim };
    },
    kafkaAdded: ([generation, partitions]) => membership.generation(generation)?.add(partitions),
    kafkaEnding: ([generation], signal): Promise<void> => {
      const member = membership.generation(generation);
      if (!member) return Promise.resolve();
      const ending = AbortSignal.any([member.ending, member.ended, signal]);
      return untilAborted(ending);
    },
    kafkaEnded: ([generation], signal): Promise<never> => {
      const member = membership.generation(generation);
      if (!member) return Promise.reject(new LostError("The group has a new generation"));
      return new Promise((_, reject) => {
        const end = () => {
          member.ended.removeEventListener("abort", end);
          signal.removeEventListener("abort", end);
          member.release();
          reject(member.ended.aborted ? member.ended.reason : new LostError("The session is over"));
        };
        member.ended.addEventListener("abort", end);
        signal.addEventListener("abort", end);
        if (member.ended.aborted || signal.aborted) end();
      });
    },
  };
}
