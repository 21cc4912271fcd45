import type { KafkaConfig } from "kafkajs";
import type { Waits } from "../../engine/mod.ts";
import type { Clock } from "../../types/mod.ts";
import {
  FIND_COORDINATOR_API_KEY,
  FIND_COORDINATORS_VERSION,
  findCoordinatorsExchange,
} from "../protocol/coordinators.ts";
import {
  FETCH_API_KEY,
  FETCH_VERSIONS,
  type FetchAnswer,
  type FetchedFrom,
  type FetchedTopic,
  fetchExchange,
  type FetchOptions,
} from "../protocol/fetch.ts";
import {
  METADATA_API_KEY,
  METADATA_VERSIONS,
  metadataExchange,
  type TopicMetadata,
} from "../protocol/metadata.ts";
import {
  decodeProduce,
  encodeProduce,
  PRODUCE_API_KEY,
  PRODUCE_API_VERSION,
  type ProduceAnswer,
  type ProducedBatch,
} from "../protocol/produce.ts";
import {
  type BrokerInternals,
  type Cluster,
  type ConfigEntry,
  createCluster,
  type Exchange,
  protocolError,
} from "./internals.ts";
import { hideColons } from "./addresses.ts";
import { authenticationOf, type SaslOptions } from "./authentication.ts";
import { ClientClosedError, ErrorCode, errorCodeOf } from "./errors.ts";
import { isCoordinatorNotFound } from "./errors.ts";
import { Calls } from "./calls.ts";
import { frameSockets } from "./frame_socket.ts";
import { Frames } from "./frames.ts";
import { patchKafkajs } from "./patches.ts";
import { checkVersions } from "./versions.ts";

/** How brokers are reached; can be cloned for another thread. */
export interface ConnectionOptions {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly ssl?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly sasl?: SaslOptions;
  /** What stands in for kafkajs's connections, in a simulation within one thread. */
  readonly createCluster?: typeof createCluster;
}

export type CoordinatorKind = "group" | "transaction";

const CONNECTION_TIMEOUT_MS = 3000;
const CONNECT_MS_MAX = 8000;
const REQUEST_TIMEOUT_MS = 30_000;
const COORDINATOR_TYPES: Record<CoordinatorKind, number> = { group: 0, transaction: 1 };
/** Index of the connection for everything but fetches, which kafkajs keeps apart: a fetch waits. */
const MAIN_CONNECTION = 0;
const TOPIC_RESOURCE = 2;
/** What stands for the node id of a partition that has no leader. */
export const NO_LEADER = "-1";

const EARLIEST = -2;
const LATEST = -1;

/**
 * Connections to the brokers of one cluster, until the first of them fails: then all calls fail, and a
 * new client is to be made. kafkajs would connect again, but several callers at once open several
 * sockets on one connection, one of which may be closed for another, and a call may never end.
 */
export class KafkaClient {
  readonly #cluster: Cluster;
  readonly #coordinators = new Map<string, Promise<BrokerInternals>>();
  readonly #calls: Calls;
  /** Memory of the answers: whoever has read one says when it is not needed any more. */
  readonly frames = new Frames();

