import { getLogger } from "@logtape/logtape";
import type { Waits } from "../engine/mod.ts";
import { LostError, StopError } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";
import { ErrorCode, errorCodeOf, isUnavailable, reasonOf, stopErrorOf } from "./client/errors.ts";
import type { BrokerInternals } from "./client/internals.ts";
import { type ConnectionOptions, KafkaClient } from "./client/kafka_client.ts";
import { callCoordinator } from "./client/retry.ts";
import {
  CONSUMER_GROUP_DESCRIBE,
  consumerGroupDescribeExchange,
} from "./protocol/consumer_groups.ts";

const log = getLogger(["stockflow", "kafka"]);

const BACK_OFF_FIRST_MS = 50;
const BACK_OFF_MAX_MS = 2000;
/** What a wait for the group, or for what a take-over needs, is called. */
const GROUP = "group";

export interface GroupConnectionOptions {
  readonly connection: ConnectionOptions;
  readonly groupId: string;
  /** Partitions by input topic. */
  readonly inputs: () => ReadonlyMap<string, number>;
  readonly clock: Clock;
  /** Where it is reported that something is waited for. */
  readonly waits?: Waits;
}

/** The connection of a member to its group's coordinator; made anew when it fails. */
export class GroupConnection {
  #client: Promise<KafkaClient> | null = null;

  /** @param stop ends what is tried again */
  constructor(readonly options: GroupConnectionOptions, readonly stop: AbortSignal) {}

  /** The present client, which may still be connecting; null before the first and after one was dropped. */
  get current(): Promise<KafkaClient> | null {
    return this.#client;
  }

  /** One client for all who ask at the same time. */
  client(): Promise<KafkaClient> {
    if (this.#client) return this.#client;
    const connecting = this.#connect();
    this.#client = connecting;
    connecting.catch(() => this.drop(connecting));
    return connecting;
  }

  async #connect(): Promise<KafkaClient> {
    const { connection, clock, waits, inputs } = this.options;
    const client = new KafkaClient(connection, clock, waits ?? null);
    try {
      // Of an input that is gone only its metadata is missing; the group is there.
      await client.connect([...inputs().keys()]).catch((error) => {
        if (errorCodeOf(error) !== ErrorCode.UnknownTopicOrPartition) throw error;
        return client.connect();
      });
    } catch (error) {
      void client.close().catch(() => {});
      throw error;
    }
    return client;
  }

  /** Drops the client, unless another has come in its place. */
  drop(used: Promise<KafkaClient> | null = this.#client): void {
    if (!used || used !== this.#client) return;
    this.#client = null;
    void used.then((client) => client.close()).catch(() => {});
  }

  /**
   * Calls the group's coordinator; waits without end for brokers that are not there.
   *
   * @throws {StopError} when they refuse for good
   */
  async call<T>(call: (coordinator: BrokerInternals) => Promise<T>): Promise<T> {
    const { clock, groupId } = this.options;
    for (let failures = 0;; failures++) {
      const client = this.client();
      try {
        return await callCoordinator(await client, clock, "group", groupId, call);
      } catch (error) {
        const stop = stopErrorOf(error, { group: groupId });
        if (stop || !isUnavailable(error) || this.stop.aborted) throw stop ?? error;
        if (failures === 0) {
          log.warn("Kafka does not answer: {reason}; trying again", { reason: reasonOf(error) });
        }
        this.failed(error);
        this.drop(client);
        await clock.sleep(Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** failures), this.stop);
        if (this.stop.aborted) throw error;
      }
    }
  }

  /** What the group needs could not be done, and is tried again. */
  failed(error: unknown): void {
    // A loss says itself what is not there, which may be the store of checkpoints.
    const reason = error instanceof LostError
      ? error.message
      : `Kafka does not answer: ${reasonOf(error)}`;
    this.options.waits?.failed(GROUP, GROUP, { reason, blocks: "lookups" });
  }

  /** The group has answered. */
  answered(): void {
    this.options.waits?.over(GROUP);
  }

  /**
   * Looks whether the group has members of the new consumer protocol (KIP-848): to join them would disturb
   * them, and its assignments are not ours to make.
   *
   * @throws {StopError} when it has
   */
  async checkProtocol(): Promise<void> {
    const { groupId } = this.options;
    const exchange = consumerGroupDescribeExchange(groupId);
    const group = await this.call(async (coordinator) => {
      if (!(await this.client()).takes(CONSUMER_GROUP_DESCRIBE, 0)) return null;
      return (await coordinator.connectionPool.send(exchange)).group;
    });
    if (
      group === null || group.errorCode !== 0 || group.state === "Empty" || group.state === "Dead"
    ) return;
    throw new StopError(
      `Group ${groupId} is one of the new consumer protocol (group.protocol=consumer), with other members`,
      "stop them, or set another kafka.group.id",
    );
  }
}
