import { getLogger } from "@logtape/logtape";
import { type CommittedPosition, type Log, type LogSession, ofTopic } from "../log/mod.ts";
import { LostError, StopError } from "../job/errors.ts";
import { type ConditionReporter, type Instance, Waits } from "../job/mod.ts";
import type { LogUser } from "../job/streams.ts";
import type { Method } from "../job/threads/rpc.ts";
import type { Clock } from "../types/mod.ts";
import { NO_TIME } from "../wasm/mod.ts";
import type { Ask } from "./active_watch.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { encodeMetadata } from "./committed_metadata.ts";
import { type CommittedPositions, fetchCommitted } from "./committed_offsets.ts";
import { KafkaSession, logEnds, type SessionFacts } from "./kafka_session.ts";
import { type MemberIds, Membership } from "./membership.ts";
import type { TopicPartitions } from "./protocol/offsets.ts";
import { type GroupMember, TransactionalProducer } from "./transactional_producer.ts";

const log = getLogger(["stockflow", "kafka"]);

export interface KafkaLogOptions {
  readonly facts: SessionFacts;
  readonly clusterId: string;
  readonly transactions: string;
  readonly queries: string;
  /** Partitions by topic. */
  readonly partitions: ReadonlyMap<string, number>;
  readonly sessionTimeoutMs: number;
  readonly discoveryMs: number;
  readonly memberIds: MemberIds;
  /** This process, as those that stand by are told of it. */
  readonly instance: Pick<Instance, "id" | "address">;
  readonly ask: Ask;
  readonly clock: Clock;
  /** Where it is reported that something is waited for. */
  readonly conditions: ConditionReporter;
  /** Tries in a row when the group refuses for good. */
  readonly retries: number;
  /** Goes on although the group has lost its offsets, or a log its records. */
  readonly acceptOffset: boolean;
  readonly user: LogUser;
}

/**
 * Transactional ids of a group. Whoever folds partition n first of its partitions writes with the n-th;
 * one process is active, so that its first act is to fence all of them.
 */
export function transactionalId(groupId: string, n: number): string {
  return `${groupId}-t-${n}`;
}

export function queryTransactionalId(groupId: string): string {
  return `${groupId}-q-0`;
}

/** Topics of Apache Kafka, read and written by the active member of a consumer group. */
export class KafkaLog implements Log {
  readonly membership: Membership;
  #partitions: ReadonlyMap<string, number>;
  readonly #waits: Waits;
  readonly #closed = new AbortController();

  constructor(readonly options: KafkaLogOptions) {
    const { facts, transactions, queries } = options;
    const { sessionTimeoutMs, memberIds, instance, ask, clock, retries } = options;
    this.#waits = new Waits(options.conditions, clock);
    this.#partitions = options.partitions;
    this.membership = new Membership({
      connection: facts.connection,
      groupId: facts.groupId,
      sessionTimeoutMs,
      memberIds,
      instance,
      ask,
      clock,
      retries,
      waits: this.#waits,
      inputs: () => new Map([transactions, queries].map((t) => [t, this.partitionsOf(t)])),
      onActive: (client, member) => this.#takeOver(client, member),
    });
    this.membership.start();
    void this.#discover();
  }

  get id(): string {
    return `${this.options.clusterId}/${this.options.transactions}`;
  }

  get isAvailable(): boolean {
    return this.membership.isFresh;
  }

  /** Whoever claims has dropped the instances of its claim before. */
  get isClaimed(): boolean {
    const partitions = this.partitionsOf(this.options.transactions);
    return this.membership.active?.hasClaimed(partitions) ?? false;
  }

