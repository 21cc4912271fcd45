// Every parameter: what is allowed, its default, and what it means. Validation, `--help` and
// config/embedded.properties follow this table.

import { HTTP_PARAMETERS } from "./http_parameters.ts";
import { KAFKA_PARAMETERS } from "./kafka_parameters.ts";
import {
  boolean,
  DAY_MS,
  decimal,
  integer,
  integerOrAuto,
  oneOf,
  optional,
  type Parameter,
  PATH,
  text,
} from "./parameter_kinds.ts";

export type { Parameter } from "./parameter_kinds.ts";

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
    "go on where the newest checkpoints stand when the group has lost its offsets, from offsets that were set " +
      "back in a group that shares partitions, at the end of a log that has lost records, or with a topic of " +
      "queries that was created anew (Kafka; --accept-offset)",
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
  "query.commit.interval.ms": integer(
    0,
    60_000,
    0,
    "the same of answers to queries of the topic; 0 = commit.interval.ms",
  ),
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
  ...KAFKA_PARAMETERS,
  ...HTTP_PARAMETERS,
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
