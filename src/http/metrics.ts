// The metrics of a job in the text format of Prometheus, made of its status. Names follow
// https://prometheus.io/docs/practices/naming/: base units, _total for what only grows.

import type { Conditions } from "../engine/mod.ts";
import { type JobStatus, type PartitionStatus, VERSION } from "../service/mod.ts";
import { type DurationHistogram, exposeMetrics, type Metric, type Sample } from "./exposition.ts";

/** A metric that is made of the job's status. */
interface JobMetric extends Omit<Metric, "samples"> {
  readonly samples: (status: JobStatus) => readonly Sample[];
}

/** The metric of what is not as it should be. */
export function conditionsMetric(
  states: () => Iterable<readonly [what: string, stands: boolean]>,
): Metric {
  return {
    name: "stockflow_unavailable",
    help: "1 while something is not as it should be, by what it is; /readyz has the reasons",
    samples: () => [...states()].map(([what, stands]): Sample => [stands ? 1 : 0, { what }]),
  };
}

/** The same, before a job has started. */
export function statesOf(conditions: Conditions): () => Iterable<readonly [string, boolean]> {
  return () => conditions.states();
}

/** The metric that says which version runs. */
export const BUILD_INFO: Metric = {
  name: "stockflow_build_info",
  help: "Always 1; its label is the version of the program",
  samples: () => [[1, { version: VERSION }]],
};

/** Metrics of a job and its server; the status of the job is read once per scrape. */
export class JobMetrics {
  #status: JobStatus;
  readonly #metrics: readonly (Metric | DurationHistogram)[];

