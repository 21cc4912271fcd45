import type { StandBy } from "../log/mod.ts";
import {
  addDurations,
  type ConditionReporter,
  type DurationCounts,
  NO_DURATIONS,
  type PartitionFigures,
  type Shares,
  standardError,
  type WorkerFigures,
} from "../engine/mod.ts";
import { reasonName, REASONS } from "../types/mod.ts";
import { ConservationChecks } from "./conservation.ts";
import { clockAheadOf, lookAtClocks } from "./clock_ahead.ts";
import { KnownPartitions } from "./known_partitions.ts";
import { durationsSince, latencyOf } from "./quantiles.ts";
import type { Gateway } from "./gateway.ts";
import type { JobContext } from "./job_context.ts";
import { invalidOf, OutcomeCounts } from "./outcome_counts.ts";
import type { QueryWorker } from "./query_worker.ts";
import {
  type FlowStep,
  type JobState,
  type JobStatus,
  type PartitionStatus,
  pressureOf,
  type SeriesPoint,
  type StatusHistory,
  type Totals,
  type WorkerStatus,
} from "./status.ts";
import { rateOf, type Sample, SAMPLE_MS, Samples } from "./status_history.ts";
import { verdictOf } from "./verdict.ts";
import { VERSION } from "./version.ts";

/** Recoveries that are shown. */
const RECOVERIES_MAX = 20;

/** All that is known of a moment, before it is put into its form. */
interface Look {
  readonly figures: readonly WorkerFigures[];
  readonly partitions: readonly PartitionFigures[];
  /** Those of them that a worker has now. */
  readonly owned: ReadonlySet<number>;
}

/** The job whose status is read. */
export interface ReadJob {
  readonly name: string;
  readonly context: JobContext;
  readonly gateway: Gateway | null;
  readonly queries: QueryWorker;
  readonly failure: Error | null;
  readonly isReady: boolean;
  readonly isStopping: boolean;
  readonly standsBy: StandBy | null;
  readonly topics: JobStatus["topics"];
  figures(): WorkerFigures[];
  /** The number of the worker that has a partition; null = none has. */
  ownerOf(partition: number): number | null;
}

/** Reads the status of a running job; remembers what rates and checks need. */
export class StatusReader {
  readonly #known = new KnownPartitions();
  readonly #samples = new Samples();
  readonly #checks: ConservationChecks;
  readonly #clocks: ConditionReporter;
  readonly #startedAt: number;
  readonly #outcomes = new OutcomeCounts();
  /** Failures of checkpoints: as they were counted by the owners before, and as the present ones count. */
  readonly #failures = new Map<number, { before: number; now: number }>();

  constructor(readonly job: ReadJob) {
    this.#startedAt = job.context.clock.now();
    this.#checks = new ConservationChecks(job.context.conditions.reporter("status"));
    this.#clocks = job.context.conditions.reporter("status");
  }

  /** Takes samples until the signal is aborted. */
  async run(stop: AbortSignal): Promise<void> {
    const { clock } = this.job.context;
    while (!stop.aborted) {
      this.#samples.add(this.#sampleOf(this.#look()));
      await clock.sleep(SAMPLE_MS, stop);
    }
  }

  /** Figures of the last hour, of this life of the process. */
  get history(): StatusHistory {
    return this.#samples.history;
  }

  /** The newest point of it. */
  get point(): SeriesPoint | null {
    return this.#samples.point;
  }

  /** Durations of the last minute. */
  get minute(): { readonly commits: DurationCounts; readonly queries: DurationCounts } {
    return {
      commits: this.#sinceMinute((s) => s.commits),
      queries: this.#sinceMinute((s) => s.queryDurations),
    };
  }

