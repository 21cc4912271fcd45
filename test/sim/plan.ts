// Everything that a seed decides before its run: the job's parameters, the load, the faults and how
// often they come.

import type { PendingLimits } from "../../src/engine/pending.ts";
import type { JobSettings } from "../../src/engine/worker_context.ts";
import type { KvLimits } from "../../src/kv/mod.ts";
import { type CoreOptions, Format, Partitioner } from "../../src/wasm/mod.ts";
import { Random } from "../../tools/kit/random.ts";

/** Faults by the operation that they befall: a rate is a share of these operations. */
export const OPERATION_FAULTS = {
  "kv locked": 0.05,
  "kv write lost": 0.02,
  "kv answer lost": 0.02,
  "kv answer late": 0.02,
  // Of the checkpoints' file, which may lie on another machine.
  "kv write done, answered as refused": 0.01,
  "kv write hangs, happens later": 0.01,
  "kv slow": 0.01,
  "kv read fails": 0.002,
  "commit lost, not done": 0.06,
  "commit lost, done": 0.06,
  "commit done after its answer": 0.05,
  "commit answered late": 0.05,
  "commit fails": 0.03,
  "fetch fails": 0.01,
  "fetch slow": 0.02,
  "fetch empty": 0.1,
  "fetch cut": 0.5,
  "claim fails": 0.1,
} as const;

/** Faults that befall the cluster: a rate is their weight among each other. */
export const CLUSTER_FAULTS = {
  "crash": 3,
  "crash at an event": 4,
  "stop and restart": 2,
  "pause": 2,
  "zombie": 2,
  "rebalance": 2,
  // It goes from one worker of a process to another, or comes back to the same one.
  "partition moved": 4,
  "clock jump": 1,
  "chunk altered": 1,
  "chunk missing": 1,
  "manifest altered": 1,
  "owner conflict": 1,
  "retention": 3,
  // For a while nothing can be written to a file.
  "log disk full": 2,
  "state disk full": 2,
  // For a while a process has no memory for a new item.
  "memory full": 2,
} as const;

/** Faults of Kafka's brokers and of the way to them, by request: a rate is a share of the requests. */
export const KAFKA_FAULTS = {
  "request lost": 0.004,
  "answer lost": 0.006,
  "no answer": 0.001,
  "answer late": 0.02,
  "no connection": 0.05,
  "coordinator not there": 0.02,
  "transaction busy": 0.03,
  "member refused": 0.01,
  "producer fenced": 0.004,
  "leader not there": 0.02,
  "not allowed": 0.0005,
  "end fails, done": 0.03,
  "end fails, not done": 0.03,
  "markers late": 0.1,
  "records torn": 0.3,
  "records cut": 0.3,
  // Of those that stand by and ask the active process: it seems not to listen, though it lives.
  "false eviction": 0.5,
  "address silent": 0.05,
} as const;

/** Faults that befall a cluster on Kafka, beside those above; a rate is their weight. */
export const KAFKA_CLUSTER_FAULTS = {
  "coordinator moves": 2,
  "leaders move": 2,
  "broker restarts": 2,
  "connections break": 1,
  "output limits change": 2,
  "output grows": 1,
  // A leader of the input is elected, and shows less than is committed until its followers have the rest.
  "log end reported early": 2,
  // For a while a partition of the input has no leader.
  "partition offline": 2,
} as const;

/** What ends a run on Kafka in another way: a rate is a share of the seeds that may have it. */
export const KAFKA_ENDS = {
  "input created anew": 0.3,
  // It keeps its identity and loses its records, as after the unclean election of a leader.
  "input cut": 0.5,
} as const;

/** What clients do to the input; a rate is a share of their writes. */
export const CLIENT_FAULTS = {
  "transaction aborted": 0.3,
  "transaction left open": 0.2,
} as const;

/** Faults of a sink in the process; see sinks.ts, which draws them apart. */
export const SINK_FAULTS = ["sink fails", "sink fails, done", "sink hangs"] as const;
export type SinkFault = typeof SINK_FAULTS[number];

/** What befalls a cluster on Kafka at the end of a run; see queries_anew.ts, which draws it apart. */
export const KAFKA_LATE = ["queries created anew"] as const;

/** Orders of events that runs on Kafka come to by themselves, and that some of them must have had. */
export const KAFKA_ORDERS = [
  "checkpoint written behind its claim",
  "recovery left while it reads the store",
] as const;

