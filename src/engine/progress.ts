import type { Clock } from "../types/mod.ts";

/**
 * Work that can take long. restore: items of checkpoints; replay: records folded again up to the committed
 * offsets; verify: items of checkpoints; generate: records, if so many were asked for.
 */
export type Work = "restore" | "replay" | "verify" | "generate";

/** How far a work has come. */
export interface Progress {
  readonly work: Work;
  /** Who does it, for works that several do at a time. */
  readonly by: string;
  readonly done: number;
  /** Estimated as long as parts of the work are not known. */
  readonly total: number;
  /** It has ended, whether all was done or not. */
  readonly over: boolean;
}

export type OnProgress = (progress: Progress) => void;

/** Reports are at least so far apart; the first and the last one of a work always come. */
const REPORT_MS = 100;

interface State {
  parts: number;
  done: number;
  total: number;
  /** When it was reported last; null = never. */
  reportedAt: number | null;
}

/** Adds up the parts of works that one worker does after each other, such as the partitions it recovers. */
export class ProgressReporter {
  readonly #works = new Map<Work, State>();

  /** @param parts number of parts of every work: what is not begun yet counts like the parts before */
  constructor(
    readonly by: string,
    readonly parts: number,
    readonly clock: Clock,
    readonly onProgress: OnProgress,
  ) {}

  /** Begins a part of a work; the function that it returns takes how much of it is done. */
  begin(work: Work, total: number): (done: number) => void {
    let state = this.#works.get(work);
    if (!state) this.#works.set(work, state = { parts: 0, done: 0, total: 0, reportedAt: null });
    const all = state;
    all.parts++;
    all.total += total;
    if (total > 0) this.#report(work, all);
    let before = 0;
    return (done) => {
      all.done += done - before;
      before = done;
      this.#report(work, all);
    };
  }

  #report(work: Work, state: State): void {
    const now = this.clock.monotonic();
    if (state.reportedAt !== null && now - state.reportedAt < REPORT_MS) return;
    state.reportedAt = now;
    this.#notify(work, state, false);
  }

  #notify(work: Work, { parts, done, total }: State, over: boolean): void {
    const { by } = this;
    const estimated = Math.round(total * Math.max(1, this.parts / parts));
    this.onProgress({ work, by, done, total: over ? total : estimated, over });
  }

  /** Ends all works: nothing more comes. */
  end(): void {
    for (const [work, state] of this.#works) {
      if (state.reportedAt !== null) this.#notify(work, state, true);
    }
    this.#works.clear();
  }
}