  /** @param others that are not made of the status */
  constructor(readonly status: () => JobStatus, others: readonly Metric[] = []) {
    this.#status = status();
    const ofJob = [
      ...RECORDS,
      ...STATE,
      ...WORKERS,
      ...CHECKPOINTS,
      ...CLUSTER,
      ...(this.#status.log ? LOG : []),
    ];
    this.#metrics = [
      ...ofJob.map(({ samples, ...about }) => ({ ...about, samples: () => samples(this.#status) })),
      BUILD_INFO,
      conditionsMetric(() => Object.entries(this.#status.conditionStates)),
      ...this.#durations(),
      ...others,
    ];
  }

  /** The text of an answer to a scrape. */
  scrape(): string {
    this.#status = this.status();
    return exposeMetrics(this.#metrics);
  }

  #durations(): DurationHistogram[] {
    return [
      {
        name: "stockflow_commit_duration_seconds",
        help: "Time from asking for a commit until it is durable, by what was committed",
        durations: () => [
          [this.#status.durations.commits, { input: "transactions" }],
          [this.#status.durations.queryCommits, { input: "queries" }],
        ],
      },
      {
        name: "stockflow_query_duration_seconds",
        help: "Time from reading a query until its result is committed",
        durations: () => [[this.#status.durations.queries, {}]],
      },
    ];
  }
}

// ---- the metrics ----

const one = (of: (status: JobStatus) => number) => (status: JobStatus): Sample[] => [[of(status)]];

/** A value per partition, where there is one. */
const perPartition =
  (of: (partition: PartitionStatus, status: JobStatus) => number | null) =>
  (status: JobStatus): Sample[] =>
    status.partitions.flatMap((p): Sample[] => {
      const value = of(p, status);
      return value === null ? [] : [[value, { partition: String(p.partition) }]];
    });

/** Seconds since a moment. */
function age({ at }: JobStatus, then: number | null): number | null {
  return then === null ? null : Math.max(0, at - then) / 1000;
}

const byReason = (counts: Readonly<Record<string, number>>): Sample[] =>
  Object.entries(counts).map(([reason, n]) => [n, { reason }]);

const RECORDS: readonly JobMetric[] = [
  {
    name: "stockflow_records_in_total",
    help: "Records of the transaction topic folded since the start of the process",
    samples: one(({ totals }) => totals.recordsIn),
  },
  {
    name: "stockflow_records_out_total",
    help: "Results, summaries and dead letters committed since the start of the process",
    samples: one(({ totals }) => totals.recordsOut),
  },
  {
    name: "stockflow_transactions_total",
    help: "Transactions by outcome, over restarts",
    samples: ({ totals: { accepted, rejected } }) => [
      [accepted, { outcome: "accepted" }],
      [rejected, { outcome: "rejected" }],
    ],
  },
  {
    name: "stockflow_invalid_records_total",
    help: "Invalid records of the transaction topic by reason, over restarts",
    samples: ({ totals }) => byReason(totals.invalid),
  },
  {
    name: "stockflow_duplicates_total",
    help: "Transactions that repeated one that was executed before, over restarts",
    samples: one(({ totals }) => totals.duplicates),
  },
  {
    name: "stockflow_impossible_timestamps_total",
    help:
      "Record timestamps that are not those of dates, and count as none, since the partition was taken over",
    samples: one(({ totals }) => totals.impossibleTimestamps),
  },
  {
    name: "stockflow_late_records_total",
    help: "Transactions that came too late for their window, over restarts",
    samples: one(({ totals }) => totals.late),
  },
  {
    name: "stockflow_far_ahead_records_total",
    help: "Transactions with a ts too far ahead for a window, over restarts",
    samples: one(({ totals }) => totals.farAhead),
  },
  {
    name: "stockflow_summaries_total",
    help: "Summaries that passed the alert filter, since the start of the process",
    samples: one(({ totals }) => totals.summaries),
  },
  {
    name: "stockflow_queries_total",
    help: "Queries answered since the start of the process",
    samples: one(({ totals }) => totals.queries),
  },
  {
    name: "stockflow_invalid_queries_total",
    help: "Invalid records of the query topic by reason, since the start of the process",
    samples: ({ totals }) => byReason(totals.invalidQueries),
  },
  {
    name: "stockflow_lag_records",
    help: "End of the log minus the next offset to fold, by partition",
    samples: perPartition(({ lag }) => lag),
  },
];

const STATE: readonly JobMetric[] = [
  {
    name: "stockflow_items",
    help: "Items seen",
    samples: one(({ items }) => items),
  },
  {
    name: "stockflow_state_bytes",
    help: "Memory of items, open windows and remembered transactions",
    samples: one(({ memory }) => memory.used),
  },
  {
    name: "stockflow_state_bytes_max",
    help:
      "Memory of items, open windows and remembered transactions at which new items are refused (state.bytes.max)",
    samples: one(({ memory }) => memory.max),
  },
  {
    name: "stockflow_open_windows",
    help: "Windows that are not fired yet, over all partitions",
    samples: one(({ openWindows }) => openWindows),
  },
  {
    name: "stockflow_remembered_transactions",
    help: "Transactions that are remembered, to recognise their repetitions, by partition",
    samples: perPartition(({ remembered }) => remembered?.transactions ?? null),
  },
  {
    name: "stockflow_idempotency_guaranteed_seconds",
    help:
      "Repetitions within this time are recognised, by partition: the window, or less if there were too many",
    samples: perPartition(({ remembered }) => remembered && remembered.guaranteedMs / 1000),
  },
  {
    name: "stockflow_idempotency_window_seconds",
    help: "How long transactions are remembered (idempotency.window.ms), 0 = not at all",
    samples: one(({ idempotencyWindowMs }) => idempotencyWindowMs / 1000),
  },
  {
    name: "stockflow_clock_ahead_seconds",
    help: "How far the largest record timestamp of a partition is ahead of the clock",
    samples: perPartition(({ clockAheadMs }) => clockAheadMs / 1000),
  },
  {
    name: "stockflow_watermark_timestamp_seconds",
    help: "Up to here windows were fired, by partition, in seconds since the epoch",
    samples: perPartition(({ watermark }) => watermark === null ? null : watermark / 1000),
  },
  {
    name: "stockflow_conservation_broken",
    help: "1 if the counts of a partition disagreed since the start of the process, else 0",
    samples: perPartition(({ conservation }) => conservation.broken ? 1 : 0),
  },
  {
    name: "stockflow_disk_free_bytes",
    help: "Free bytes of the disks of log.kv and state.kv, where they are known",
    samples: ({ disks }) =>
      disks.flatMap(({ file, freeBytes }): Sample[] =>
        freeBytes === null ? [] : [[freeBytes, { file }]]
      ),
  },
  {
    name: "stockflow_disk_free_bytes_min",
    help: "Free bytes below which new writes are refused (disk.free.bytes.min)",
    samples: ({ disks }) => disks.map(({ file, bytesMin }) => [bytesMin, { file }]),
  },
  {
    name: "stockflow_log_lines_dropped_total",
    help: "Log lines that were dropped, because nobody read standard error",
    samples: one(({ totals }) => totals.linesDropped),
  },
  {
    name: "stockflow_ready",
    help: "1 when every partition is recovered, else 0",
    samples: one(({ isReady }) => isReady ? 1 : 0),
  },
  {
    name: "stockflow_standing_by",
    help: "1 while this process stands by for another of its group, else 0",
    samples: one(({ standsBy }) => standsBy ? 1 : 0),
  },
  {
    name: "stockflow_start_timestamp_seconds",
    help: "When this life of the job began, in seconds since the epoch",
    samples: one(({ startedAt }) => startedAt / 1000),
  },
];

const WORKERS: readonly JobMetric[] = [
  {
    name: "stockflow_worker_time_ratio",
    help: "Share of a worker's time lately, by what it did",
    samples: ({ workers }) =>
      workers.flatMap(({ worker, shares }): Sample[] => [
        [shares.busy, { worker: String(worker), state: "busy" }],
        [shares.idle, { worker: String(worker), state: "idle" }],
        [shares.backPressured, { worker: String(worker), state: "back_pressured" }],
      ]),
  },
  {
    name: "stockflow_recoveries_total",
    help: "How often a worker took the recovery path, since the start of the process",
    samples: ({ workers, queryWorker }) => [
      ...workers.map(({ worker, recoveries }): Sample => [recoveries, { worker: String(worker) }]),
      [queryWorker.recoveries, { worker: "queries" }],
    ],
  },
  {
    name: "stockflow_commit_age_seconds",
    help: "Time since a worker's last commit; it grows while there is nothing to commit",
    samples: (status) =>
      [
        ...status.workers.map(({ worker, commitAt }) => [String(worker), commitAt] as const),
        ["queries", status.queryWorker.commitAt] as const,
      ].flatMap(([worker, commitAt]): Sample[] => {
        const seconds = age(status, commitAt);
        return seconds === null ? [] : [[seconds, { worker }]];
      }),
  },
];

const CHECKPOINTS: readonly JobMetric[] = [
  {
    name: "stockflow_checkpoint_duration_seconds",
    help: "Duration of the last checkpoint of a partition, from cut to publication",
    samples: perPartition(({ checkpointMs }) => checkpointMs === null ? null : checkpointMs / 1e3),
  },
  {
    name: "stockflow_checkpoint_age_seconds",
    help: "Time since the newest checkpoint of a partition; it grows while nothing changes",
    samples: perPartition(({ checkpointAt }, status) => age(status, checkpointAt)),
  },
  {
    name: "stockflow_checkpoint_failures_total",
    help: "Checkpoints of a partition that were not taken, since the start of the process",
    samples: perPartition(({ checkpointFailures }) => checkpointFailures),
  },
];

/** Of processes that share partitions, as this one knows it; none while the group shares anew, and where they are not shared. */
const CLUSTER: readonly JobMetric[] = [
  {
    name: "stockflow_cluster_generation",
    help: "Generation of the group that shares the partitions; each rebalance begins a new one",
    samples: ({ cluster }) => cluster ? [[cluster.generation]] : [],
  },
  {
    name: "stockflow_cluster_processes",
    help: "Processes that share the partitions",
    samples: ({ cluster }) => cluster ? [[cluster.processes.length]] : [],
  },
  {
    name: "stockflow_cluster_owned_partitions",
    help: "Partitions of the transaction topic that this process has of those that are shared",
    samples: ({ cluster }) =>
      cluster?.processes.filter(({ isHere }) => isHere).map((p): Sample => [p.partitions]) ?? [],
  },
];

/** Of a log of the job's own. */
const LOG: readonly JobMetric[] = [
  {
    name: "stockflow_log_waiting_bytes",
    help: "Bytes that wait to be written to the log",
    samples: one(({ log }) => log?.waitingBytes ?? 0),
  },
  {
    name: "stockflow_append_timeouts_total",
    help: "Appends of posted records that waited longer than append.timeout.ms, and were refused",
    samples: one(({ log }) => log?.appendTimeouts ?? 0),
  },
];
