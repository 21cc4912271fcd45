// The metrics of a job in the text format of Prometheus. Names follow
// https://prometheus.io/docs/practices/naming/: base units, _total for what only grows.

import { Counter, Gauge, Registry } from "prom-client";
import type { Conditions, PartitionFigures, WorkerFigures } from "../engine/mod.ts";
import type { RunningJob } from "../service/mod.ts";
import { addDurations, standardError } from "../engine/mod.ts";
import { type Reason, reasonName, REASONS } from "../types/mod.ts";
import { DurationHistogram } from "./duration_histogram.ts";
import { KnownPartitions } from "./known_partitions.ts";

/** A value and its labels. */
type Sample = readonly [value: number, labels?: Readonly<Record<string, string>>];

interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  readonly samples: () => readonly Sample[];
}

/** The metric of what is not as it should be. */
export function addConditions(registry: Registry, conditions: Conditions): void {
  new Gauge({
    name: "stockflow_unavailable",
    help: "1 while something is not as it should be, by what it is; /readyz has the reasons",
    labelNames: ["what"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [what, stands] of conditions.states()) this.set({ what }, stands ? 1 : 0);
    },
  });
}

/** Metrics of a job; figures are read once per scrape. */
export class JobMetrics {
  readonly registry = new Registry();
  readonly #partitions = new KnownPartitions();
  #workers: readonly WorkerFigures[] = [];

  constructor(readonly job: RunningJob) {
    this.#addRecords();
    this.#addState();
    this.#addQueries();
    this.#addWorkers();
    this.#addCheckpoints();
    this.#addLog();
  }

  /** Content type and text of an answer to a scrape. */
  async scrape(): Promise<{ contentType: string; body: string }> {
    this.#workers = this.job.figures();
    this.#partitions.update(this.#workers.flatMap((worker) => worker.partitions));
    return { contentType: this.registry.contentType, body: await this.registry.metrics() };
  }

  // ---- kinds of metrics ----

