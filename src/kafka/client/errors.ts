import { StopError } from "../../job/errors.ts";

/** Error codes of the protocol (https://kafka.apache.org/protocol#protocol_error_codes) that we tell apart. */
export const ErrorCode = {
  OffsetOutOfRange: 1,
  CorruptMessage: 2,
  UnknownTopicOrPartition: 3,
  LeaderNotAvailable: 5,
  NotLeader: 6,
  CoordinatorLoading: 14,
  CoordinatorNotAvailable: 15,
  NotCoordinator: 16,
  IllegalGeneration: 22,
  InconsistentGroupProtocol: 23,
  UnknownMember: 25,
  RebalanceInProgress: 27,
  TopicAuthorizationFailed: 29,
  GroupAuthorizationFailed: 30,
  ClusterAuthorizationFailed: 31,
  UnsupportedVersion: 35,
  TopicExists: 36,
  OutOfOrderSequence: 45,
  InvalidProducerEpoch: 47,
  InvalidTransactionState: 48,
  InvalidProducerIdMapping: 49,
  ConcurrentTransactions: 51,
  TransactionCoordinatorFenced: 52,
  TransactionalIdAuthorizationFailed: 53,
  UnknownProducerId: 59,
  MemberIdRequired: 79,
  UnstableOffsetCommit: 88,
  ProducerFenced: 90,
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

const WRAPPERS: readonly string[] = ["KafkaJSNumberOfRetriesExceeded", "KafkaJSNonRetriableError"];

interface KafkaError extends Error {
  readonly code?: unknown;
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

/** Whether a connection failed, or could not be made. */
export function isConnectionError(error: unknown): boolean {
  return UNAVAILABLE.includes(unwrap(error).name);
}

/** Whether kafkajs found no coordinator; why, it does not tell. */
export function isCoordinatorNotFound(error: unknown): boolean {
  return unwrap(error).name === "KafkaJSGroupCoordinatorNotFound";
}

/** Whether the broker, or what it needs for an answer, is not there at the moment. */
export function isUnavailable(error: unknown): boolean {
  if (isConnectionError(error)) return true;
  return errorCodeOf(error) !== null && unwrap(error).retriable === true;
}

export function isFenced(error: unknown): boolean {
  const code = errorCodeOf(error);
  return code !== null && FENCED.includes(code);
}

/** The StopError for what no retry changes: rights, passwords, versions; null for other errors. */
export function stopErrorOf(error: unknown): StopError | null {
  if (error instanceof StopError) return error;
  const { name, message } = unwrap(error);
  if (name === "KafkaJSSASLAuthenticationError") {
    return new StopError(
      `Kafka refuses the user: ${message}`,
      "see kafka.sasl.mechanism, kafka.sasl.username and the password",
      { cause: error },
    );
  }
  if (name === "KafkaJSConnectionError" && TLS_REFUSALS.test(message)) {
    return new StopError(
      `TLS with the broker fails: ${message}`,
      "kafka.ssl.ca must name the authority of the brokers' certificates, and kafka.ssl.cert and kafka.ssl.key " +
        "what brokers want of clients; kafka.ssl.enabled must be what the listener speaks",
      { cause: error },
    );
  }
  if (message.includes("Requires net access")) {
    return new StopError(
      `Deno may not reach the broker: ${message}`,
      "start by deno task start, which allows all hosts, or add it to --allow-net of the command",
      { cause: error },
    );
  }
  const code = errorCodeOf(error);
  if (code === ErrorCode.UnsupportedVersion) {
    return new StopError(
      `The broker is too old or too new: ${message}`,
      "use Apache Kafka 3.0 to 4.x",
      {
        cause: error,
      },
    );
  }
  const right = code === null ? undefined : NOT_ALLOWED[code];
  if (right === undefined) return null;
  return new StopError(message, `give the job's user the right to ${right}`, { cause: error });
}