const ALL_FAULTS = {
  ...OPERATION_FAULTS,
  ...CLUSTER_FAULTS,
  ...KAFKA_FAULTS,
  ...KAFKA_CLUSTER_FAULTS,
  ...KAFKA_ENDS,
  ...CLIENT_FAULTS,
};

export type KafkaClusterFault = keyof typeof KAFKA_CLUSTER_FAULTS;
export type ClusterFault = keyof typeof CLUSTER_FAULTS | KafkaClusterFault;
export type FaultKind =
  | keyof typeof ALL_FAULTS
  | SinkFault
  | typeof KAFKA_LATE[number]
  | typeof KAFKA_ORDERS[number];

/** The logs that a run may be on: of the engine's own, or Kafka's real client code. */
export type LogKind = "embedded" | "broker" | "kafka";

/** Faults that runs on some of the logs may have. */
export function faultKindsOf(logs: readonly LogKind[]): FaultKind[] {
  const kinds = Object.keys(ALL_FAULTS) as FaultKind[];
  const possible = kinds.filter((kind) => logs.some((log) => isPossible(kind, log)));
  return [
    ...possible,
    ...logs.includes("embedded") ? SINK_FAULTS : [],
    ...logs.includes("kafka") ? [...KAFKA_LATE, ...KAFKA_ORDERS] : [],
  ];
}

export interface Plan {
  /**
   * The real embedded log on a simulated KV, a simulated log with Kafka's semantics, or the real
   * src/kafka before simulated brokers.
   */
  readonly log: LogKind;
  readonly partitions: number;
  /** Partitions of the outputs for summaries and dead letters. */
  readonly sidePartitions: number;
  /** Machines that processes run on; each has a KV of its own for checkpoints unless it is shared. */
  readonly machines: number;
  readonly sharedStore: boolean;
  /** Workers of a process at the most. */
  readonly workers: number;
  readonly settings: JobSettings;
  readonly core: Omit<CoreOptions, "partition">;
  readonly outputBatchBytes: number;
  readonly pendingLimits: PendingLimits;
  /** What one atomic commit to a KV takes. */
  readonly kvLimits: KvLimits;
  /** Records that clients write, and for how long they do, in ms. */
  readonly records: number;
  readonly durationMs: number;
  readonly recordsAtOnce: number;
  readonly items: number;
  readonly longIds: boolean;
  /** Share of invalid records. */
  readonly invalid: number;
  /** How long a computation takes at the most between two looks at the clock. */
  readonly slownessMs: number;
  /** Rates of the faults that are switched on. */
  readonly rates: Partial<Record<FaultKind, number>>;
  /** Mean time between two faults of the cluster in ms. */
  readonly clusterFaultMs: number;
  readonly kafka: KafkaPlan;
  /** Share of claims by processes that were replaced which go through. */
  readonly zombieClaims: number;
}

export interface KafkaPlan {
  readonly brokers: number;
  readonly sessionTimeoutMs: number;
  readonly transactionTimeoutMs: number;
  /** Until the markers of a transaction are written, at the most. */
  readonly markersMs: number;
  readonly compression: "none" | "gzip" | "zstd";
  /** What brokers know of topic ids: fetches by id (Apache Kafka 3.1), metadata alone (2.8), nothing. */
  readonly topicIds: "fetch" | "metadata" | "none";
  /** How often it is looked at the topics; 0 = never. */
  readonly discoveryMs: number;
  /** The processes share the partitions; else one of them is active. */
  readonly shared: boolean;
}

function commitsEvery(ms: number) {
  return { commitIntervalMs: ms, queryCommitIntervalMs: ms };
}