  #sinceMinute(of: (sample: Sample) => DurationCounts): DurationCounts {
    const { minute } = this.#samples;
    return minute ? durationsSince(of(minute.from), of(minute.to)) : NO_DURATIONS;
  }

  #look(): Look {
    const figures = this.job.figures();
    const present = figures.flatMap((worker) => worker.partitions);
    this.#known.update(present);
    this.#outcomes.update(present);
    this.#checks.look(present, this.job.context.clock.now());
    lookAtClocks(this.#clocks, present, this.job.context.clock.now());
    for (const { partition, checkpointFailures } of present) {
      const { before, now } = this.#failures.get(partition) ?? { before: 0, now: 0 };
      // Its owner is another one if it counts from the beginning.
      const base = checkpointFailures < now ? before + now : before;
      this.#failures.set(partition, { before: base, now: checkpointFailures });
    }
    const owned = new Set(present.map(({ partition }) => partition));
    // What another process has now is reported by that one.
    const { owners } = this.job.context;
    const partitions = this.#known.all.filter((p) => !owners.isElsewhere(p.partition));
    return { figures, partitions, owned };
  }

  #sampleOf(look: Look): Sample {
    const { clock } = this.job.context;
    const { figures, partitions } = look;
    const sum = (of: (p: PartitionFigures) => number) => partitions.reduce((n, p) => n + of(p), 0);
    return {
      at: clock.now(),
      monotonic: clock.monotonic(),
      recordsIn: figures.reduce((n, w) => n + w.recordsIn, 0),
      recordsOut: figures.reduce((n, w) => n + w.recordsOut, 0),
      queries: this.job.queries.answered,
      ...this.#outcomes.counts,
      lag: this.#lagOf(partitions),
      items: sum((p) => p.items),
      stateBytes: sum((p) => p.stateBytes),
      ...meanShares(figures),
      commits: commitsOf(figures),
      queryDurations: this.job.queries.latency.snapshot(),
      firingMs: sum((p) => p.firingMs),
      byPartition: new Map(partitions.map((p) => [p.partition, p.recordsIn])),
    };
  }

  // ---- the status ----

  /** What is known now; asks nobody, and changes nothing of the job. */
  read(): JobStatus {
    const { job } = this;
    const { context, queries } = job;
    const look = this.#look();
    const { figures } = look;
    const partitions = this.#partitionsOf(look);
    const rates = this.#rates();
    const { minute } = this;
    const facts = {
      at: context.clock.now(),
      state: this.#state(),
      standsBy: job.standsBy,
      cluster: context.cluster?.status ?? null,
      conditions: context.conditions.list(),
      rates,
      lag: this.#lagOf(look.partitions),
      flow: this.#flowOf(figures),
      partitions,
      recoveries: recoveriesOf(figures, queries.causes),
    };
    const { topics } = context;
    return {
      ...facts,
      startedAt: this.#startedAt,
      version: VERSION,
      job: job.name,
      isReady: job.isReady,
      verdict: verdictOf({
        ...facts,
        failure: job.failure?.message ?? null,
        partitionCount: this.#partitionsHere(topics.partitionsOf(topics.input)),
        checkpointFailures: new Map(
          look.partitions.flatMap(({ partition, checkpointFailure: why }) =>
            why === null ? [] : [[partition, why]]
          ),
        ),
      }),
      conditionStates: Object.fromEntries(context.conditions.states()),
      totals: this.#totalsOf(look),
      items: look.partitions.reduce((n, p) => n + p.items, 0),
      openWindows: look.partitions.reduce((n, p) => n + p.openWindows, 0),
      idempotencyWindowMs: context.core.remember?.windowMs ?? 0,
      memory: {
        used: look.partitions.reduce((n, p) => n + p.stateBytes, 0),
        max: context.memory.bytesMax,
      },
      latency: {
        commit: latencyOf(minute.commits),
        query: latencyOf(minute.queries),
      },
      durations: {
        commits: commitsOf(figures),
        queryCommits: queries.committed.durations.snapshot(),
        queries: queries.latency.snapshot(),
      },
      workers: figures.map(workerOf),
      queryWorker: { recoveries: queries.recoveries, commitAt: queries.committed.lastAt },
      disks: context.disks.map(({ freeBytes, options: { file, path, bytesMin } }) => ({
        file,
        path,
        freeBytes,
        bytesMin,
      })),
      log: job.gateway && logOf(job.gateway.options.log),
      topics: job.topics,
    };
  }

  #partitionsHere(count: number): number {
    const { owners } = this.job.context;
    return Array.from({ length: count }, (_, p) => p).filter((p) => !owners.isElsewhere(p)).length;
  }

  #state(): JobState {
    const { job } = this;
    if (job.failure) return "failed";
    if (job.isStopping) return "stopping";
    if (job.standsBy) return "standing_by";
    return job.isReady ? "running" : "recovering";
  }

  #rates() {
    const { now } = this.#samples;
    const rate = (of: (sample: Sample) => number) => now && rateOf(now.from, now.to, of);
    return {
      recordsIn: rate((s) => s.recordsIn),
      recordsOut: rate((s) => s.recordsOut),
      queries: rate((s) => s.queries),
    };
  }

  #totalsOf({ figures, partitions }: Look): Totals {
    const { queries } = this.job;
    const sum = (of: (p: PartitionFigures) => number) => partitions.reduce((n, p) => n + of(p), 0);
    return {
      recordsIn: figures.reduce((n, w) => n + w.recordsIn, 0),
      recordsOut: figures.reduce((n, w) => n + w.recordsOut, 0),
      accepted: sum((p) => p.accepted),
      rejected: sum((p) => p.rejected),
      duplicates: sum((p) => p.duplicates),
      invalid: Object.fromEntries(
        REASONS.map((reason) => [reasonName(reason), sum((p) => p.invalid[reason] ?? 0)]),
      ),
      late: sum((p) => p.late),
      farAhead: sum((p) => p.farAhead),
      impossibleTimestamps: sum((p) => p.impossibleTimestamps),
      summaries: figures.reduce((n, w) => n + w.summariesOut, 0),
      queries: queries.answered,
      invalidQueries: Object.fromEntries(
        [...queries.invalid].map(([reason, n]) => [reasonName(reason), n]),
      ),
      linesDropped: figures.reduce((n, w) => n + w.linesDropped, standardError.dropped),
    };
  }

  #partitionsOf({ partitions, owned }: Look): PartitionStatus[] {
    const { context } = this.job;
    const { now } = this.#samples;
    const rates = new Map(partitions.map(({ partition }) => {
      const of = (sample: Sample) => sample.byPartition.get(partition) ?? 0;
      return [partition, now && rateOf(now.from, now.to, of)] as const;
    }));
    const mean = [...rates.values()].reduce<number>((n, rate) => n + (rate ?? 0), 0) /
      Math.max(1, partitions.length);
    return partitions.map((p) => {
      const rate = rates.get(p.partition) ?? null;
      const { before, now: failures } = this.#failures.get(p.partition) ?? { before: 0, now: 0 };
      return {
        partition: p.partition,
        worker: this.job.ownerOf(p.partition),
        isReady: p.isReady && owned.has(p.partition),
        position: p.position,
        lag: this.#lagOf([p]),
        watermark: p.watermark,
        items: p.items,
        stateBytes: p.stateBytes,
        openWindows: p.openWindows,
        accepted: p.accepted,
        rejected: p.rejected,
        duplicates: p.duplicates,
        remembered: p.remembered,
        clockAheadMs: clockAheadOf(p, context.clock.now()),
        invalid: invalidOf(p),
        rate,
        skew: rate !== null && mean > 0 ? rate / mean : null,
        checkpointMs: p.checkpointMs,
        checkpointAt: p.checkpointAt,
        checkpointFailures: before + failures,
        conservation: this.#checks.of(p),
      };
    });
  }

  /** Records that are not folded yet, of partitions whose log's end is known; null = of none it is. */
  #lagOf(partitions: readonly PartitionFigures[]): number | null {
    const { gateway, context } = this.job;
    const log = gateway?.options.transactionTopic ? gateway.options.log : null;
    let lag: number | null = null;
    for (const { partition, position, logEnd } of partitions) {
      const end = log ? log.bounds(context.topics.input, partition).end : logEnd;
      if (end !== null) lag = (lag ?? 0) + Math.max(0, end - position);
    }
    return lag;
  }

  #flowOf(figures: readonly WorkerFigures[]): FlowStep[] {
    const { now } = this.#samples;
    const ofTime = (of: (sample: Sample) => number) => {
      if (!now) return 0;
      const ms = Math.max(1, (now.to.monotonic - now.from.monotonic) * figures.length);
      return Math.min(1, Math.max(0, of(now.to) - of(now.from)) / ms);
    };
    const shares = meanShares(figures);
    const pressure = pressureOf(Math.max(0, ...figures.map((w) => w.shares.backPressured)));
    const firing = ofTime((s) => s.firingMs);
    const committing = ofTime((s) => s.commits.sumMs);
    return [
      // The source and the processor are one loop: what holds the one back holds back the other.
      { step: "source", ...shares, pressure },
      { step: "processor", ...shares, pressure },
      { step: "windows", busy: firing, idle: 1 - firing, backPressured: 0, pressure: "OK" },
      { step: "sinks", busy: committing, idle: 1 - committing, backPressured: 0, pressure: "OK" },
    ];
  }
}

