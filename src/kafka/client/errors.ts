import { StopError } from "../../log/mod.ts";
import { shownAddress } from "./addresses.ts";
import { Mismatch } from "./probe.ts";
import { OLDEST_BROKER } from "./versions.ts";

/** Error codes of the protocol (https://kafka.apache.org/protocol#protocol_error_codes) that we distinguish. */
export const ErrorCode = {
  OffsetOutOfRange: 1,
  CorruptMessage: 2,
  UnknownTopicOrPartition: 3,
  LeaderNotAvailable: 5,
  NotLeader: 6,
  MessageTooLarge: 10,
  CoordinatorLoading: 14,
  CoordinatorNotAvailable: 15,
  NotCoordinator: 16,
  RecordListTooLarge: 18,
  IllegalGeneration: 22,
  InconsistentGroupProtocol: 23,
  UnknownMember: 25,
  RebalanceInProgress: 27,
  TopicAuthorizationFailed: 29,
  GroupAuthorizationFailed: 30,
  ClusterAuthorizationFailed: 31,
  UnsupportedSaslMechanism: 33,
  IllegalSaslState: 34,
  InvalidTimestamp: 32,
  UnsupportedVersion: 35,
  TopicExists: 36,
  OutOfOrderSequence: 45,
  DuplicateSequence: 46,
  InvalidProducerEpoch: 47,
  InvalidTransactionState: 48,
  InvalidProducerIdMapping: 49,
  ConcurrentTransactions: 51,
  TransactionCoordinatorFenced: 52,
  TransactionalIdAuthorizationFailed: 53,
  OperationNotAttempted: 55,
  UnknownProducerId: 59,
  FencedLeaderEpoch: 74,
  UnknownLeaderEpoch: 75,
  OffsetNotAvailable: 78,
  MemberIdRequired: 79,
  InvalidRecord: 87,
  UnstableOffsetCommit: 88,
  ProducerFenced: 90,
  UnknownTopicId: 100,
  InconsistentTopicId: 103,
} as const;

/** Another took over, or the broker forgot us: the claim is over. */
const FENCED: readonly number[] = [
  ErrorCode.IllegalGeneration,
  ErrorCode.UnknownMember,
  ErrorCode.RebalanceInProgress,
  ErrorCode.OutOfOrderSequence,
  ErrorCode.InvalidProducerEpoch,
  ErrorCode.InvalidTransactionState,
  ErrorCode.InvalidProducerIdMapping,
  ErrorCode.TransactionCoordinatorFenced,
  ErrorCode.UnknownProducerId,
  ErrorCode.ProducerFenced,
];

const NOT_ALLOWED: Readonly<Record<number, string>> = {
  [ErrorCode.TopicAuthorizationFailed]: "read its input topics and write its output topics",
  [ErrorCode.GroupAuthorizationFailed]: "read with its consumer group",
  [ErrorCode.ClusterAuthorizationFailed]: "write idempotently",
  [ErrorCode.TransactionalIdAuthorizationFailed]:
    "write with transactional ids that begin with its group id",
};

/** Names of kafkajs's errors for brokers that are not there at the moment. */
const UNAVAILABLE: readonly string[] = [
  "ClientClosedError",
  "KafkaJSConnectionError",
  "KafkaJSConnectionClosedError",
  "KafkaJSRequestTimeoutError",
  "KafkaJSBrokerNotFound",
  "KafkaJSMetadataNotLoaded",
  "KafkaJSTopicMetadataNotLoaded",
  "KafkaJSGroupCoordinatorNotFound",
  "KafkaJSLockTimeout",
];

/** What TLS says of certificates, and of a side that does not speak it. */
const TLS_REFUSALS = /certificate|fatal alert|corrupt message/i;

/** Name of kafkajs's error for a request that the broker does not offer. */
const SERVER_LACKS_REQUEST = "KafkaJSServerDoesNotSupportApiKey";

const WRAPPERS: readonly string[] = ["KafkaJSNumberOfRetriesExceeded", "KafkaJSNonRetriableError"];

interface KafkaError extends Error {
  readonly code?: unknown;
  /** host:port of the broker, as kafkajs has it. */
  readonly broker?: string;
  readonly retriable?: boolean;
  readonly cause?: unknown;
}

/** What happened: kafkajs wraps an error when it gives up, and may wrap it several times. */
function unwrap(error: unknown): KafkaError {
  const { name, cause } = error as KafkaError;
  return WRAPPERS.includes(name) && cause ? unwrap(cause) : error as KafkaError;
}

/** The protocol's code of an error; null for any other error. */
export function errorCodeOf(error: unknown): number | null {
  const { code } = unwrap(error);
  return typeof code === "number" ? code : null;
}

/** The client is closed, or a broker gave no answer. */
export class ClientClosedError extends Error {
  override readonly name = "ClientClosedError";
}

/** A broker renews a session of SASL once a second at the most. */
export const SESSION_MS_MIN = 2000;

/** A broker ends sessions so soon that they cannot be renewed. */
export class ShortSessionError extends Error {
  override readonly name = "ShortSessionError";

  constructor(readonly broker: string, readonly ms: number) {
    super(`The broker ends SASL sessions after ${ms} ms`);
  }
}

/**
 * What an error says, with the address of the broker that it is about: one that a broker advertises may be
 * another than the one that the job was given.
 */
