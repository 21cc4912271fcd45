// kafkajs's cluster as src/kafka/client uses it, before simulated brokers: requests of one client take
// time, are lost, or are refused.

import { ErrorCode as E } from "../../../src/kafka/client/errors.ts";
import {
  type BrokerInternals,
  type Cluster,
  type Connection,
  type Exchange,
  type PartitionMetadata,
  protocolError,
} from "../../../src/kafka/client/internals.ts";
import type { OfferedVersions } from "../../../src/kafka/client/versions.ts";
import type { CoordinatorKind } from "../../../src/kafka/client/kafka_client.ts";
import type { SimProcess } from "../process.ts";
import type { Brokers, Node } from "./brokers.ts";
import { brokerNotFound, connectionError, coordinatorNotFound } from "./client_errors.ts";
import { answerFetch } from "./fetches.ts";
import { type Api, COORDINATOR_ERRORS, refusalsOf } from "./refusals.ts";
import {
  metadataAnswer,
  offsetCommitAnswer,
  offsetFetchAnswer,
  produceAnswer,
  readFetch,
  readMetadata,
  readOffsetCommit,
  readOffsetFetch,
  readProduce,
} from "./wire_answers.ts";

const APIS: Readonly<Record<number, Api>> = {
  1: "Fetch",
  3: "Metadata",
  9: "OffsetFetch",
  28: "TxnOffsetCommit",
};

/** Versions of Fetch and Metadata by what brokers know of topic ids. */
const VERSIONS = {
  fetch: versions(13, 10),
  metadata: versions(12, 10),
  none: versions(11, 9),
} as const;

function versions(fetch: number, metadata: number): OfferedVersions {
  const newest = { 0: 8, 1: fetch, 3: metadata, 9: 7, 11: 5, 28: 3 };
  return Object.fromEntries(
    Object.entries(newest).map(([key, maxVersion]) => [key, { minVersion: 0, maxVersion }]),
  );
}

export class SimCluster implements Cluster {
  readonly brokerPool: { -readonly [K in keyof Cluster["brokerPool"]]: Cluster["brokerPool"][K] };
  #closed = false;
  /** When the last request of each connection arrives, in virtual ms. */
  readonly #arrivals = new Map<number, number>();

  constructor(readonly brokers: Brokers, readonly process: SimProcess) {
    const versions = VERSIONS[process.sim.plan.kafka.topicIds];
    this.brokerPool = { metadata: null, versions };
  }

  // ---- requests ----

  /** A request to a broker, and its answer; in between anything may fail. */
  request<T>(node: Node, api: Api, effect: () => T | Promise<T>): Promise<T> {
    const { sim } = this.process;
    const isEnd = api === "EndTxn";
    const endLost = isEnd && sim.happens("end fails, not done");
    const endDone = isEnd && !endLost && sim.happens("end fails, done");
    const lost = sim.happens("request lost");
    const answerLost = !lost && sim.happens("answer lost");
    const silent = sim.happens("no answer");
    const late = sim.happens("answer late");
    const refusal = this.#refusal(api);
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(connectionError("The client is closed"));
      const fail = (error: Error) => {
        node.pending.delete(fail);
        this.process.after(sim.between(0.05, 1), () => reject(error));
      };
      const settle = (run: () => void) => {
        if (silent || !node.pending.delete(fail)) return;
        this.process.after(late ? sim.between(50, 2500) : sim.between(0.05, 1.5), run);
      };
      const answerError = (error: Error) => {
        sim.trace(this.process.name, () => `${api}: ${error.message}`);
        settle(() => reject(error));
      };
      node.pending.add(fail);
      this.process.call(() => {
        if (!node.pending.has(fail)) return; // the connection broke meanwhile
        if (!node.isUp) return fail(connectionError("Connection refused"));
        if (lost) return fail(connectionError("Connection reset"));
        if (refusal !== 0) return answerError(protocolError(refusal));
        if (endLost) return answerError(this.#endError());
        let result: Promise<T>;
        try {
          result = Promise.resolve(effect());
        } catch (error) {
          return answerError(error as Error);
        }
        result.catch(() => {}); // its answer may be lost
        if (answerLost) return fail(connectionError("Connection reset"));
        if (endDone) return answerError(this.#endError());
        result.then((value) => settle(() => resolve(value)), answerError);
      }, { latencyMs: this.#latency(node, api), sent: true });
    });
  }

  /** Requests of one connection arrive in their order; fetches have one of their own. */
  #latency(node: Node, api: Api): number {
    const { sim } = this.process;
    const connection = api === "Fetch" ? -1 - node.id : node.id;
    const last = this.#arrivals.get(connection) ?? 0;
    const at = Math.max(sim.now + sim.between(0.05, 1.5), last + 0.001);
    this.#arrivals.set(connection, at);
    return at - sim.now;
  }

  #refusal(api: Api): number {
    const { sim } = this.process;
    for (const [kind, codes] of refusalsOf(api)) {
      if (codes.length > 0 && sim.happens(kind)) return sim.pick(codes);
    }
    return 0;
  }

