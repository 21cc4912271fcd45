import { addDurations, type DurationCounts, NO_DURATIONS } from "./durations.ts";

/** Figures of one partition. */
export interface PartitionFigures {
  readonly partition: number;
  /** Next offset to fold. */
  readonly position: number;
  /** Where the log ended when it was last read from; null = its session does not know. */
  readonly logEnd: number | null;
  readonly items: number;
  readonly accepted: number;
  readonly rejected: number;
  /** Transactions that repeated one that was executed before. */
  readonly duplicates: number;
  readonly late: number;
  readonly farAhead: number;
  /** By reason. */
  readonly invalid: readonly number[];
  /** Record timestamps that are not those of dates, since the partition was taken over; they count as none. */
  readonly impossibleTimestamps: number;
  /** What is remembered of transactions; null = nothing is. */
  readonly remembered: RememberedFigures | null;
  /** Largest record timestamp, ms; null at first. */
  readonly largestTimestamp: number | null;
  /** Memory of items, open windows and remembered transactions. */
  readonly stateBytes: number;
  readonly openWindows: number;
  /** Summaries that passed the alert filter, since the partition was taken over. */
  readonly alerts: number;
  /** Duration of the last checkpoint taken here, from cut to publication; null before the first. */
  readonly checkpointMs: number | null;
  /** When the newest checkpoint was published, ms since the epoch; null before the first. */
  readonly checkpointAt: number | null;
  /** Why the last checkpoint was not taken; null = it was. And how many were not, since the partition was taken over. */
  readonly checkpointFailure: string | null;
  readonly checkpointFailures: number;
  /** Records folded with outputs since the partition was taken over. */
  readonly recordsIn: number;
  /** Time spent firing windows since then. */
  readonly firingMs: number;
  /** Up to here windows were fired, in ms; null at first. */
  readonly watermark: number | null;
  /** Whether all that the log held when it was claimed is folded. */
  readonly isReady: boolean;
  readonly records: RecordCheck;
  /** As of the last checkpoint that was encoded, or the one that was restored; null before the first. */
  readonly stocks: StockCheck | null;
}

/** How far back repetitions are recognised, by the time of the log's records. */
export interface RememberedFigures {
  readonly transactions: number;
  /** All transactions of the last so many ms are remembered: the window, or less if there were too many. */
  readonly guaranteedMs: number;
  /** Clock of the oldest ones when they do not reach back to the window, ms; null = they do. */
  readonly since: number | null;
}

/** Two counts of the same records, as of a moment when no batch was being folded. */
export interface RecordCheck {
  /** Records that have an outcome, which the core counts one by one: accepted, rejected, invalid and duplicate. */
  readonly outcomes: number;
  /**
   * The same as the host counts them, batch by batch, on top of the outcomes of the checkpoint that the partition was
   * recovered from.
   */
  readonly consumed: number;
}

/** Two sums that must be equal, both modulo 2^64. */
export interface StockCheck {
  /** Clock.now() at which they were compared. */
  readonly at: number;
  /** All stocks, added up while the segments were encoded or restored. */
  readonly stock: bigint;
  /** Quantities of all accepted transactions, added up as they were executed. */
  readonly accepted: bigint;
}

/** Why a worker took the recovery path. */
export interface RecoveryCause {
  /** ms since the epoch */
  readonly at: number;
  readonly cause: string;
}

/** Causes that are kept. */
const CAUSES_MAX = 20;

/** The causes with one more, the newest first. */
export function addCause(
  causes: readonly RecoveryCause[],
  cause: RecoveryCause,
): readonly RecoveryCause[] {
  return [cause, ...causes].slice(0, CAUSES_MAX);
}

/** An item that many records were of lately. */
export interface HotItem {
  readonly itemId: string;
  /** Samples of it; those of a minute ago count half. */
  readonly samples: number;
}

/** The hottest items of a worker, and how many samples there were of all items. */
export interface HotItemFigures {
  readonly samples: number;
  /** The hottest first. */
  readonly items: readonly HotItem[];
}

/** Shares of a worker's time, each from 0 to 1. */
export interface Shares {
  /** Folding. */
  readonly busy: number;
  /** Waiting for records. */
  readonly idle: number;
  /** Waiting because too much is to be committed. */
  readonly backPressured: number;
}

/** Figures of one worker. */
export interface WorkerFigures {
  /** Records folded with outputs since its start. */
  readonly recordsIn: number;
  readonly commits: number;
  readonly recoveries: number;
  /** Why, the newest first. */
  readonly causes: readonly RecoveryCause[];
  /** Duration of the last commit. */
  readonly commitMs: number;
  /** When the last commit was acknowledged, ms since the epoch; null before the first. */
  readonly commitAt: number | null;
  readonly commitDurations: DurationCounts;
  /** Results, summaries and dead letters that were committed since its start. */
  readonly recordsOut: number;
  /** Summaries that were committed since its start. */
  readonly summariesOut: number;
  /** Log lines of its own thread that were dropped, because nobody read them. */
  readonly linesDropped: number;
  readonly shares: Shares;
  readonly partitions: readonly PartitionFigures[];
}

/** What a worker reports before it has done anything. */
export const NO_FIGURES: WorkerFigures = {
  recordsIn: 0,
  commits: 0,
  recoveries: 0,
  causes: [],
  commitMs: 0,
  commitAt: null,
  commitDurations: NO_DURATIONS,
  recordsOut: 0,
  summariesOut: 0,
  linesDropped: 0,
  shares: { busy: 0, idle: 0, backPressured: 0 },
  partitions: [],
};

/** Figures of a worker whose earlier threads are gone: what it counts goes on, the rest is the present. */
export function addFigures(before: WorkerFigures, now: WorkerFigures): WorkerFigures {
  return {
    ...now,
    recordsIn: before.recordsIn + now.recordsIn,
    commits: before.commits + now.commits,
    recoveries: before.recoveries + now.recoveries,
    causes: [...now.causes, ...before.causes].slice(0, CAUSES_MAX),
    commitAt: now.commitAt ?? before.commitAt,
    commitDurations: addDurations(before.commitDurations, now.commitDurations),
    recordsOut: before.recordsOut + now.recordsOut,
    summariesOut: before.summariesOut + now.summariesOut,
    linesDropped: before.linesDropped + now.linesDropped,
  };
}