function meanShares(figures: readonly WorkerFigures[]): Shares {
  const mean = (of: (shares: Shares) => number) =>
    figures.reduce((n, { shares }) => n + of(shares), 0) / Math.max(1, figures.length);
  return {
    busy: mean((s) => s.busy),
    idle: mean((s) => s.idle),
    backPressured: mean((s) => s.backPressured),
  };
}

function commitsOf(figures: readonly WorkerFigures[]): DurationCounts {
  return figures.map((w) => w.commitDurations).reduce(addDurations, NO_DURATIONS);
}

function workerOf(figures: WorkerFigures, worker: number): WorkerStatus {
  const { shares, commits, recoveries, commitAt, commitMs } = figures;
  const pressure = pressureOf(shares.backPressured);
  return { worker, shares, pressure, commits, recoveries, commitAt, commitMs };
}

function recoveriesOf(
  figures: readonly WorkerFigures[],
  queries: readonly { at: number; cause: string }[],
) {
  return [
    ...figures.flatMap(({ causes }, n) => causes.map((c) => ({ ...c, worker: String(n) }))),
    ...queries.map((c) => ({ ...c, worker: "queries" })),
  ].sort((a, b) => b.at - a.at).slice(0, RECOVERIES_MAX);
}

function logOf({ waitingBytes, appendTimeouts }: { waitingBytes: number; appendTimeouts: number }) {
  return { waitingBytes, appendTimeouts };
}