  /** What an end that failed may be answered with, whether it happened or not. */
  #endError(): Error {
    const code = this.process.sim.pick([...COORDINATOR_ERRORS, 0, 0]);
    return code === 0 ? connectionError("Connection reset") : protocolError(code);
  }

  // ---- connections and metadata ----

  connect(): Promise<void> {
    const { brokers, process } = this;
    const { sim } = process;
    const node = brokers.someUp;
    const error = !node || sim.happens("no connection");
    if (error) {
      return new Promise((_, reject) =>
        process.after(sim.between(1, 50), () => reject(connectionError("Connection refused")))
      );
    }
    return this.request(node, "Metadata", () => this.#look());
  }

  #look(): void {
    const { topics, storage } = this.brokers;
    this.brokerPool.metadata = {
      clusterId: "simulated",
      topicMetadata: Object.keys(topics).map((topic) => ({
        topic,
        partitionMetadata: storage.topic(topic).map(({ partition: partitionId }) => ({
          partitionId,
          leader: this.brokers.leader(topic, partitionId)?.id ?? -1,
        })),
      })),
    };
  }

  disconnect(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  async refreshMetadata(): Promise<void> {
    const node = this.brokers.someUp;
    if (!node) throw connectionError("Connection refused");
    await this.request(node, "Metadata", () => this.#look());
  }

  addMultipleTargetTopics(): Promise<void> {
    return this.refreshMetadata();
  }

  findTopicPartitionMetadata(topic: string): readonly PartitionMetadata[] {
    const found = this.brokerPool.metadata?.topicMetadata.find((t) => t.topic === topic);
    if (!found) throw new Error(`No metadata of ${topic}`);
    return found.partitionMetadata;
  }

  findBroker({ nodeId }: { nodeId: string }): Promise<BrokerInternals> {
    const node = this.brokers.nodes[Number(nodeId)];
    if (!node) return Promise.reject(brokerNotFound(nodeId));
    if (!node.isUp) return Promise.reject(connectionError("Connection refused"));
    return Promise.resolve(this.#broker(node));
  }

  findControllerBroker(): Promise<BrokerInternals> {
    return this.findBroker({ nodeId: "0" });
  }

  async findGroupCoordinator(
    { coordinatorType }: { groupId: string; coordinatorType: number },
  ): Promise<BrokerInternals> {
    const kind: CoordinatorKind = coordinatorType === 0 ? "group" : "transaction";
    const asked = this.brokers.someUp;
    if (!asked) throw connectionError("Connection refused");
    const node = await this.request(
      asked,
      "FindCoordinator",
      () => this.brokers.coordinatorNode(kind),
    );
    if (!node.isUp) throw coordinatorNotFound();
    return this.#broker(node);
  }

  // ---- one broker ----

  #broker(node: Node): BrokerInternals {
    const { brokers, process } = this;
    const { group, transactions } = brokers;
    const coordinated = <T>(kind: CoordinatorKind, api: Api, effect: () => T | Promise<T>) =>
      this.request(node, api, () => {
        if (!brokers.isCoordinator(kind, node)) throw protocolError(E.NotCoordinator);
        if (!brokers.isLoaded(kind)) throw protocolError(E.CoordinatorLoading);
        return effect();
      });
    const unused = () => Promise.reject(new Error("This is not simulated"));
    return {
      connectionPool: {
        send: (exchange) => this.#send(node, exchange, coordinated),
        getConnection: () => Promise.resolve(this.#connection(node)),
      },
      joinGroup: ({ memberId, sessionTimeout, groupProtocols: [protocol] }) =>
        coordinated(
          "group",
          "JoinGroup",
          () => group.join(memberId, sessionTimeout, process, protocol!.metadata),
        ),
      syncGroup: ({ memberId, generationId, groupAssignment }) =>
        coordinated(
          "group",
          "SyncGroup",
          () => group.sync(memberId, generationId, groupAssignment),
        ),
      heartbeat: ({ memberId, groupGenerationId }) =>
        coordinated("group", "Heartbeat", () => group.heartbeat(memberId, groupGenerationId)),
      leaveGroup: ({ memberId }) =>
        coordinated("group", "LeaveGroup", () => group.leave(memberId, process)),
      listOffsets: ({ topics }) =>
        this.request(node, "ListOffsets", () => ({
          responses: topics.map(({ topic, partitions }) => ({
            topic,
            partitions: partitions.map(({ partition, timestamp }) => {
              if (brokers.leader(topic, partition) !== node) throw protocolError(E.NotLeader);
              const tp = brokers.storage.topic(topic)[partition]!;
              return {
                partition,
                offset: String(timestamp === -2 ? tp.start : brokers.stableEnd(tp)),
              };
            }),
          })),
        })),
      initProducerId: ({ transactionalId, transactionTimeout }) =>
        coordinated(
          "transaction",
          "InitProducerId",
          () => transactions.init(transactionalId!, transactionTimeout),
        ),
      addPartitionsToTxn: ({ topics, ...identity }) =>
        coordinated("transaction", "AddPartitionsToTxn", () =>
          transactions.addPartitions(
            identity,
            topics.flatMap(({ topic, partitions }) => partitions.map((p) => `${topic}/${p}`)),
          )),
      addOffsetsToTxn: (identity) =>
        coordinated("transaction", "AddOffsetsToTxn", () => transactions.addOffsets(identity)),
      endTxn: ({ transactionResult, ...identity }) =>
        coordinated(
          "transaction",
          "EndTxn",
          () => transactions.end(identity, transactionResult, process),
        ),
      findGroupCoordinator: ({ coordinatorType }) =>
        this.request(
          node,
          "FindCoordinator",
          () => brokers.coordinatorNode(coordinatorType === 0 ? "group" : "transaction"),
        ),
      createTopics: unused,
      describeConfigs: ({ resources }) =>
        this.request(node, "DescribeConfigs", () => ({
          resources: resources.map(({ name }) => ({
            resourceName: name,
            configEntries: brokers.settingsOf(name),
          })),
        })),
    };
  }

  /** A request that src/kafka encodes by itself. */
  async #send<T>(
    node: Node,
    { request, response }: Exchange<T>,
    coordinated: <R>(k: CoordinatorKind, api: Api, effect: () => R | Promise<R>) => Promise<R>,
  ): Promise<T> {
    const api = APIS[request.apiKey]!;
    const body = request.encode().buffer.slice();
    const version = request.apiVersion;
    const payload =
      await (api === "Fetch"
        ? this.request(node, api, () => answerFetch(this, node, readFetch(body, version)))
        : api === "Metadata"
        ? this.request(node, api, () => this.#describe(body, version))
        : coordinated(
          "group",
          api,
          () => api === "OffsetFetch" ? this.#offsets(body) : this.#commit(body),
        ));
    return response.parse(response.decode(payload));
  }

  #describe(body: Uint8Array, version: number): Uint8Array {
    const topics = readMetadata(body, version).map((topic) => this.brokers.describe(topic));
    return metadataAnswer(topics, version);
  }

  #offsets(body: Uint8Array): Uint8Array {
    const { group, transactions } = this.brokers;
    const { topics, stable } = readOffsetFetch(body);
    return offsetFetchAnswer(
      topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map((partition) => {
          const name = `${topic}/${partition}`;
          const { offset, metadata } = group.offsets.get(name) ?? { offset: -1, metadata: "" };
          const unstable = stable && transactions.isUnstable(name);
          return unstable
            ? { partition, offset: -1, metadata: "", errorCode: E.UnstableOffsetCommit }
            : { partition, offset, metadata, errorCode: 0 };
        }),
      })),
      0,
    );
  }

  #commit(body: Uint8Array): Uint8Array {
    const request = readOffsetCommit(body);
    return offsetCommitAnswer(request, this.brokers.transactions.commitOffsets(request));
  }

  /** A connection that produce requests are written to, byte by byte. */
  #connection(node: Node): Connection {
    const { sim } = this.process;
    let correlation = 0;
    const parts: Uint8Array[] = [];
    const socket = { cork() {}, write: (bytes: Uint8Array) => parts.push(bytes) > 0, uncork() {} };
    return {
      clientId: "simulated",
      isAuthenticated: () => true,
      authenticate: () => Promise.resolve(),
      failIfNotConnected: () => {
        if (this.#closed || !node.isUp) throw connectionError("Not connected");
      },
      nextCorrelationId: () => correlation++,
      socket,
      requestQueue: {
        pending: [],
        scheduleCheckPendingRequests() {},
        maybeThrottle() {},
        push: ({ entry, sendRequest }) => {
          sendRequest();
          const frame = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
          parts.reduce((at, part) => (frame.set(part, at), at + part.length), 0);
          const refusal = sim.pick([E.NotLeader, E.LeaderNotAvailable, E.UnknownTopicOrPartition]);
          this.request(node, "Produce", () => this.#produce(node, frame, refusal))
            .then((payload) => entry.resolve({ payload }), entry.reject);
        },
      },
    };
  }

  #produce(node: Node, frame: Uint8Array, refusal: number): Uint8Array {
    const { brokers } = this;
    const { transactionalId, batches } = readProduce(frame);
    return produceAnswer(batches.map(({ topic, partition, bytes }) => {
      const led = brokers.leader(topic, partition) === node;
      const written = led
        ? brokers.transactions.write(transactionalId, { topic, partition, bytes })
        : { errorCode: refusal, baseOffset: -1 };
      return { topic, partition, ...written };
    }));
  }
}
