// What we touch inside kafkajs 2.2.4, by name and shape, and the check that it is there. kafkajs keeps
// connections, TLS, SASL, metadata and most requests; records go past its codecs, because those make
// several objects per record.

import type { AssignerProtocol as Assigner, KafkaConfig } from "kafkajs";
// @ts-types="./untyped.d.ts"
import plain from "kafkajs/src/broker/saslAuthenticator/plain.js";
// @ts-types="./untyped.d.ts"
import scram256 from "kafkajs/src/broker/saslAuthenticator/scram256.js";
// @ts-types="./untyped.d.ts"
import scram512 from "kafkajs/src/broker/saslAuthenticator/scram512.js";
// @ts-types="./untyped.d.ts"
import cluster from "kafkajs/src/cluster/index.js";
// @ts-types="./untyped.d.ts"
import assignerProtocol from "kafkajs/src/consumer/assignerProtocol.js";
// @ts-types="./untyped.d.ts"
import loggers from "kafkajs/src/loggers/index.js";
// @ts-types="./untyped.d.ts"
import connection from "kafkajs/src/network/connection.js";
// @ts-types="./untyped.d.ts"
import requestQueue from "kafkajs/src/network/requestQueue/index.js";
// @ts-types="./untyped.d.ts"
import protocolErrors from "kafkajs/src/protocol/error.js";
// @ts-types="./untyped.d.ts"
import protocolRequests from "kafkajs/src/protocol/requests/index.js";
import type { OfferedVersions } from "./versions.ts";

export interface RequestQueueInternals {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
  maybeThrottle(ms: number): void;
  push(request: PushedRequest): void;
}

/** What is patched beside that. */
export interface RequestQueuePrototype extends RequestQueueInternals {
  rejectAll(error: unknown): void;
}

export interface PushedRequest {
  readonly entry: {
    readonly apiKey: number;
    readonly apiName: string;
    readonly apiVersion: number;
    readonly correlationId: number;
    resolve(answer: { readonly payload: Uint8Array }): void;
    reject(error: unknown): void;
  };
  readonly expectResponse: true;
  readonly requestTimeout: number | null;
  sendRequest(): void;
}

export const RequestQueue = requestQueue as unknown as {
  readonly prototype: RequestQueuePrototype;
};

/** What a connection has received of the next answer. */
export interface ConnectionPrototype {
  chunks: Uint8Array[];
  readonly bytesBuffered: number;
  processData(data: Uint8Array): void;
  authenticate(this: SaslConnection): Promise<void>;
  send(this: SaslConnection, exchange: Exchange<unknown>): Promise<unknown>;
}

export const Connection = connection as unknown as { readonly prototype: ConnectionPrototype };

/** A request that kafkajs frames and sends, and how its answer is read. */
export interface Exchange<T> {
  readonly request: {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly apiName: string;
    encode(): EncodedRequest;
  };
  readonly response: {
    decode(payload: Uint8Array): T;
    parse(decoded: T): T;
  };
  readonly requestTimeout?: number;
  readonly logResponseError?: boolean;
}

/** The shape of kafkajs's Encoder that its framing looks at. */
export interface EncodedRequest {
  readonly buf: Uint8Array;
  readonly buffer: Uint8Array;
  size(): number;
}

export interface Connection {
  readonly clientId: string;
  readonly requestQueue: RequestQueueInternals;
  readonly socket: { write(bytes: Uint8Array): boolean };
  isAuthenticated(): boolean;
  authenticate(): Promise<void>;
  failIfNotConnected(): void;
  nextCorrelationId(): number;
}

/** What is used of a connection where SASL is patched. */
export interface SaslConnection extends Connection {
  /** host:port */
  readonly broker: string;
  /** Not null where SASL is used. */
  readonly sasl: object | null;
  /** How long the broker lets a session of SASL live, in ms; a Long, 0 = without end. */
  readonly sessionLifetime: unknown;
  /** ms before the end of a session at which it is renewed. */
  reauthenticationThreshold: number;
}

/** A step of SASL: its request, and how the broker's answer is read. */
export type SaslExchange = unknown;

