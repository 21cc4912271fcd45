// Every parameter: what is allowed, its default, and what it means. Validation, `--help` and
// config/embedded.properties follow this table.

import {
  anyCase,
  boolean,
  decimal,
  integer,
  integerOrAuto,
  list,
  oneOf,
  optional,
  type Parameter,
  secret,
  text,
  TOPIC,
  topic,
  TOPIC_ALLOWED,
} from "./parameter_kinds.ts";

export type { Parameter } from "./parameter_kinds.ts";

/** A name, an IPv4 address, or an IPv6 address without brackets. */
const HOST_NAME = /^([A-Za-z0-9._-]+|[0-9A-Fa-f.]*(:[0-9A-Fa-f.]*){2,})$/;
const DAY_MS = 86_400_000;
const PORT =
  "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])";
const BROKER = `(?:[^\\s,:/\\[\\]]+|\\[[0-9A-Fa-f:.]+\\]):${PORT}`;
const BROKERS = new RegExp(`^${BROKER}(?: *, *${BROKER})*$`);
const PATH = /^[^\0]{1,4096}$/;

/** The parameters by key. */
export const PARAMETERS = {
  "job": oneOf(
    ["embedded", "socket", "kafka"],
    "embedded",
    "which job runs: fed by HTTP, by the lines of a socket too, or by Kafka",
  ),
  "log": oneOf(
    ["embedded", "kafka"],
    "embedded",
    "where the topics of a job of one's own are (docs/jobs.md); the kinds of job above know where theirs are",
  ),
  "format": oneOf(["text", "json"], "text", "how record values are written"),
  "transaction.partitioner": oneOf(
    ["murmur2", "java-hash", "consistent", "fnv1a", "auto"],
    "murmur2",
    "how the partition of an item is found from its id; auto: as the first records of the topic were (Kafka)",
  ),
  "wrong.partition": oneOf(
    ["stop", "deadletter"],
    "stop",
    "what many records do that belong to other partitions by transaction.partitioner: stop the job (more than " +
      "100 of 1,000, or the very first one), or go to the dead letters like a few of them",
  ),
  "log.partitions": integer(
    1,
    64,
    4,
    "partitions of the embedded topics; fixed once the log exists",
  ),
  "log.kv": text("a path", PATH, "data/log.kv", "file of the embedded log"),
  "log.retention.ms": integer(
    0,
    100 * 365 * DAY_MS,
    7 * DAY_MS,
    "age from which records of the embedded log are removed; never what a checkpoint needs; 0 = keep all",
  ),
  "append.timeout.ms": integer(
    1,
    3_600_000,
    10_000,
    "posted records that wait for their turn to be written for longer are refused (503 over HTTP)",
  ),
  "log.retention.bytes": integer(
    0,
    2 ** 53 - 1,
    0,
    "bytes of a partition of the embedded log from which its oldest records are removed; never what a " +
      "checkpoint needs; 0 = keep all",
  ),
  "sink.attempts": integer(
    0,
    1_000_000,
    0,
    "calls in a row of a sink in the process that may fail with the same values before the job stops; " +
      "0 = tried without end",
  ),
  "sink.retention.bytes": integer(
    0,
    2 ** 53 - 1,
    1024 * 1024 * 1024,
    "bytes of a partition of the embedded log that are kept while a sink in the process is behind, whatever " +
      "log.retention says; older ones are removed, and the sink reports them",
  ),
  "sink.drain.timeout.ms": integer(
    0,
    600_000,
    5000,
    "how long a stop waits for sinks in the process; what they have not taken comes after the next start",
  ),
  "disk.free.bytes.min": integer(
    0,
    2 ** 53 - 1,
    64 * 1024 * 1024,
    "free bytes of a disk below which new records are refused, so that checkpoints have room; 0 = fill it",
  ),
  "state.kv": text(
    "a path, or a URL",
    PATH,
    "data/state.kv",
    "file of the checkpoints; or http://host:port of a denokv server that processes which share partitions have in " +
      "common (its token in DENO_KV_ACCESS_TOKEN or state.kv.token.file)",
  ),
  "state.kv.token.file": optional("a path", PATH, "file of the token of that server"),
  "state.dir": optional(
    "a path",
    PATH,
    "folder of what belongs to this process alone, beside such a server: its id in the group",
  ),
  "state.bytes.max": integer(
    0,
    Number.MAX_SAFE_INTEGER,
    0,
    "memory of items and open windows of the process, in bytes, at which new items are refused; " +
      "0 = half of what the machine or its container has",
  ),
  "idempotency.window.ms": integerOrAuto(
    0,
    2 ** 40,
    "how long a transaction is remembered, so that one that is repeated is executed once, by the time of the log's " +
      "records; 0 = not at all; auto: as the embedded log was created, which is 10 minutes, or 0 by a version that " +
      "knew nothing of it; 0 on Kafka and for generated transactions",
  ),
  "idempotency.transactions.max": integer(
    1024,
    50_000_000,
    2_000_000,
    "transactions that are remembered in each partition at the most, 28 bytes each; the oldest ones are forgotten first",
  ),
  "idempotency.window.min.ms": integer(
    0,
    2 ** 40,
    0,
    "posted transactions are refused (503 over HTTP) while repetitions of less than this are recognised, because there " +
      "were more than idempotency.transactions.max; 0 = never",
  ),
  "restore": text(
    "the name of a savepoint",
    /^([A-Za-z0-9._-]{1,100})?$/,
    "",
    "begin a new log with this savepoint of the checkpoints' file; go on with the log that began so",
  ),
  "replace.log": boolean(
    false,
    "with restore: move another log that is there away, and begin a new one (--replace-log)",
  ),
  "accept.offset": boolean(
    false,
    "go on where the newest checkpoints stand when the group has lost its offsets, or at the end of a log " +
      "that has lost records (Kafka; --accept-offset)",
  ),
  "enable.summaries": boolean(true, "sum up every item per window"),
  "event.time": boolean(
    false,
    "windows by the transactions' ts instead of the records' timestamps",
  ),
  "time.intervals.in.minutes": integer(1, 1440, 1, "window length"),
  "watermark.out.of.orderness.ms": integer(
    0,
    DAY_MS,
    60_000,
    "how late an event may be (event time)",
  ),
  "event.time.max.ahead.ms": integer(
    0,
    100 * 365 * DAY_MS,
    DAY_MS,
    "a ts further ahead of its record than this joins no window (event time)",
  ),
  "window.idle.timeout.ms": integer(
    1000,
    DAY_MS,
    60_000,
    "open windows are fired after so long without records",
  ),
  "transaction.num.min": integer(
    0,
    2 ** 32 - 1,
    100,
    "alert if an item has more transactions in a window",
  ),
  "transaction.failure.rate.min": decimal(0, 1, 0.5, "... and a larger share of failed ones"),
  "commit.interval.ms": integer(1, 60_000, 100, "results become visible after so long"),
  "checkpoint.interval.millis": integer(0, DAY_MS, 60_000, "time between checkpoints; 0 = off"),
  "checkpoint.timeout.millis": integer(
    1000,
    7 * DAY_MS,
    3_600_000,
    "a checkpoint that takes longer is given up",
  ),
  "checkpoint.retained": integer(1, 100, 3, "checkpoints kept"),
  "savepoints.max": integer(
    1,
    1000,
    100,
    "savepoints that are kept; more are refused until one is given up",
  ),
  "recovery.records.max": integer(
    1000,
    1e12,
    4_000_000,
    "records of a partition after which a checkpoint is taken anyway; bounds the recovery",
  ),
  "parallelism": integer(
    0,
    256,
    0,
    "worker threads, at most one per partition; 0 = as many as processors, but for posted records one, and one more " +
      "for each million items at the start",
  ),
  "watchdog.timeout.ms": integer(
    1000,
    3_600_000,
    30_000,
    "a call or a thread that is silent for so long is taken to hang, and recovered",
  ),
  "restart.attempts": integer(
    0,
    1000,
    3,
    "recoveries in a row, without a commit between them, from unforeseen errors",
  ),
  "generate.transactions": boolean(
    false,
    "fold generated transactions instead of those of the log (--generate)",
  ),
  "generate.rate": integer(
    0,
    1e9,
    100_000,
    "generated records a second; 0 = as fast as they are folded",
  ),
  "sleep": integer(0, 3_600_000, 0, "ms from one generated record to the next, instead of a rate"),
  "generate.count": integer(0, 1e15, 0, "records to generate; 0 = without end"),
  "generate.results": boolean(false, "write the results of generated transactions"),
  "generate.queries": boolean(false, "generate ten queries a second"),
  "generator.seed": integer(0, 2 ** 53 - 1, 1, "equal seeds generate equal transactions"),
  "num.items": integer(1, 100_000_000, 1_000_000, "items that are generated"),
  "pareto.shape": decimal(0.1, 1000, 15, "how much more frequent the first items are"),
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
  "http.host": text(
    "an address or name of this machine",
    /^[A-Za-z0-9.:-]{1,253}$/,
    "127.0.0.1",
    "address of the HTTP API; other than loopback only with http.token",
  ),
  "http.port": integer(0, 65_535, 8080, "port of the HTTP API; 0 = any free one"),
  "http.advertised.host": text(
    "an address or name of this machine without a port, or empty",
    /^([A-Za-z0-9.-]{0,253}|[0-9A-Fa-f.]*(:[0-9A-Fa-f.]*){2,})$/,
    "",
    "under which processes of the same group (Kafka) reach http.port; empty = http.host, unless that " +
      "is 0.0.0.0 or ::",
  ),
  "http.allowed.hosts": list(
    "a name or an address without a port",
    (host) => host.length <= 253 && HOST_NAME.test(host),
    "under which requests without http.token are taken, beside loopback, http.host and " +
      "http.advertised.host",
  ),
  "http.allowed.origins": list(
    "an origin such as https://shop.example",
    (origin) =>
      origin.length <= 300 && /^https?:/.test(origin) && URL.parse(origin)?.origin === origin,
    "web pages that may use the HTTP API (CORS), beside its own",
  ),
  "http.token": {
    ...text(
      "16 to 512 characters of A-Z, a-z, 0-9 and ._~+/=-",
      /^([A-Za-z0-9._~+\/=-]{16,512})?$/,
      "",
      "what clients of the HTTP API bring as bearer token; empty = nothing",
    ),
    secret: true,
  },
  "http.token.former": {
    ...text(
      "16 to 512 characters of A-Z, a-z, 0-9 and ._~+/=-",
      /^([A-Za-z0-9._~+\/=-]{16,512})?$/,
      "",
      "the token before, which is taken beside http.token while clients change over",
    ),
    secret: true,
  },
  "cluster.token": {
    ...text(
      "16 to 512 characters of A-Z, a-z, 0-9 and ._~+/=-",
      /^([A-Za-z0-9._~+\/=-]{16,512})?$/,
      "",
      "what processes that share partitions bring when they ask each other; empty = http.token",
    ),
    secret: true,
  },
  "http.body.bytes.max": integer(
    1024,
    2 ** 30,
    8 * 1024 * 1024,
    "largest body of a request, as it comes and inflated",
  ),
  "http.body.records.max": integer(
    1,
    10_000_000,
    100_000,
    "largest number of records of a request",
  ),
  "http.bodies.bytes.max": integer(
    1024 * 1024,
    2 ** 36,
    56 * 1024 * 1024,
    "bytes of bodies that have come and answers that have not gone, of all requests; 512 more per record",
  ),
  "http.body.rate.min": integer(
    0,
    2 ** 30,
    1024,
    "bytes a second at which a body must come and an answer be read, over 10 seconds; 0 = any",
  ),
  "http.head.timeout.ms": integer(
    100,
    3_600_000,
    10_000,
    "a connection on which no request came for so long since it was opened is closed",
  ),
  "http.idle.timeout.ms": integer(
    100,
    DAY_MS,
    75_000,
    "one on which nothing happened for so long since its last answer is closed, also within the next head",
  ),
  "http.connections.max": integer(
    10,
    1_000_000,
    1000,
    "connections that are kept; for one more, some of those on which nothing happens are closed",
  ),
  "http.streams.max": integer(
    1,
    10_000,
    32,
    "streams of /status/stream that are open; each open page has one",
  ),
  "socket.host": text(
    "a host name or an address",
    /^[A-Za-z0-9._:-]{1,253}$/,
    "127.0.0.1",
    "where the socket job connects to for query lines",
  ),
  "socket.port": integer(1, 65_535, 9999, "... and the port there"),
  "log.level": oneOf(
    ["info", "warning", "error"],
    "info",
    "the least grave messages that are logged",
  ),
  "output.queue.bytes.max": integer(
    1024,
    2 ** 30,
    1024 * 1024,
    "bytes of log lines, and of printed answers, that wait for whoever reads them: further lines are dropped " +
      "and counted, answers wait",
  ),
  "shutdown.timeout.ms": integer(
    0,
    600_000,
    30_000,
    "how long a stop may take before the process exits anyway",
  ),
} as const;

export type ParameterKey = keyof typeof PARAMETERS;

/** The type of a parameter's value. */
export type ParameterValue<K extends ParameterKey> = (typeof PARAMETERS)[K] extends
  Parameter<infer T> ? T
  : never;

/** Keys in the order of the table. */
export const PARAMETER_KEYS = Object.keys(PARAMETERS) as ParameterKey[];

/** The environment variable that overrides a parameter: `http.port` is HTTP_PORT. */
export function environmentName(key: string): string {
  return key.replaceAll(/[.-]/g, "_").toUpperCase();
}
