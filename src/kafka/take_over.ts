import { getLogger } from "@logtape/logtape";
import type { CommittedPosition } from "../log/mod.ts";
import { firstPosition, LostError, StopError } from "../log/mod.ts";
import type { WiredTopics } from "../service/mod.ts";
import type { Clock } from "../types/mod.ts";
import { logEnds } from "./claimed_partitions.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { encodeMetadata, type LogIdentity, UNKNOWN_LOG } from "./committed_metadata.ts";
import {
  type CommittedEntries,
  fetchCommitted,
  hasOffsets,
  positionsOf,
} from "./committed_offsets.ts";
import type { SessionFacts } from "./kafka_session.ts";
import { partitionNumbers } from "./partition_numbers.ts";
import type { TopicPartitions } from "./protocol/offsets.ts";
import type { TopicWatch } from "./topic_watch.ts";
import { outputsOf } from "./topics.ts";
import { isBlocked, queryTransactionalId, slotIds, transactionalId } from "./transactional_ids.ts";
import { type GroupMember, TransactionalProducer } from "./transactional_producer.ts";
import type { LogUser } from "../log/mod.ts";

const log = getLogger(["stockflow", "kafka"]);

/** How long a take-over waits for an id whose transaction cannot end while an output has no leader. */
const BLOCKED_MS_MAX = 1000;

export interface TakeOverOptions {
  readonly facts: Pick<SessionFacts, "groupId" | "transactionTimeoutMs">;
  readonly topics: WiredTopics;
  readonly clock: Clock;
  readonly user: LogUser;
  /** Goes on although the group has lost its offsets, or a log its records. */
  readonly acceptOffset: boolean;
  /** Identity of the log, which checkpoints remember. */
  readonly id: string;
  readonly topicId: () => string | null;
}

/** What a process does before anyone may claim: fences others off, and resolves the first offsets of a new group. */
export class TakeOver {
  /** What --accept-offset asks for was done. */
  #hasAccepted = false;

  constructor(readonly options: TakeOverOptions, readonly watch: TopicWatch) {}

