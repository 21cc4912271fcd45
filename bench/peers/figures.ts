// The figures of all runs, in a file: what was measured stays when a run is interrupted, and each work may be
// measured on its own.

import type { InputOptions } from "./input.ts";
import type { Answers } from "./record_sum.ts";
import { writeWhole } from "./whole_file.ts";
import { type EngineName, enginesOf, type Work, WORKS } from "./works.ts";

/** Of one run. CPU is that of all threads of the process. */
export interface Figures {
  /** CPU-seconds per million records in the steady state: from 30 % of the records on. */
  readonly cpu: number;
  /** The same of the broker; 0 without one. */
  readonly brokerCpu: number;
  /** CPU-seconds per million records from the start of the process to the last record. */
  readonly wholeCpu: number;
  /** Records a second in the steady state. */
  readonly rate: number;
  readonly peakBytes: number;
}

/** What was measured of one engine at one work in one round. */
export interface Measurement {
  readonly keys: InputOptions["keys"];
  readonly work: Work;
  readonly engine: EngineName;
  readonly round: number;
  /** Of the input; 0 where it is generated. */
  readonly records: number;
  readonly items: number;
  /** When it began, as in 2026-11-27T09:00Z. */
  readonly at: string;
  readonly figures: Figures;
  /** Digests of what it answered, where they were read. */
  readonly answers?: Answers;
}

/** Median, smallest and largest of the rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One line of a table. */
export interface Row {
  readonly work: Work;
  readonly engine: EngineName;
  readonly rounds: number;
  readonly of: Readonly<Record<keyof Figures, Spread>>;
}

/** What a measurement is of. */
export type Wanted = Omit<Measurement, "at" | "figures" | "answers">;

export class FigureFile {
  private constructor(readonly path: URL | null, readonly all: Measurement[]) {}

  /** Without a file. */
  static of(all: readonly Measurement[]): FigureFile {
    return new FigureFile(null, [...all]);
  }

  static async open(path: URL): Promise<FigureFile> {
    try {
      return new FigureFile(path, JSON.parse(await Deno.readTextFile(path)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return new FigureFile(path, []);
    }
  }

  has(wanted: Wanted): boolean {
    return this.all.some((m) =>
      isOfSame(m, wanted) && m.records === wanted.records && m.items === wanted.items
    );
  }

  /** What engines answered at a work over so many records, in any round. */
  answersOf({ keys, work, records, items }: Wanted): [EngineName, Answers][] {
    return this.all.filter((m) =>
      m.keys === keys && m.work === work && m.records === records && m.items === items
    ).flatMap(({ engine, answers }) => answers ? [[engine, answers]] : []);
  }

  /** Takes what was measured of a work out, before it is measured anew; the file keeps it until then. */
  forget(keys: InputOptions["keys"], work: Work, engines: readonly EngineName[]): void {
    const others = this.all.filter((m) =>
      m.keys !== keys || m.work !== work || !engines.includes(m.engine)
    );
    this.all.splice(0, this.all.length, ...others);
  }

  /** Adds a measurement in the place of an earlier one of the same round, and writes the file. */
  async add(measurement: Measurement): Promise<void> {
    const others = this.all.filter((m) => !isOfSame(m, measurement));
    this.all.splice(0, this.all.length, ...others, measurement);
    if (!this.path) return;
    await writeWhole(this.path, `${JSON.stringify(this.all, null, 1)}\n`);
  }
}

function isOfSame(a: Wanted, b: Wanted): boolean {
  return a.keys === b.keys && a.work === b.work && a.engine === b.engine && a.round === b.round;
}

/** A line for each work and engine that was measured, in their order. */
export function rowsOf(all: readonly Measurement[], keys: InputOptions["keys"]): Row[] {
  return WORKS.flatMap((work) =>
    enginesOf(work).flatMap((engine) => {
      const mine = all.filter((m) => m.keys === keys && m.work === work && m.engine === engine);
      if (mine.length === 0) return [];
      const spread = (of: keyof Figures) => spreadOf(mine.map(({ figures }) => figures[of]));
      const of = {
        cpu: spread("cpu"),
        brokerCpu: spread("brokerCpu"),
        wholeCpu: spread("wholeCpu"),
        rate: spread("rate"),
        peakBytes: spread("peakBytes"),
      };
      return [{ work, engine, rounds: mine.length, of }];
    })
  );
}

/** @param values at least one */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}