  partitionsOf(topic: string): number {
    return ofTopic(this.#partitions.get(topic), topic);
  }

  async claim(
    input: string,
    partitions?: readonly number[],
    signal?: AbortSignal,
  ): Promise<LogSession> {
    const member = await this.membership.confirmed(signal);
    const { facts, clock, queries } = this.options;
    const wanted = partitions ?? numbers(this.partitionsOf(input));
    member.claim(input === queries ? [] : wanted);
    const session = await KafkaSession.open({
      facts,
      clock,
      input,
      partitions: wanted,
      waits: this.#waits,
      member,
      transactionalId: input === queries
        ? queryTransactionalId(facts.groupId)
        : transactionalId(facts.groupId, wanted[0]!),
      mayBeNew: input === queries,
      ending: member.ending,
      onClosed: () => member.release(),
    });
    const end = () => session.end(member.ended.reason);
    member.ended.addEventListener("abort", end, { signal: session.ended });
    if (member.ended.aborted) end();
    return session;
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.membership.close();
    this.#waits.allOver();
  }

  // ---- take-over ----

  /** Fences every earlier incarnation, on whatever machine; resolves the first offsets of a new group. */
  async #takeOver(client: KafkaClient, member: GroupMember): Promise<void> {
    const { facts, clock, transactions, queries } = this.options;
    const { groupId, transactionTimeoutMs: timeoutMs } = facts;
    const ids = numbers(this.partitionsOf(transactions)).map((n) => transactionalId(groupId, n));
    const [first] = await Promise.all(
      [...ids, queryTransactionalId(groupId)].map((transactionalId) =>
        TransactionalProducer.open(client, clock, { transactionalId, timeoutMs, groupId })
      ),
    );
    const topics = [transactions, queries].map((topic) => ({
      topic,
      partitions: numbers(this.partitionsOf(topic)),
    }));
    const committed = await fetchCommitted(client, clock, groupId, topics);
    if (isEmpty(committed)) await this.#firstStart(client, first!, member);
    else if (this.options.acceptOffset) {
      await this.#acceptEnds(client, first!, member, committed.get(transactions)!);
    }
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
    const { facts, transactions, queries, user, acceptOffset } = this.options;
    if (await user.hasCheckpoints() && !acceptOffset) {
      throw new StopError(
        `There are checkpoints, but group ${facts.groupId} has no committed offset`,
        "set the kafka.group.id that they were made with; if its offsets expired or were removed, start " +
          "with an empty file for the state (state.kv), which folds the topic again from its first record, " +
          "or with --accept-offset, which goes on where the newest checkpoints stand: what was written since " +
          "they were made is written again",
      );
    }
    const checkpoints = await user.newestCheckpoints(this.id);
    const offsets: TopicPartitions<{ partition: number; offset: number; metadata: string }>[] = [];
    for (const [topic, which] of [[transactions, "earliest"], [queries, "latest"]] as const) {
      const found = await client.offsets(topic, numbers(this.partitionsOf(topic)), which);
      const partitions = [...found].map(([partition, first]) => {
        const known = topic === transactions ? checkpoints.get(partition) : undefined;
        const { offset, ...rest } = known ?? firstPosition(first);
        return { partition, offset, metadata: encodeMetadata(rest) };
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
    const { clock, transactions } = this.options;
    const ids = [...committed.keys()];
    const ends = await logEnds(client, clock, transactions, ids, (p) => committed.get(p)!.offset);
    const lost = [...committed].filter(([partition, { offset }]) => offset > ends.get(partition)!);
    if (lost.length === 0) return;
    const partitions = lost.map(([partition, { start, ...rest }]) => {
      const offset = ends.get(partition)!;
      const from = start === null ? null : Math.min(start, offset);
      return { partition, offset, metadata: encodeMetadata({ ...rest, start: from }) };
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

  /** Looks from time to time whether topics have got more partitions. */
  async #discover(): Promise<void> {
    const { clock, discoveryMs, transactions, queries } = this.options;
    const { signal } = this.#closed;
    if (discoveryMs === 0) return;
    while (!signal.aborted) {
      await clock.sleep(discoveryMs, signal);
      if (signal.aborted) return;
      const now = await this.membership.topicsNow().catch(() => null);
      if (!now) continue;
      const before = this.partitionsOf(transactions);
      const after = now.get(transactions) ?? before;
      if (after !== before) {
        return this.membership.fail(
          new StopError(
            `Topic ${transactions} has ${after} partitions now, not ${before}: items have changed partitions`,
            `copy it to a topic with the number of partitions that it is to keep, by item, and start with ` +
              "another kafka.group.id and an empty file for the state",
          ),
        );
      }
      const queriesNow = now.get(queries) ?? 0;
      if (queriesNow <= this.partitionsOf(queries)) continue;
      // What was looked up now are the input topics alone.
      this.#partitions = new Map([...this.#partitions, [queries, queriesNow]]);
      log.info("Topic {topic} has {partitions} partitions now", {
        topic: queries,
        partitions: queriesNow,
      });
      this.membership.rejoin();
    }
  }
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, p) => p);
}

function firstPosition(offset: number): CommittedPosition {
  return { offset, start: offset, watermark: NO_TIME, parameters: "" };
}

function isEmpty(committed: CommittedPositions): boolean {
  return [...committed.values()].every((positions) => positions.size === 0);
}

/** The claims of worker threads, which open their sessions themselves. */
export function claimMethods(membership: Membership): Record<string, Method> {
  return {
    kafkaClaim: async ([partitions], signal): Promise<GroupMember> => {
      const member = await membership.confirmed(signal);
      member.claim(partitions);
      return { memberId: member.memberId, generation: member.generation };
    },
    kafkaReleased: ([generation]) => membership.generation(generation)?.release(),
    /** Resolves when the generation is about to be over. */
    kafkaEnding: ([generation], signal): Promise<void> => {
      const member = membership.generation(generation);
      if (!member) return Promise.resolve();
      const ending = AbortSignal.any([member.ending, member.ended, signal]);
      return new Promise((resolve) => {
        ending.addEventListener("abort", () => resolve());
        if (ending.aborted) resolve();
      });
    },
    /** Fails when the generation is over, with what its sessions are to end with, or when it is given up. */
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
