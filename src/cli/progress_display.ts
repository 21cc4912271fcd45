// progress_display: shows on a terminal how far long work has come; elsewhere a line every some seconds.

import { getLogger } from "@logtape/logtape";
import { type Progress, standardError, type Work } from "../engine/mod.ts";
import { type Clock, systemClock } from "../types/mod.ts";

const log = getLogger(["stockflow", "progress"]);

/** Work that is done sooner is not shown. */
const SHOW_AFTER_MS = 1000;
/** Without a terminal. */
const LINE_EVERY_MS = 10_000;
/** The line fits into 80 characters. */
const BAR_CHARACTERS = 20;

const TITLES: Readonly<Record<Work, { readonly title: string; readonly unit: string }>> = {
  restore: { title: "Restoring checkpoints", unit: "items" },
  replay: { title: "Folding again", unit: "records" },
  verify: { title: "Verifying checkpoints", unit: "items" },
  generate: { title: "Generating", unit: "records" },
};

/** What a progress bar needs of a terminal. */
export interface Terminal {
  /** Width in characters. */
  readonly columns: number;
  write(text: string): void;
}

// Of ECMA-48: to the first column; erase to the end of the line.
const LINE_START = "\x1b[1G";
const ERASE = "\x1b[K";

/** Standard error as a terminal; null when it is not one. */
export function stderrTerminal(): Terminal | null {
  if (!Deno.stderr.isTerminal()) return null;
  return {
    get columns() {
      return Deno.consoleSize().columns;
    },
    write: (text) => void standardError.write(text),
  };
}

export interface DisplayOptions {
  readonly clock: Clock;
  readonly terminal: Terminal | null;
  /** Takes how far a work has come where there is no terminal. */
  readonly report: (facts: ProgressFacts) => void;
}

/** A work as it is shown to people. */
export interface ProgressFacts {
  readonly title: string;
  readonly unit: string;
  readonly done: number;
  readonly total: number;
  /** Units per second since the beginning. */
  readonly rate: number;
  /** Seconds that are left at this rate; null = nothing was done yet. */
  readonly left: number | null;
}

interface Shown {
  readonly since: number;
  reportedAt: number;
  readonly parts: Map<string, Progress>;
}

/** Shows one work at a time: the one that began first. */
export class ProgressDisplay {
  readonly #works = new Map<Work, Shown>();
  #isDrawn = false;

  constructor(readonly options: DisplayOptions) {}

  /** Takes a report. */
  readonly onProgress = (progress: Progress): void => {
    const { work, by } = progress;
    const now = this.options.clock.monotonic();
    let shown = this.#works.get(work);
    if (!shown) this.#works.set(work, shown = { since: now, reportedAt: now, parts: new Map() });
    shown.parts.set(by, progress);
    if ([...shown.parts.values()].every((part) => part.over)) this.#works.delete(work);
    if (this.options.terminal) this.#draw();
    else if (now - shown.reportedAt >= LINE_EVERY_MS) {
      shown.reportedAt = now;
      this.options.report(this.#factsOf(work, shown));
    }
  };

  /** Takes the bar away; it comes back with the next report. To be called before other output. */
  hide(): void {
    if (this.#isDrawn) this.options.terminal!.write(LINE_START + ERASE);
    this.#isDrawn = false;
  }

  #factsOf(work: Work, { since, parts }: Shown): ProgressFacts {
    const sum = (of: (p: Progress) => number) => parts.values().reduce((n, p) => n + of(p), 0);
    const done = sum((p) => p.done);
    const total = sum((p) => p.total);
    const seconds = (this.options.clock.monotonic() - since) / 1000;
    const rate = seconds > 0 ? done / seconds : 0;
    return { ...TITLES[work], done, total, rate, left: rate > 0 ? (total - done) / rate : null };
  }

  #draw(): void {
    const now = this.options.clock.monotonic();
    const long = this.#works.entries().find(([, { since }]) => now - since >= SHOW_AFTER_MS);
    if (!long) return this.hide();
    const { title, unit, done, total, rate, left } = this.#factsOf(...long);
    const share = total > 0 ? Math.min(1, done / total) : 0;
    const full = Math.round(BAR_CHARACTERS * share);
    const bar = "=".repeat(full) + "-".repeat(BAR_CHARACTERS - full);
    const text = `${title} [${bar}] ${Math.floor(100 * share)} % | ${showCount(rate)} ${unit}/s | ${
      showSeconds(left)
    }`;
    const terminal = this.options.terminal!;
    // In one line: what is too long for the terminal is cut.
    terminal.write(LINE_START + text.slice(0, terminal.columns) + ERASE);
    this.#isDrawn = true;
  }
}

/** A count with three digits, such as `1.23 M`. */
export function showCount(n: number): string {
  for (const [size, letter] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]] as const) {
    if (n >= size) return (n / size).toPrecision(3).replace(/e\+.*/, "") + letter;
  }
  return n.toFixed(0);
}

/** A time that is left, such as `12 s left` or `3 min left`. */
export function showSeconds(seconds: number | null): string {
  if (seconds === null) return "time left unknown";
  if (seconds < 120) return `${Math.ceil(seconds)} s left`;
  if (seconds < 7200) return `${Math.ceil(seconds / 60)} min left`;
  return `${Math.ceil(seconds / 3600)} h left`;
}

/** A display on the terminal of standard error; without one, lines in the log. */
export function displayOrLog(): ProgressDisplay {
  return new ProgressDisplay({
    clock: systemClock,
    terminal: stderrTerminal(),
    report: (facts) =>
      log.info("{title}: {done} of {total} {unit}, {rate}/s, {left} s left", {
        ...facts,
        rate: Math.round(facts.rate),
        left: facts.left && Math.ceil(facts.left),
      }),
  });
}