export interface AuthenticationProviderArgs {
  readonly host: string;
  readonly port: number;
  readonly logger: unknown;
  saslAuthenticate(exchange: SaslExchange): Promise<unknown>;
}

export interface AuthenticationProvider {
  authenticate(): Promise<void>;
}

type BuiltInProvider = (
  sasl: { readonly username: string; readonly password: string },
) => (args: AuthenticationProviderArgs) => AuthenticationProvider;

export const builtInProviders = {
  "plain": plain,
  "scram-sha-256": scram256,
  "scram-sha-512": scram512,
} as unknown as Readonly<Record<"plain" | "scram-sha-256" | "scram-sha-512", BuiltInProvider>>;

export interface PartitionMetadata {
  readonly partitionId: number;
  readonly leader: number;
}

export interface JoinedGroup {
  readonly generationId: number;
  readonly leaderId: string;
  readonly memberId: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly memberMetadata?: Uint8Array;
  }[];
}

export interface ConfigEntry {
  readonly configName: string;
  readonly configValue: string | null;
}

/** A broker, with the requests that we leave to kafkajs. */
export interface BrokerInternals {
  readonly connectionPool: {
    send<T>(exchange: Exchange<T>): Promise<T>;
    getConnection(index: number): Promise<Connection>;
  };
  findGroupCoordinator(args: { groupId: string; coordinatorType: number }): Promise<unknown>;
  joinGroup(args: {
    groupId: string;
    sessionTimeout: number;
    rebalanceTimeout: number;
    memberId: string;
    groupProtocols: readonly { name: string; metadata: Uint8Array }[];
  }): Promise<JoinedGroup>;
  syncGroup(args: {
    groupId: string;
    generationId: number;
    memberId: string;
    groupAssignment: readonly { memberId: string; memberAssignment: Uint8Array }[];
  }): Promise<{ readonly memberAssignment: Uint8Array }>;
  heartbeat(
    args: { groupId: string; groupGenerationId: number; memberId: string },
  ): Promise<unknown>;
  leaveGroup(args: { groupId: string; memberId: string }): Promise<unknown>;
  listOffsets(args: {
    isolationLevel: number;
    topics: readonly {
      topic: string;
      partitions: readonly { partition: number; timestamp: number }[];
    }[];
  }): Promise<{
    readonly responses: readonly {
      readonly topic: string;
      readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
    }[];
  }>;
  initProducerId(
    args: { transactionalId: string | null; transactionTimeout: number },
  ): Promise<{ readonly producerId: string; readonly producerEpoch: number }>;
  addPartitionsToTxn(args: {
    transactionalId: string;
    producerId: string;
    producerEpoch: number;
    topics: readonly { topic: string; partitions: readonly number[] }[];
  }): Promise<unknown>;
  addOffsetsToTxn(args: {
    transactionalId: string;
    producerId: string;
    producerEpoch: number;
    groupId: string;
  }): Promise<unknown>;
  endTxn(args: {
    transactionalId: string;
    producerId: string;
    producerEpoch: number;
    transactionResult: boolean;
  }): Promise<unknown>;
  createTopics(args: {
    topics: readonly {
      topic: string;
      numPartitions: number;
      replicationFactor: number;
      configEntries: readonly { name: string; value: string }[];
    }[];
  }): Promise<unknown>;
  describeConfigs(args: { resources: readonly { type: number; name: string }[] }): Promise<{
    readonly resources: readonly {
      readonly resourceName: string;
      readonly configEntries: readonly ConfigEntry[];
    }[];
  }>;
}

export interface Cluster {
  readonly brokerPool: {
    /** What the first broker offers, once it is connected to. */
    readonly versions: OfferedVersions | null;
    readonly metadata: {
      readonly clusterId: string;
      readonly topicMetadata: readonly {
        readonly topic: string;
        readonly partitionMetadata: readonly PartitionMetadata[];
      }[];
    } | null;
  };
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  refreshMetadata(): Promise<void>;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  findTopicPartitionMetadata(topic: string): readonly PartitionMetadata[];
  findBroker(args: { nodeId: string }): Promise<BrokerInternals>;
  findControllerBroker(): Promise<BrokerInternals>;
  findGroupCoordinator(
    args: { groupId: string; coordinatorType: number },
  ): Promise<BrokerInternals>;
}