  #counter({ samples, labelNames = [], ...about }: MetricOptions): void {
    new Counter({
      ...about,
      labelNames,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [value, labels = {}] of samples()) this.inc(labels, value);
      },
    });
  }

  #gauge({ samples, labelNames = [], ...about }: MetricOptions): void {
    new Gauge({
      ...about,
      labelNames,
      registers: [this.registry],
      collect() {
        this.reset();
        for (const [value, labels = {}] of samples()) this.set(labels, value);
      },
    });
  }

  #sum(of: (figures: PartitionFigures) => number): Sample[] {
    return [[this.#partitions.all.reduce((n, figures) => n + of(figures), 0)]];
  }

  /** A value per partition, where there is one. */
  #perPartition(of: (figures: PartitionFigures) => number | null): Sample[] {
    return this.#partitions.all.flatMap((figures): Sample[] => {
      const value = of(figures);
      return value === null ? [] : [[value, { partition: String(figures.partition) }]];
    });
  }

  #perWorker(of: (figures: WorkerFigures) => number | null): Sample[] {
    return this.#workers.flatMap((figures, n): Sample[] => {
      const value = of(figures);
      return value === null ? [] : [[value, { worker: String(n) }]];
    });
  }

  /** Seconds since a moment. */
  #age(at: number | null): number | null {
    return at === null ? null : Math.max(0, this.job.context.clock.now() - at) / 1000;
  }

  // ---- the metrics ----

  #addRecords(): void {
    this.#counter({
      name: "stockflow_records_in_total",
      help: "Records of the transaction topic folded since the start of the process",
      samples: () => [[this.#workers.reduce((n, worker) => n + worker.recordsIn, 0)]],
    });
    this.#counter({
      name: "stockflow_transactions_total",
      help: "Transactions by outcome, over restarts",
      labelNames: ["outcome"],
      samples: () => [
        [this.#sum((f) => f.accepted)[0]![0], { outcome: "accepted" }],
        [this.#sum((f) => f.rejected)[0]![0], { outcome: "rejected" }],
      ],
    });
    this.#counter({
      name: "stockflow_invalid_records_total",
      help: "Invalid records of the transaction topic by reason, over restarts",
      labelNames: ["reason"],
      samples: () =>
        REASONS.map((reason) => [this.#sum((f) => f.invalid[reason] ?? 0)[0]![0], label(reason)]),
    });
    this.#counter({
      name: "stockflow_late_records_total",
      help: "Transactions that came too late for their window, over restarts",
      samples: () => this.#sum((f) => f.late),
    });
    this.#counter({
      name: "stockflow_far_ahead_records_total",
      help: "Transactions with a ts too far ahead for a window, over restarts",
      samples: () => this.#sum((f) => f.farAhead),
    });
    this.#counter({
      name: "stockflow_summaries_total",
      help: "Summaries that passed the alert filter, since the start of the process",
      samples: () => [[this.#workers.reduce((n, worker) => n + worker.summariesOut, 0)]],
    });
  }

  #addState(): void {
    this.#gauge({
      name: "stockflow_items",
      help: "Items seen",
      samples: () => this.#sum((f) => f.items),
    });
    this.#gauge({
      name: "stockflow_state_bytes",
      help: "Memory of items and open windows",
      samples: () => this.#sum((f) => f.stateBytes),
    });
    this.#gauge({
      name: "stockflow_state_bytes_max",
      help: "Memory of items and open windows at which new items are refused (state.bytes.max)",
      samples: () => [[this.job.context.memory.bytesMax, {}]],
    });
    this.#gauge({
      name: "stockflow_open_windows",
      help: "Windows that are not fired yet, over all partitions",
      samples: () => this.#sum((f) => f.openWindows),
    });
    addConditions(this.registry, this.job.context.conditions);
    this.#gauge({
      name: "stockflow_disk_free_bytes",
      help: "Free bytes of the disks of log.kv and state.kv, where they are known",
      labelNames: ["file"],
      samples: () =>
        this.job.context.disks.flatMap(({ freeBytes, options: { file } }): Sample[] =>
          freeBytes === null ? [] : [[freeBytes, { file }]]
        ),
    });
    this.#counter({
      name: "stockflow_log_lines_dropped_total",
      help: "Log lines that were dropped, because nobody read standard error",
      samples: () => [[
        this.#workers.reduce((n, worker) => n + worker.linesDropped, standardError.dropped),
      ]],
    });
    this.#gauge({
      name: "stockflow_ready",
      help: "1 when every partition is recovered, else 0",
      samples: () => [[this.job.isReady ? 1 : 0]],
    });
  }

  #addQueries(): void {
    const { queries } = this.job;
    this.#counter({
      name: "stockflow_queries_total",
      help: "Queries answered since the start of the process",
      samples: () => [[queries.answered]],
    });
    this.#counter({
      name: "stockflow_invalid_queries_total",
      help: "Invalid records of the query topic by reason, since the start of the process",
      labelNames: ["reason"],
      samples: () => [...queries.invalid].map(([reason, n]) => [n, label(reason)]),
    });
  }

  #addWorkers(): void {
    const { queries } = this.job;
    this.#gauge({
      name: "stockflow_worker_time_ratio",
      help: "Share of a worker's time lately, by what it did",
      labelNames: ["worker", "state"],
      samples: () =>
        this.#workers.flatMap(({ shares }, n): Sample[] => [
          [shares.busy, { worker: String(n), state: "busy" }],
          [shares.idle, { worker: String(n), state: "idle" }],
          [shares.backPressured, { worker: String(n), state: "back_pressured" }],
        ]),
    });
    this.#counter({
      name: "stockflow_recoveries_total",
      help: "How often a worker took the recovery path, since the start of the process",
      labelNames: ["worker"],
      samples: () => [
        ...this.#perWorker((f) => f.recoveries),
        [queries.recoveries, { worker: "queries" }],
      ],
    });
    this.registry.registerMetric(
      new DurationHistogram({
        name: "stockflow_commit_duration_seconds",
        help: "Time from asking for a commit until it is durable, by what was committed",
        labelNames: ["input"],
        samples: () => [
          [
            this.#workers.map((f) => f.commitDurations).reduce(addDurations),
            { input: "transactions" },
          ],
          [queries.committed.durations.take(), { input: "queries" }],
        ],
      }),
    );
    this.#gauge({
      name: "stockflow_commit_age_seconds",
      help: "Time since a worker's last commit; it grows while there is nothing to commit",
      labelNames: ["worker"],
      samples: () => [
        ...this.#perWorker((f) => this.#age(f.commitAt)),
        ...[this.#age(queries.committed.lastAt)].filter((age) => age !== null)
          .map((age): Sample => [age, { worker: "queries" }]),
      ],
    });
  }

  #addCheckpoints(): void {
    this.#gauge({
      name: "stockflow_checkpoint_duration_seconds",
      help: "Duration of the last checkpoint of a partition, from cut to publication",
      labelNames: ["partition"],
      samples: () =>
        this.#perPartition((f) => f.checkpointMs === null ? null : f.checkpointMs / 1e3),
    });
    this.#gauge({
      name: "stockflow_checkpoint_age_seconds",
      help: "Time since the newest checkpoint of a partition; it grows while nothing changes",
      labelNames: ["partition"],
      samples: () => this.#perPartition((f) => this.#age(f.checkpointAt)),
    });
  }

  #addLog(): void {
    const { gateway, context } = this.job;
    const log = gateway?.options.log ?? null;
    this.#gauge({
      name: "stockflow_lag_records",
      help: "End of the log minus the next offset to fold, by partition",
      labelNames: ["partition"],
      samples: () =>
        this.#perPartition(({ partition, position, logEnd }) => {
          const end = log ? log.bounds(context.topics.input, partition).end : logEnd;
          return end === null ? null : Math.max(0, end - position);
        }),
    });
    if (!log) return; // the log is not the job's own
    this.#gauge({
      name: "stockflow_log_waiting_bytes",
      help: "Bytes that wait to be written to the log",
      samples: () => [[log.waitingBytes]],
    });
    this.#counter({
      name: "stockflow_append_timeouts_total",
      help: "Appends of posted records that waited longer than append.timeout.ms, and were refused",
      samples: () => [[log.appendTimeouts]],
    });
  }
}

function label(reason: Reason): { reason: string } {
  return { reason: reasonName(reason) };
}
