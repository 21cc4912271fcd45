// What the running job says of itself: plain data, read-only, all of it known already when it is asked for. The page,
// /metrics and GET /status are made of it.

// This file imports types of leaves alone: the page is built from it, without what the service needs.

import type { DurationCounts } from "../engine/durations.ts";
import type { RecoveryCause, Shares } from "../engine/figures.ts";

/** What the job does as a whole. */
export type JobState = "recovering" | "running" | "standing_by" | "stopping" | "failed";

/** How bad something is: nothing is wrong; someone should look; something does not work. */
export type Level = "ok" | "warning" | "broken";

/** Something that is worth a look, as a sentence without figures, which have their places elsewhere. */
export interface Finding {
  readonly level: Exclude<Level, "ok">;
  /** A short name, such as "disk", "lag" or "conservation". */
  readonly what: string;
  readonly text: string;
}

/** Whether all is well, in one sentence. */
export interface Verdict {
  readonly level: Level;
  readonly sentence: string;
  /** Everything that was found, the worst first. */
  readonly findings: readonly Finding[];
}

/** Flink's classes of back pressure, by the largest share of time that a worker waits because of it. */
export type Pressure = "OK" | "LOW" | "HIGH";

/** A step of the data flow; shares of its time over the last seconds, each from 0 to 1. */
export interface FlowStep extends Shares {
  readonly step: "source" | "processor" | "windows" | "sinks";
  readonly pressure: Pressure;
}