/** Something in kafkajs is not as it was in the version that we were built for. */
export class InternalsError extends Error {
  override readonly name = "InternalsError";

  constructor(what: string) {
    super(`kafkajs is not 2.2.4 as stockflow needs it: ${what}`);
  }
}

const READ_COMMITTED = 1;
const METADATA_MAX_AGE_MS = 300_000;

const Cluster = cluster as unknown as new (options: object) => Cluster;
const { createLogger, LEVELS } = loggers as {
  createLogger(options: { level: number; logCreator: () => () => void }): unknown;
  LEVELS: { readonly NOTHING: number };
};

/** How members of a group and their leader frame what they send each other. */
export const AssignerProtocol = assignerProtocol as typeof Assigner;

/**
 * The cluster of a client, as kafkajs's own clients make it. Its modules for consumers, producers and administration,
 * a third of it, are not even loaded, in no thread.
 */
export function createCluster(config: KafkaConfig): Cluster {
  return new Cluster({
    ...config,
    logger: createLogger({ level: LEVELS.NOTHING, logCreator: () => () => {} }),
    enforceRequestTimeout: true,
    metadataMaxAge: METADATA_MAX_AGE_MS,
    maxInFlightRequests: null,
    allowAutoTopicCreation: false,
    isolationLevel: READ_COMMITTED,
  });
}

/**
 * The error that kafkajs makes of an error code: KafkaJSProtocolError with type and code. Codes that
 * are younger than kafkajs (PRODUCER_FENCED) have -99 there.
 */
export function protocolError(code: number): Error {
  const { createErrorFromCode } = protocolErrors as { createErrorFromCode(code: number): Error };
  return Object.assign(createErrorFromCode(code), { code });
}

const CLUSTER_METHODS = [
  "connect",
  "disconnect",
  "refreshMetadata",
  "addMultipleTargetTopics",
  "findTopicPartitionMetadata",
  "findBroker",
  "findControllerBroker",
  "findGroupCoordinator",
];
const REQUESTS: Record<string, number> = {
  GroupCoordinator: 1,
  JoinGroup: 5,
  SyncGroup: 3,
  Heartbeat: 3,
  LeaveGroup: 3,
  ListOffsets: 3,
  InitProducerId: 1,
  AddPartitionsToTxn: 1,
  AddOffsetsToTxn: 1,
  EndTxn: 1,
  DescribeConfigs: 2,
};

/**
 * Looks whether everything that we touch is there.
 *
 * @throws {InternalsError} naming what is not
 */
export function checkInternals(
  cluster: Cluster = createCluster({ clientId: "check", brokers: ["127.0.0.1:1"] }),
): void {
  for (const method of CLUSTER_METHODS) {
    if (typeof (cluster as unknown as Record<string, unknown>)[method] !== "function") {
      throw new InternalsError(`Cluster has no ${method}`);
    }
  }
  for (const name of ["metadata", "versions"]) {
    if (!(name in cluster.brokerPool)) throw new InternalsError(`BrokerPool has no ${name}`);
  }
  for (
    const method of ["scheduleCheckPendingRequests", "push", "maybeThrottle", "rejectAll"] as const
  ) {
    if (typeof RequestQueue.prototype[method] !== "function") {
      throw new InternalsError(`RequestQueue has no ${method}`);
    }
  }
  for (const method of ["processData", "authenticate", "send"] as const) {
    if (typeof Connection.prototype[method] !== "function") {
      throw new InternalsError(`Connection has no ${method}`);
    }
  }
  for (const [name, provider] of Object.entries(builtInProviders)) {
    if (typeof provider !== "function") throw new InternalsError(`it has no SASL ${name}`);
  }
  const { requests } = protocolRequests as {
    requests: Record<string, { versions: readonly (string | number)[] } | undefined>;
  };
  for (const [name, version] of Object.entries(REQUESTS)) {
    if (!requests[name]?.versions.map(Number).includes(version)) {
      throw new InternalsError(`it has no ${name} v${version}`);
    }
  }
  const { code } = protocolError(1) as { code?: number };
  if (code !== 1) throw new InternalsError("createErrorFromCode gives no code");
}