  /** @param waits where it is reported that something is waited for */
  constructor(
    readonly options: ConnectionOptions,
    readonly clock: Clock,
    readonly waits: Waits | null = null,
  ) {
    patchKafkajs();
    this.#calls = new Calls(clock);
    const { createCluster: create = createCluster, brokers, clientId, ssl, sasl } = options;
    this.#cluster = create({
      brokers: brokers.map(hideColons),
      clientId,
      ...(ssl ? { ssl } : {}),
      ...(sasl ? { sasl: authenticationOf(sasl) } : {}),
      socketFactory: frameSockets(sasl !== undefined, this.frames),
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      authenticationTimeout: REQUEST_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Whoever asks waits and tries again by himself; see errors.ts.
      retry: { initialRetryTime: 50, maxRetryTime: 200, retries: 2 },
    } as unknown as KafkaConfig);
  }

  /** Connects and loads the metadata of the topics; of all topics without an argument. */
  connect(topics: readonly string[] = []): Promise<void> {
    return this.call(
      async () => {
        await this.#cluster.connect();
        const { versions } = this.#cluster.brokerPool;
        if (versions) checkVersions(versions);
        if (topics.length > 0) await this.#cluster.addMultipleTargetTopics(topics);
        else await this.#cluster.refreshMetadata();
      },
      "Metadata",
      CONNECT_MS_MAX,
    );
  }

  close(): Promise<void> {
    this.#calls.break(new ClientClosedError("The client was closed"));
    return this.#cluster.disconnect();
  }

  refresh(): Promise<void> {
    this.#coordinators.clear();
    return this.call(() => this.#cluster.refreshMetadata(), "Metadata");
  }

  /** Whether a connection has failed. */
  get isBroken(): boolean {
    return this.#calls.broken !== null;
  }

  /**
   * Does something with the brokers, in so many ms at the most, or up to a second more.
   *
   * @param what is done, for who reads that it hung
   * @throws what it throws; when a connection fails, or nothing comes, the client is of no use any more
   */
  call<T>(
    work: () => Promise<T>,
    what: string,
    timeoutMs: number = REQUEST_TIMEOUT_MS,
  ): Promise<T> {
    return this.#calls.call(work, what, timeoutMs);
  }

  #throttle({ clientSideThrottleTime: ms }: { readonly clientSideThrottleTime: number }): void {
    if (ms > 0) this.#calls.throttle(ms);
  }

  get #metadata() {
    const { metadata } = this.#cluster.brokerPool;
    if (!metadata) throw new Error("The client is not connected");
    return metadata;
  }

  get clusterId(): string {
    return this.#metadata.clusterId;
  }

  /** Whether brokers offer a version of a request, or a later one. */
  takes(apiKey: number, version: number): boolean {
    return (this.#cluster.brokerPool.versions?.[apiKey]?.maxVersion ?? -1) >= version;
  }

  /** Looks topics up by their names: a missing one has an error code, and nothing is created. */
  async describe(topics: readonly string[]): Promise<Map<string, TopicMetadata>> {
    const { oldest, withIds } = METADATA_VERSIONS;
    const version = this.takes(METADATA_API_KEY, withIds) ? withIds : oldest;
    const broker = await this.controller();
    const answer = await this.send(broker, metadataExchange(topics, version));
    return new Map(answer.topics.map((topic) => [topic.topic, topic]));
  }

  /** Partitions by topic, of the topics whose metadata is loaded. */
  get topics(): Map<string, number> {
    return new Map(
      this.#metadata.topicMetadata.map((t) => [t.topic, t.partitionMetadata.length]),
    );
  }

  /** Node id of the leader; NO_LEADER if there is none. */
  leaderOf(topic: string, partition: number): string {
    const found = this.#cluster.findTopicPartitionMetadata(topic)
      .find((p) => p.partitionId === partition);
    return String(found?.leader ?? -1);
  }

  /** Whether a partition of the topics has no leader; their metadata must be loaded. */
  hasOffline(topics: readonly string[]): boolean {
    return topics.some((topic) =>
      Array.from({ length: this.topics.get(topic) ?? 0 }, (_, p) => this.leaderOf(topic, p))
        .includes(NO_LEADER)
    );
  }

  broker(nodeId: string): Promise<BrokerInternals> {
    if (nodeId === NO_LEADER) return Promise.reject(noLeader("A partition has"));
    return this.call(() => this.#cluster.findBroker({ nodeId }), `connecting to node ${nodeId}`);
  }

  controller(): Promise<BrokerInternals> {
    return this.call(() => this.#cluster.findControllerBroker(), "connecting to the controller");
  }

  /** The coordinator of a group or a transactional id; remembered until it is forgotten. */
  coordinator(kind: CoordinatorKind, id: string): Promise<BrokerInternals> {
    const key = `${kind} ${id}`;
    const known = this.#coordinators.get(key);
    if (known) return known;
    const found = this.call(async () => {
      const wanted = { groupId: id, coordinatorType: COORDINATOR_TYPES[kind] };
      try {
        return await this.#cluster.findGroupCoordinator(wanted);
      } catch (error) {
        if (!isCoordinatorNotFound(error)) throw error;
        // kafkajs keeps the reason to itself; a broker that is asked here says it.
        await (await this.#cluster.findControllerBroker()).findGroupCoordinator(wanted);
        throw error;
      }
    }, `FindCoordinator of ${key}`);
    this.#coordinators.set(key, found);
    found.catch(() => this.#coordinators.delete(key));
    return found;
  }

  /** Whether brokers look the coordinators of many ids up by one request. */
  get findsMany(): boolean {
    return this.takes(FIND_COORDINATOR_API_KEY, FIND_COORDINATORS_VERSION);
  }

  /** Does so. What is not found so is looked up when it is asked for, and so is why. */
  async findCoordinators(kind: CoordinatorKind, ids: readonly string[]): Promise<void> {
    const exchange = findCoordinatorsExchange(COORDINATOR_TYPES[kind], ids);
    const answer = await this.send(await this.controller(), exchange);
    this.#throttle(answer);
    const brokers = new Map<number, BrokerInternals>();
    for (const { id, nodeId, errorCode } of answer.coordinators) {
      if (errorCode !== 0) continue;
      const broker = brokers.get(nodeId) ??
        await this.broker(String(nodeId)).catch(() => null); // one that is not known yet
      if (!broker) continue;
      brokers.set(nodeId, broker);
      this.#coordinators.set(`${kind} ${id}`, Promise.resolve(broker));
    }
  }

  forgetCoordinator(kind: CoordinatorKind, id: string): void {
    this.#coordinators.delete(`${kind} ${id}`);
  }

  send<T>(broker: BrokerInternals, exchange: Exchange<T>): Promise<T> {
    return this.call(() => broker.connectionPool.send(exchange), exchange.request.apiName);
  }

  /** Whether brokers take fetches that name a topic by its id. */
  get fetchesById(): boolean {
    return this.takes(FETCH_API_KEY, FETCH_VERSIONS.byId);
  }

  /** Fetches from one leader; by the topic's id where there is one and brokers take it. */
  async fetch(
    nodeId: string,
    { name, id }: FetchedTopic,
    from: readonly FetchedFrom[],
    options: FetchOptions,
  ): Promise<FetchAnswer> {
    const broker = await this.broker(nodeId);
    const answer = await this.send(broker, {
      ...fetchExchange({ name, id: this.fetchesById ? id : null }, from, options),
      requestTimeout: options.maxWaitMs + REQUEST_TIMEOUT_MS,
    });
    this.#throttle(answer);
    return answer;
  }

  /**
   * Writes batches to one leader. Resolves when the frame is on its way, so that calls one after the
   * other keep their order on the wire.
   */
  async produce(
    nodeId: string,
    transactionalId: string | null,
    batches: readonly ProducedBatch[],
  ): Promise<{ readonly acknowledged: Promise<ProduceAnswer> }> {
    if (nodeId === NO_LEADER) {
      const names = batches.map(({ topic, partition }) => `${topic}-${partition}`);
      throw noLeader(`${names.join(", ")} have`, names);
    }
    const broker = await this.broker(nodeId);
    const connection = await this.call(async () => {
      const connection = await broker.connectionPool.getConnection(MAIN_CONNECTION);
      if (!connection.isAuthenticated()) await connection.authenticate();
      return connection;
    }, `connecting to node ${nodeId}`);
    connection.failIfNotConnected();
    const correlationId = connection.nextCorrelationId();
    const parts = encodeProduce({
      clientId: connection.clientId,
      correlationId,
      transactionalId,
      timeoutMs: REQUEST_TIMEOUT_MS,
      batches,
    });
    const write = () =>
      new Promise<{ readonly payload: Uint8Array }>((resolve, reject) =>
        connection.requestQueue.push({
          entry: {
            apiKey: PRODUCE_API_KEY,
            apiName: "Produce",
            apiVersion: PRODUCE_API_VERSION,
            correlationId,
            resolve,
            reject,
          },
          expectResponse: true,
          requestTimeout: null,
          sendRequest: () => {
            for (const part of parts) connection.socket.write(part);
          },
        })
      );
    // On its way by the time that call returns, unless the client has broken meanwhile.
    const acknowledged = this.call(write, "Produce").then(({ payload }) => {
      const answer = decodeProduce(payload);
      connection.requestQueue.maybeThrottle(answer.clientSideThrottleTime);
      this.#throttle(answer);
      return answer;
    });
    acknowledged.catch(() => {}); // whoever commits awaits it
    return { acknowledged };
  }

  /** First offsets, or last stable ones, by partition. */
  async offsets(
    topic: string,
    partitions: readonly number[],
    which: "earliest" | "latest",
  ): Promise<Map<number, number>> {
    const timestamp = which === "earliest" ? EARLIEST : LATEST;
    const found = new Map<number, number>();
    const byLeader = Map.groupBy(partitions, (p) => this.leaderOf(topic, p));
    const leaderless = byLeader.get(NO_LEADER);
    if (leaderless) throw noLeader(`Partitions ${leaderless.join(", ")} of ${topic} have`);
    await Promise.all([...byLeader].map(async ([nodeId, some]) => {
      const broker = await this.broker(nodeId);
      const { responses } = await this.call(() =>
        broker.listOffsets({
          isolationLevel: 1,
          topics: [{ topic, partitions: some.map((partition) => ({ partition, timestamp })) }],
        }), "ListOffsets");
      for (const { partition, offset } of responses.flatMap((r) => r.partitions)) {
        found.set(partition, Number(offset));
      }
    }));
    return found;
  }

  /** The settings of topics, by topic and name; without those that the user may not see. */
  async topicConfigs(topics: readonly string[]): Promise<Map<string, Map<string, string | null>>> {
    const broker = await this.controller();
    const found = await Promise.all(topics.map(async (name) => {
      try {
        const resources = [{ type: TOPIC_RESOURCE, name }];
        return await this.call(() => broker.describeConfigs({ resources }), "DescribeConfigs");
      } catch (error) {
        if (errorCodeOf(error) !== ErrorCode.TopicAuthorizationFailed) throw error;
        return { resources: [] };
      }
    }));
    const settings = (entries: readonly ConfigEntry[]) =>
      new Map(entries.map((e) => [e.configName, e.configValue]));
    return new Map(
      found.flatMap((f) => f.resources).map((r) => [r.resourceName, settings(r.configEntries)]),
    );
  }
}

interface NoLeaderError extends Error {
  /** Partitions that could not be written to, as `topic-partition`. */
  readonly unwritten: readonly string[];
}

function noLeader(who: string, unwritten: readonly string[] = []): NoLeaderError {
  const message = `${who} no leader now`;
  return Object.assign(protocolError(ErrorCode.LeaderNotAvailable), { message, unwritten });
}

/** Partitions, as `topic-partition`, that an error says have no leader to write to. */
export function unwrittenOf(error: unknown): readonly string[] {
  return (error as Partial<NoLeaderError>).unwritten ?? [];
}