export function reasonOf(error: unknown): string {
  const { message, broker } = unwrap(error);
  if (broker === undefined) return message;
  const address = shownAddress(broker);
  return message.includes(address) ? message : `${message} (broker ${address})`;
}

/** Whether a connection failed, or could not be made. */
export function isConnectionError(error: unknown): boolean {
  return UNAVAILABLE.includes(unwrap(error).name);
}

/** Whether kafkajs found no coordinator; why, it does not say. */
export function isCoordinatorNotFound(error: unknown): boolean {
  return unwrap(error).name === "KafkaJSGroupCoordinatorNotFound";
}

/** Whether the broker, or what it needs for an answer, is not there at the moment. */
export function isUnavailable(error: unknown): boolean {
  if (isConnectionError(error) || isTopicGone(error)) return true;
  return errorCodeOf(error) !== null && unwrap(error).retriable === true;
}

/** Whether a topic is not there, or not under the id that it was asked for by. */
export function isTopicGone(error: unknown): boolean {
  const code = errorCodeOf(error);
  return code === ErrorCode.UnknownTopicOrPartition || code === ErrorCode.UnknownTopicId ||
    code === ErrorCode.InconsistentTopicId;
}

export function isFenced(error: unknown): boolean {
  const code = errorCodeOf(error);
  return code !== null && FENCED.includes(code);
}

/** What is said of a connection that is used as its listener does not take it, and what helps. */
const MISMATCHES: Readonly<Record<string, string>> = {
  [Mismatch.Tls]:
    "set kafka.ssl.enabled=true, or name a listener without TLS in kafka.bootstrap.servers",
  [Mismatch.Plaintext]:
    "set kafka.ssl.enabled=false, or name a listener with TLS in kafka.bootstrap.servers; the address may be one " +
    "that the brokers advertise (advertised.listeners)",
  [Mismatch.Sasl]:
    "set kafka.sasl.mechanism, kafka.sasl.username and the password, or name a listener without SASL",
};

/** What a request was about: brokers do not say it when they refuse one. */
export interface About {
  readonly topic?: string;
  /** Consumer group; transactional ids begin with it. */
  readonly group?: string;
}

/**
 * The StopError for what no retry changes: rights, passwords, versions; null for other errors.
 *
 * @param about what a right that is missing is about, as far as it is known
 */
export function stopErrorOf(error: unknown, about: About = {}): StopError | null {
  if (error instanceof StopError) return error;
  const known = unwrap(error);
  if (known instanceof StopError) return known;
  const reason = reasonOf(error);
  const stop = (message: string, remedy: string) =>
    new StopError(message, remedy, { cause: error });
  return connectionRefusal(known, reason, stop) ?? requestRefusal(error, reason, about, stop);
}

type Stop = (message: string, remedy: string) => StopError;

/** Of what a connection to a broker needs. */
function connectionRefusal(error: KafkaError, reason: string, stop: Stop): StopError | null {
  const { name, message, code } = error;
  if (name === "KafkaJSSASLAuthenticationError") {
    return stop(
      `Kafka refuses the user: ${reason}`,
      "see kafka.sasl.mechanism, kafka.sasl.username and the password",
    );
  }
  if (error instanceof ShortSessionError) {
    return stop(
      reason,
      `set connections.max.reauth.ms of its listener to 0 (without end) or at least ${SESSION_MS_MIN}`,
    );
  }
  if (code === ErrorCode.UnsupportedSaslMechanism) {
    return stop(
      `The broker has not enabled the mechanism of SASL: ${reason}`,
      "set kafka.sasl.mechanism to one of its sasl.enabled.mechanisms (plain, scram-sha-256, scram-sha-512)",
    );
  }
  if (code === ErrorCode.IllegalSaslState) {
    return stop(
      `The broker wants no SASL there: ${reason}`,
      "set kafka.sasl.mechanism=none, or name a listener with SASL in kafka.bootstrap.servers",
    );
  }
  if (name === "KafkaJSConnectionError") {
    const mismatch = MISMATCHES[String(code)];
    if (mismatch !== undefined) return stop(reason, mismatch);
    if (TLS_REFUSALS.test(message)) {
      return stop(
        `TLS with the broker fails: ${reason}`,
        "kafka.ssl.ca must name the authority of the brokers' certificates, and kafka.ssl.cert and " +
          "kafka.ssl.key what brokers want of clients; kafka.ssl.enabled must be what the listener speaks",
      );
    }
  }
  if (message.includes("Requires net access")) {
    return stop(
      `Deno may not reach the broker: ${message}`,
      "start by deno task start, which allows all hosts, or add it to --allow-net of the command",
    );
  }
  return null;
}

/** Of what a request to a broker needs. */
function requestRefusal(
  error: unknown,
  reason: string,
  { topic, group }: About,
  stop: Stop,
): StopError | null {
  const code = errorCodeOf(error);
  if (code === ErrorCode.UnsupportedVersion || unwrap(error).name === SERVER_LACKS_REQUEST) {
    return stop(
      `The broker is too old or too new: ${reason}`,
      `use Apache Kafka ${OLDEST_BROKER} to 4.x`,
    );
  }
  const right = code === null ? undefined : NOT_ALLOWED[code];
  if (right === undefined) return null;
  const what = code === ErrorCode.TopicAuthorizationFailed
    ? topic && `topic ${topic}`
    : group && `group ${group}`;
  return stop(
    what ? `${reason} (${what})` : reason,
    `give the job's user the right to ${right}`,
  );
}
