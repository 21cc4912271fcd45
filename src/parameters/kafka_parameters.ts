// The parameters of the job on Apache Kafka: brokers, group, topics, security.

import {
  anyCase,
  boolean,
  DAY_MS,
  integer,
  oneOf,
  optional,
  PATH,
  secret,
  text,
  TOPIC,
  topic,
  TOPIC_ALLOWED,
} from "./parameter_kinds.ts";

const PORT =
  "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
const BROKER = `(?:[^\\s,:/\\[\\]]+|\\[[0-9A-Fa-f:.]+\\]):${PORT}`;
const BROKERS = new RegExp(`^${BROKER}(?: *, *${BROKER})*$`);

export const KAFKA_PARAMETERS = {
  "kafka.bootstrap.servers": optional(
    "host:port (an IPv6 address in brackets), several with commas between them",
    BROKERS,
    "brokers of the Kafka cluster; required with job=kafka",
  ),
  "kafka.group.id": optional(
    "a group's name",
    /^[A-Za-z0-9._-]{1,200}$/,
    "consumer group, and prefix of the transactional ids; required with job=kafka",
  ),
  "transaction.input.topic": text(
    TOPIC_ALLOWED,
    TOPIC,
    "transaction.log.1",
    "transactions (Kafka)",
  ),
  "query.input.topic": text(TOPIC_ALLOWED, TOPIC, "query.input.log.1", "queries (Kafka)"),
  "query.output.topic": text(
    TOPIC_ALLOWED,
    TOPIC,
    "query.output.log.1",
    "answers to queries (Kafka)",
  ),
  "transaction.output.topic": topic("results of transactions (Kafka); without it none are written"),
  "summary.output.topic": topic("summaries (Kafka); without it they are logged"),
  "deadletter.topic": topic("invalid records (Kafka); without it they are counted and logged"),
  "kafka.create.topics": boolean(false, "create topics that are missing"),
  "kafka.replication.factor": integer(
    0,
    32_767,
    0,
    "replicas of topics that are created; 0 = the brokers' default.replication.factor",
  ),
  "kafka.retries": integer(
    0,
    1000,
    3,
    "recoveries in a row, without a commit between them, from what Kafka refuses for good",
  ),
  "kafka.partition.discovery.interval.ms": integer(
    0,
    DAY_MS,
    60_000,
    "time between looks at the topics: new partitions, limits, identity; 0 = with claims alone",
  ),
  "kafka.compression.type": oneOf(
    ["none", "gzip", "snappy", "lz4", "zstd"],
    "none",
    "how output batches are compressed (Kafka)",
  ),
  "input.batch.bytes.max": integer(
    1024,
    2 ** 30,
    64 * 1024 * 1024,
    "a compressed batch that is larger once decompressed stops the job (Kafka)",
  ),
  "kafka.ssl.enabled": boolean(false, "reach the brokers by TLS"),
  "kafka.ssl.ca": optional("a path", PATH, "PEM file of the authorities that sign brokers"),
  "kafka.ssl.cert": optional("a path", PATH, "PEM file of the client's certificate"),
  "kafka.ssl.key": optional("a path", PATH, "PEM file of the client's key"),
  "kafka.ssl.key.password": secret("a password", "opens kafka.ssl.key if it is encrypted"),
  "kafka.sasl.mechanism": anyCase(oneOf(
    ["none", "plain", "scram-sha-256", "scram-sha-512"],
    "none",
    "how the job shows who it is",
  )),
  "kafka.sasl.username": optional("a name", /^[^\0]{1,1000}$/, "user of the brokers"),
  "kafka.sasl.password": secret("a password", "its password; rather by environment than by flag"),
  "kafka.sasl.password.file": optional("a path", PATH, "file of the password, instead of it"),
  "kafka.sasl.plaintext.allowed": boolean(
    false,
    "let kafka.sasl.mechanism=plain send the password without TLS",
  ),
  "kafka.partitions.shared": boolean(
    false,
    "all processes of the group fold, each a part of the partitions; else one does, and the others stand by",
  ),
  "kafka.session.timeout.ms": integer(
    6000,
    1_800_000,
    10_000,
    "a process that is silent for so long loses its partitions to others",
  ),
  "kafka.transaction.timeout.ms": integer(
    1000,
    900_000,
    60_000,
    "a transaction that is open for longer is aborted by the broker",
  ),
} as const;