/** @param onKafka a run on src/kafka, or one on the engine's own logs */
export function planOf(random: Random, onKafka: boolean): Plan {
  const pick = <T>(...list: T[]): T => list[random.below(list.length)]!;
  const log: LogKind = onKafka ? "kafka" : pick("broker", "broker", "embedded");
  const shared = onKafka && pick(true, true, true, true, true, false);
  const partitions = shared ? pick(2, 3, 4, 4, 6, 6) : pick(1, 1, 2, 2, 3, 4);
  // Some schedules are long: more checkpoints are retired, more sessions follow each other.
  const length = random.below(12) === 0 ? 4 : 1;
  const windowMs = pick(0, 250, 1000, 5000);
  const format = pick(Format.Text, Format.Text, Format.Json);
  return {
    log,
    partitions,
    sidePartitions: pick(1, partitions),
    machines: shared ? pick(2, 3, 4, 5) : log === "embedded" ? 1 : pick(1, 2, 3),
    sharedStore: log !== "kafka" && pick(true, false),
    workers: pick(1, 2, 2, 3),
    settings: {
      ...commitsEvery(pick(20, 50, 100, 400)),
      checkpointIntervalMs: pick(300, 300, 1000, 3000, 0),
      checkpointTimeoutMs: pick(80, 200, 5000, 3_600_000),
      checkpointsRetained: pick(1, 2, 3),
      recoveryRecordsMax: pick(10, 60, 1_000_000),
      idleTimeoutMs: pick(200, 1000, 1_000_000),
      restartAttempts: pick(1, 3, 20),
      logRetries: 3,
      stopsAtStrays: true,
      acceptsOffset: false,
    },
    core: {
      format,
      partitioner: pick(Partitioner.None, Partitioner.Murmur2, Partitioner.JavaHash),
      partitions,
      windowMs,
      eventTime: windowMs > 0 && pick(true, false),
      outOfOrderMs: pick(0, 100, 2000),
      maxAheadMs: pick(500, 10_000, 86_400_000),
      alertTotalMin: pick(0, 1, 2),
      alertRateMin: pick(0, 0.4),
      inputBytes: 4096,
      resultBytes: 140 * 1024,
      summaryBytes: 4096,
      batchBytesMax: pick(1100, 2000, 16_000),
      copyPagesMax: pick(1, 200, 4096),
    },
    outputBatchBytes: pick(4000, 65_000),
    pendingLimits: pick(
      { earlyBytes: 200, maxBytes: 800 },
      { earlyBytes: 2000, maxBytes: 8000 },
      { earlyBytes: 1_000_000, maxBytes: 2_000_000 },
    ),
    kvLimits: {
      commitBytes: pick(1500, 6000, 700_000),
      commitMutations: pick(10, 40, 900),
    },
    records: length * (40 + random.below(300)),
    durationMs: length * (1500 + random.below(6000)),
    recordsAtOnce: pick(3, 10, 40),
    items: pick(1, 8, 40, 60),
    longIds: pick(true, false, false),
    invalid: pick(0, 0.05, 0.3),
    slownessMs: pick(0.01, 0.5, 3),
    rates: ratesOf(random, log),
    // Several processes are active in one generation only if it lasts.
    clusterFaultMs: shared ? pick(200, 600, 2000, 2000) : pick(200, 600, 2000),
    kafka: {
      brokers: pick(1, 2, 3),
      sessionTimeoutMs: pick(800, 2000, 6000),
      transactionTimeoutMs: pick(4000, 10_000, 60_000),
      markersMs: pick(1, 10, 60),
      compression: pick("none", "none", "gzip", "zstd"),
      topicIds: pick("fetch", "fetch", "metadata", "none"),
      discoveryMs: pick(0, 300, 2000),
      shared,
    },
    zombieClaims: pick(0, 0, 0.3),
  };
}

const STORE_SALT = 0x570e;

/**
 * A plan whose processes may have one store of checkpoints if they share their partitions. It is drawn apart, so that the
 * other draws of a seed are what they were.
 */
export function withStore(plan: Plan, seed: number): Plan {
  const isOne = plan.kafka.shared && new Random(seed ^ STORE_SALT).below(2) === 0;
  return { ...plan, sharedStore: plan.sharedStore || isOne };
}

/** A random subset of the faults: about every other one, and sometimes nearly all or nearly none. */
function ratesOf(random: Random, log: Plan["log"]): Partial<Record<FaultKind, number>> {
  const share = [5, 40, 40, 70, 95][random.below(5)]!;
  const rates: Partial<Record<FaultKind, number>> = {};
  for (const [kind, rate] of Object.entries(ALL_FAULTS) as [FaultKind, number][]) {
    if (random.below(100) >= share || !isPossible(kind, log)) continue;
    // From a third of the usual rate to three times that.
    rates[kind] = Math.min(0.9 * Math.max(1, rate), rate * 3 ** (random.below(200) / 100 - 1));
  }
  return rates;
}

/** The embedded log has one process and no network; nobody writes to it in transactions. */
function isPossible(kind: FaultKind, log: LogKind): boolean {
  const ofKafka = kind in KAFKA_FAULTS || kind in KAFKA_CLUSTER_FAULTS || kind in KAFKA_ENDS;
  const ofBroker = /^(commit|fetch|claim) /.test(kind);
  // Elsewhere the log is kept by others.
  if (kind === "log disk full") return log === "embedded";
  if (log === "kafka") return !ofBroker;
  if (log === "broker") return !ofKafka;
  return !ofKafka && !ofBroker && !/^(transaction |(zombie|pause|owner conflict)$)/.test(kind);
}