/** Durations of the last minute, in ms, interpolated within the classes of the histogram. */
export interface Latency {
  readonly count: number;
  /** Null while there was nothing to measure. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

/** Counters; those over restarts are marked, the others count since the process started. */
export interface Totals {
  /** Records of the transaction topic that were folded. */
  readonly recordsIn: number;
  /** Results, summaries and dead letters that were committed. */
  readonly recordsOut: number;
  /** Over restarts. */
  readonly accepted: number;
  /** Over restarts. */
  readonly rejected: number;
  /** Transactions that repeated one that was executed before; over restarts. */
  readonly duplicates: number;
  /** By reason; over restarts. */
  readonly invalid: Readonly<Record<string, number>>;
  /** Over restarts. */
  readonly late: number;
  /** Over restarts. */
  readonly farAhead: number;
  /** Record timestamps that are not those of dates, and count as none. */
  readonly impossibleTimestamps: number;
  readonly summaries: number;
  readonly queries: number;
  /** By reason. */
  readonly invalidQueries: Readonly<Record<string, number>>;
  readonly linesDropped: number;
}

/** Records a second over the last seconds; null before two samples are there. */
export interface Rates {
  readonly recordsIn: number | null;
  readonly recordsOut: number | null;
  readonly queries: number | null;
}

/** A worker of transactions. */
export interface WorkerStatus {
  /** Address of the process that it is of, in a status of several. */
  readonly process?: string;
  readonly worker: number;
  readonly shares: Shares;
  readonly pressure: Pressure;
  readonly commits: number;
  readonly recoveries: number;
  /** ms since the epoch; null before the first commit. */
  readonly commitAt: number | null;
  readonly commitMs: number;
}

/** Both sides of a check, and whether they agree. Sums of stocks are int64, as decimal texts. */
export interface Check {
  readonly agrees: boolean;
  readonly left: string;
  readonly right: string;
  /** When they were compared, ms since the epoch. */
  readonly at: number;
}

/** Whether nothing was lost or doubled in a partition: two pairs of figures that are counted apart. */
export interface Conservation {
  /** Left: accepted + rejected + invalid + duplicate, as the core counts. Right: records consumed, as the host counts batches. */
  readonly records: Check;
  /** Left: sum of all stocks at the last checkpoint. Right: sum of all accepted quantities then. Null before one. */
  readonly stocks: Check | null;
  /** The first disagreement since the process started, which stays; null = there was none. */
  readonly broken: { readonly at: number; readonly text: string } | null;
}

export interface PartitionStatus {
  /** Address of the process that it is of, in a status of several. */
  readonly process?: string;
  readonly partition: number;
  /** The worker of this process that has it now, as it says itself; null = none has. */
  readonly worker: number | null;
  /** Whether all that the log held when it was claimed is folded. False while it is recovered. */
  readonly isReady: boolean;
  /** Next offset to fold. */
  readonly position: number;
  /** End of the log minus position; null where the end is not known. */
  readonly lag: number | null;
  /** Up to here windows were fired, ms; null at first. */
  readonly watermark: number | null;
  readonly items: number;
  /** Memory of items, open windows and remembered transactions. */
  readonly stateBytes: number;
  readonly openWindows: number;
  readonly accepted: number;
  readonly rejected: number;
  readonly duplicates: number;
  readonly invalid: number;
  /** Transactions that are remembered, and how far back all of them are, in ms; null = none is remembered. */
  readonly remembered: { readonly transactions: number; readonly guaranteedMs: number } | null;
  /** How far its largest record timestamp is ahead of the clock, ms; 0 = it is not. */
  readonly clockAheadMs: number;
  /** Records a second over the last seconds. */
  readonly rate: number | null;
  /** Its rate divided by the mean of all partitions; 1 = as much as the others. Null while nothing comes. */
  readonly skew: number | null;
  /** Newest checkpoint: duration in ms, and when it was published. Null before the first. */
  readonly checkpointMs: number | null;
  readonly checkpointAt: number | null;
  readonly checkpointFailures: number;
  readonly conservation: Conservation;
}

/** The disk of a file. */
export interface DiskStatus {
  /** Address of the process that it is of, in a status of several. */
  readonly process?: string;
  readonly file: "log" | "state";
  readonly path: string;
  /** Null where it is not known. */
  readonly freeBytes: number | null;
  /** With less than this, new writes are refused (disk.free.bytes.min). */
  readonly bytesMin: number;
}

/** Something that is not as it should be; see Conditions. */
export interface ConditionStatus {
  /** Address of the process that it is of, in a status of several. */
  readonly process?: string;
  /** A short name, such as "disk". */
  readonly what: string;
  readonly reason: string;
  readonly blocks: "nothing" | "writes" | "lookups";
  /** ms since the epoch at which it began. */
  readonly since: number;
}

/** Who shares the partitions of transactions, by what this process knows. */
export interface ClusterStatus {
  readonly generation: number;
  /** Partitions of the transaction topic. */
  readonly partitions: number;
  readonly processes: readonly {
    /** host:port of its HTTP API; null = none that others could ask. */
    readonly address: string | null;
    readonly workers: number;
    /** How many of the partitions it has. */
    readonly partitions: number;
    /** Whether it is the one that says this. */
    readonly isHere: boolean;
    readonly isLeader: boolean;
    /** Of each in a status of several; null = it does not say, and why. */
    readonly state?: JobState | null;
    readonly why?: string | null;
  }[];
}

/** Histograms since the process started. */
export interface DurationTotals {
  readonly commits: DurationCounts;
  readonly queryCommits: DurationCounts;
  /** From reading queries until their results are committed. */
  readonly queries: DurationCounts;
}

export interface JobStatus {
  /** ms since the epoch, of the service's clock. */
  readonly at: number;
  /** When this life of the job began. */
  readonly startedAt: number;
  /** Of the program, as deno.json has it. */
  readonly version: string;
  readonly job: string;
  readonly state: JobState;
  /** Address of the active process while this one stands by (host:port; null = it says none). */
  readonly standsBy: { readonly active: string | null } | null;
  /** Null where partitions are not shared, and while the group is being joined. */
  readonly cluster: ClusterStatus | null;
  readonly isReady: boolean;
  readonly verdict: Verdict;
  readonly conditions: readonly ConditionStatus[];
  /** Every condition that was ever set, and whether it stands now. */
  readonly conditionStates: Readonly<Record<string, boolean>>;
  readonly totals: Totals;
  readonly rates: Rates;
  /** Over all partitions; null where the ends of the log are not known. */
  readonly lag: number | null;
  readonly items: number;
  readonly openWindows: number;
  /** How long transactions are remembered, 0 = not at all. */
  readonly idempotencyWindowMs: number;
  /** Memory of items, open windows and remembered transactions, and its bound (state.bytes.max). */
  readonly memory: { readonly used: number; readonly max: number };
  readonly latency: {
    readonly commit: Latency;
    readonly query: Latency;
  };
  readonly durations: DurationTotals;
  readonly flow: readonly FlowStep[];
  readonly workers: readonly WorkerStatus[];
  readonly queryWorker: { readonly recoveries: number; readonly commitAt: number | null };
  readonly partitions: readonly PartitionStatus[];
  /** The newest first, of workers and of the queries. */
  readonly recoveries: readonly (RecoveryCause & {
    readonly worker: string;
    readonly process?: string;
  })[];
  readonly disks: readonly DiskStatus[];
  /** Of the embedded log: bytes that wait to be written, and appends refused for waiting. Null elsewhere. */
  readonly log: { readonly waitingBytes: number; readonly appendTimeouts: number } | null;
  /** Topics, as the data flow names them; null = not written. */
  readonly topics: {
    readonly transactions: string;
    readonly results: string | null;
    readonly summaries: string | null;
    readonly deadLetters: string | null;
    readonly queries: string;
    readonly queryResults: string | null;
  };
}

/** Lines of charts: a value per point, null where there is none. */
export interface SeriesPoint {
  readonly at: number;
  /** A second. */
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly queries: number;
  readonly accepted: number;
  readonly rejected: number;
  readonly invalid: number;
  readonly lag: number | null;
  readonly items: number;
  readonly stateBytes: number;
  /** Shares of the workers' time, 0 to 1. */
  readonly busy: number;
  readonly idle: number;
  readonly backPressured: number;
  readonly commitP50Ms: number | null;
  readonly commitP99Ms: number | null;
  readonly queryP50Ms: number | null;
  readonly queryP99Ms: number | null;
}

/** Points of the last ten minutes, one a second, and of the last hour, one in ten seconds; the oldest first. */
export interface StatusHistory {
  readonly seconds: readonly SeriesPoint[];
  readonly tens: readonly SeriesPoint[];
}

/** Flink's bounds (Monitoring Back Pressure): up to 10 % OK, up to 50 % LOW, above HIGH. */
export function pressureOf(backPressured: number): Pressure {
  return backPressured <= 0.1 ? "OK" : backPressured <= 0.5 ? "LOW" : "HIGH";
}

/** How bad a condition is by what it blocks. */
export function levelOf(blocks: ConditionStatus["blocks"]): Exclude<Level, "ok"> {
  return blocks === "nothing" ? "warning" : "broken";
}