  #partitionsOf(topic: string): number {
    return this.watch.partitionsOf(topic);
  }

  /** Fences every earlier incarnation, on whatever machine; resolves the first offsets of a new group. */
  async takeOver(client: KafkaClient, member: GroupMember): Promise<void> {
    const { facts: { groupId }, topics: { transactions } } = this.options;
    // One who has stood by may know the topics as they were long ago.
    await this.watch.look();
    const ids = partitionNumbers(this.#partitionsOf(transactions)).map((n) =>
      transactionalId(groupId, n)
    );
    const opened = await this.#initialise(client, [...ids, queryTransactionalId(groupId)]);
    const first = opened.find((producer) => producer !== null) ?? null;
    await this.#settle(client, first, member, await this.options.user.hasCheckpoints());
  }

  /**
   * Initialises transactional ids, which ends what is open of them.
   *
   * @returns null in place of one that is blocked: it can commit nothing that the group's offsets do not show when they
   *   are stable
   */
  async #initialise(
    client: KafkaClient,
    ids: readonly string[],
  ): Promise<readonly (TransactionalProducer | null)[]> {
    const { facts: { groupId, transactionTimeoutMs: timeoutMs }, clock, topics } = this.options;
    const { view } = this.watch;
    const mayBlock = outputsOf(topics)
      .some((topic) => (view.topics[topic]?.offline.length ?? 0) > 0);
    if (client.findsMany) await client.findCoordinators("transaction", ids);
    const patience = mayBlock ? { giveUpMs: BLOCKED_MS_MAX } : {};
    return await Promise.all(
      ids.map((transactionalId) =>
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
  }

  /** Commits the first offsets if there are none, and goes on at the ends of cut logs if that is accepted. */
  async #settle(
    client: KafkaClient,
    producer: TransactionalProducer | null,
    member: GroupMember,
    hasCheckpoints: boolean,
  ): Promise<void> {
    const { facts: { groupId }, clock, topics: { transactions, queries } } = this.options;
    const committed = await fetchCommitted(client, clock, {
      groupId,
      topics: this.#inputs,
      view: this.watch.view,
      isQueries: (topic) => topic === queries,
      acceptsNewQueries: this.options.acceptOffset,
    });
    if (!isEmpty(committed) && !this.options.acceptOffset) {
      return await this.#checkNotSetBack(positionsOf(committed.get(transactions)));
    }
    if (!producer) throw new LostError("Outputs have no leaders: no transaction can be begun");
    if (isEmpty(committed)) await this.#firstStart(client, producer, member, hasCheckpoints);
    else {
      await this.#acceptQueries(client, producer, member, committed.get(queries) ?? new Map());
      for (const topic of [transactions, queries]) {
        await this.#acceptEnds(client, producer, member, topic, positionsOf(committed.get(topic)));
      }
    }
    this.#hasAccepted = true;
  }

  get #inputs(): readonly TopicPartitions<number>[] {
    const { topics: { transactions, queries } } = this.options;
    return [transactions, queries].map((topic) => ({
      topic,
      partitions: partitionNumbers(this.#partitionsOf(topic)),
    }));
  }

  // ---- of a group that shares partitions ----

  /**
   * Whether its first offsets are to be committed, or what --accept-offset asks for is to be done. Open transactions are
   * not waited for here, as that would hold the whole group.
   */
  async isStarting(client: KafkaClient): Promise<boolean> {
    const { facts: { groupId }, clock, acceptOffset } = this.options;
    await this.watch.look();
    if (acceptOffset && !this.#hasAccepted) return true;
    return !await hasOffsets(client, clock, groupId, this.#inputs);
  }

  /** Does so, as the leader of a generation in which nobody else commits anything. */
  async start(
    client: KafkaClient,
    member: GroupMember,
    { slot, hasCheckpoints }: { readonly slot: number; readonly hasCheckpoints: boolean },
  ): Promise<void> {
    const [own] = slotIds(this.options.facts.groupId, slot, 1);
    const [producer] = await this.#initialise(client, [own!]);
    await this.#settle(client, producer!, member, hasCheckpoints);
  }

  /** Ends what is open of a process that is gone. */
  async clear(client: KafkaClient, slot: number, workers: number): Promise<void> {
    await this.#initialise(client, slotIds(this.options.facts.groupId, slot, workers));
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
    hasCheckpoints: boolean,
  ): Promise<void> {
    const { facts, topics: { transactions, queries }, user, acceptOffset } = this.options;
    if (hasCheckpoints && !acceptOffset) {
      throw new StopError(
        `There are checkpoints, but group ${facts.groupId} has no committed offset`,
        "set the kafka.group.id that they were made with; if its offsets expired or were removed, start " +
          "with an empty file for the state (state.kv), which folds the topic again from its first record, " +
          "or with --accept-offset, which goes on where the newest checkpoints stand: what was written since " +
          "they were made is written again",
      );
    }
    const checkpoints = await user.newestCheckpoints(this.options.id, this.options.topicId());
    const offsets: TopicPartitions<{ partition: number; offset: number; metadata: string }>[] = [];
    for (const [topic, which] of [[transactions, "earliest"], [queries, "latest"]] as const) {
      const found = await client.offsets(topic, partitionNumbers(this.#partitionsOf(topic)), which);
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
      await this.#acceptEnds(client, producer, member, transactions, checkpoints);
      return;
    }
    log.info("Group {group} is new: transactions from the first record on, queries from now on", {
      group: facts.groupId,
    });
  }

  /**
   * A checkpoint is published when its offset is committed: one ahead of the committed offset shows that somebody has
   * set that back, or that the brokers have lost it. What was written since would be written again.
   *
   * @throws {StopError}
   */
  async #checkNotSetBack(committed: ReadonlyMap<number, CommittedPosition>): Promise<void> {
    const { facts: { groupId }, id, user, topics: { transactions } } = this.options;
    const checkpoints = await user.newestCheckpoints(id, null);
    for (const [partition, { offset }] of committed) {
      const newest = checkpoints.get(partition)?.offset ?? 0;
      if (newest <= offset) continue;
      throw new StopError(
        `The committed offset ${offset} of group ${groupId} for ${transactions}-${partition} lies before ${newest}, ` +
          "where the newest checkpoint stands: a tool has set it back, or the brokers have lost it",
        `set it to where the job stood; or start with --accept-offset, which goes on at ${offset}: results from ` +
          "there on are written again",
      );
    }
  }

  /** Queries of which nothing is committed, as their topic was created anew, are read from their first record. */
  async #acceptQueries(
    client: KafkaClient,
    producer: TransactionalProducer,
    member: GroupMember,
    committed: ReadonlyMap<number, unknown>,
  ): Promise<void> {
    const { topics: { queries } } = this.options;
    const missing = partitionNumbers(this.#partitionsOf(queries)).filter((p) => !committed.has(p));
    if (missing.length === 0) return;
    const partitions = [...await client.offsets(queries, missing, "earliest")]
      .map(([partition, first]) => {
        const { offset, ...rest } = firstPosition(first);
        return { partition, offset, metadata: encodeMetadata(rest, this.#identityOf(queries)) };
      });
    await producer.commit([], member, [{ topic: queries, partitions }]);
    log.warn(
      "Queries of {topic} are answered from the first record on in partitions {partitions}",
      {
        topic: queries,
        partitions: missing.join(", "),
      },
    );
  }

  /** Takes committed offsets back to the ends of logs that have lost records. */
  async #acceptEnds(
    client: KafkaClient,
    producer: TransactionalProducer,
    member: GroupMember,
    topic: string,
    committed: ReadonlyMap<number, CommittedPosition>,
  ): Promise<void> {
    const { clock, facts: { groupId }, topics: { queries } } = this.options;
    const { topicId: id } = this.#identityOf(topic);
    const offsets = new Map([...committed].map(([p, { offset }]) => [p, offset]));
    const input = { name: topic, id, groupId, isQueries: topic === queries };
    const ends = await logEnds(client, clock, input, offsets);
    const lost = [...committed].filter(([partition, { offset }]) => offset > ends.get(partition)!);
    if (lost.length === 0) return;
    const partitions = lost.map(([partition, { start, ...rest }]) => {
      const offset = ends.get(partition)!;
      const from = start === null ? null : Math.min(start, offset);
      const metadata = encodeMetadata({ ...rest, start: from }, this.#identityOf(topic));
      return { partition, offset, metadata };
    });
    await producer.commit([], member, [{ topic, partitions }]);
    for (const [partition, { offset }] of lost) {
      log.warn(
        "Partition {partition} of {topic} goes on at the end of its log, {end}: {offset} was committed",
        {
          partition,
          topic,
          end: ends.get(partition),
          offset,
        },
      );
    }
  }

  /** Which log offsets are of that are not those behind a batch. */
  #identityOf(topic: string): LogIdentity {
    return { ...UNKNOWN_LOG, topicId: this.watch.view.topics[topic]?.id ?? null };
  }
}

function isEmpty(committed: CommittedEntries): boolean {
  return [...committed.values()].every((positions) => positions.size === 0);
}
