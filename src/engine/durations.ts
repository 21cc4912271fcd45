/** Upper bounds of the classes that durations are counted in, in seconds. */
export const DURATION_BOUNDS_SECONDS = [
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
] as const;

/** How many durations fell into each class; plain numbers, so that threads can send them. */
export interface DurationCounts {
  /** By class; the last one is above all bounds. */
  readonly counts: readonly number[];
  readonly sumMs: number;
}

export const NO_DURATIONS: DurationCounts = {
  counts: new Array(DURATION_BOUNDS_SECONDS.length + 1).fill(0),
  sumMs: 0,
};

export function addDurations(a: DurationCounts, b: DurationCounts): DurationCounts {
  return { counts: a.counts.map((n, i) => n + b.counts[i]!), sumMs: a.sumMs + b.sumMs };
}

/** Counts durations by class. */
export class Durations implements DurationCounts {
  readonly counts: number[] = [...NO_DURATIONS.counts];
  sumMs = 0;

  /** @param times how many things took so long */
  add(ms: number, times = 1): void {
    const found = DURATION_BOUNDS_SECONDS.findIndex((bound) => ms <= 1000 * bound);
    this.counts[found < 0 ? DURATION_BOUNDS_SECONDS.length : found]! += times;
    this.sumMs += ms * times;
  }

  /** As they are now. */
  snapshot(): DurationCounts {
    return { counts: [...this.counts], sumMs: this.sumMs };
  }
}

/** What a worker remembers of its commits, over its sessions. */
export class CommitStatistics {
  readonly durations = new Durations();
  /** Duration of the last commit. */
  lastMs = 0;
  /** When it was acknowledged, ms since the epoch. */
  lastAt: number | null = null;

  add(ms: number, at: number): void {
    this.durations.add(ms);
    this.lastMs = ms;
    this.lastAt = at;
  }
}
