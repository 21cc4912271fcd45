// The figures of all runs, in a file: what was measured stays when a run is interrupted, and each work may be
// measured on its own.

import { isDeepStrictEqual } from "node:util";
import type { InputOptions } from "./input.ts";
import type { Measured } from "./machine.ts";
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
  /** How long the steady part took; older measurements do not have it. */
  readonly seconds?: number;
  /** Checkpoints that each partition completed in the steady part, at the least; where they are counted. */
  readonly checkpoints?: number;
}

/** What was measured of one engine at one work in one round. */
export interface Measurement extends Measured {
  readonly keys: InputOptions["keys"];
  readonly work: Work;
  readonly engine: EngineName;
  readonly round: number;
  /** Of the input; 0 where it is generated. */
  readonly records: number;
  readonly items: number;
  /** Of all engines at this work, beside the usual ones. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Of this engine alone, beside its usual ones. */
  readonly settings?: Readonly<Record<string, string>>;
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
  readonly of: Readonly<Record<Exclude<keyof Figures, Counted> | "withBroker", Spread>>;
  /** Null where a round does not have it. */
  readonly steady: Readonly<Record<Counted, Spread | null>>;
}

type Counted = "seconds" | "checkpoints";

/** What a measurement is of. */
export type Wanted = Omit<Measurement, "at" | "machine" | "figures" | "answers">;

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
      isOfSame(m, wanted) && hasSameInput(m, wanted) &&
      isDeepStrictEqual(m.settings ?? {}, wanted.settings ?? {})
    );
  }

  /** What engines answered at a work over so many records, in any round. */
  answersOf(wanted: Wanted): [EngineName, Answers][] {
    const { keys, work } = wanted;
    return this.all.filter((m) => m.keys === keys && m.work === work && hasSameInput(m, wanted))
      .flatMap(({ engine, answers }) => answers ? [[engine, answers]] : []);
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

function hasSameInput(a: Wanted, b: Wanted): boolean {
  return a.records === b.records && a.items === b.items &&
    isDeepStrictEqual(a.parameters ?? {}, b.parameters ?? {});
}

/** A line for each work and engine that was measured, in their order. */
export function rowsOf(all: readonly Measurement[], keys: InputOptions["keys"]): Row[] {
  return WORKS.flatMap((work) =>
    enginesOf(work).flatMap((engine) => {
      const mine = all.filter((m) => m.keys === keys && m.work === work && m.engine === engine);
      if (mine.length === 0) return [];
      const spread = (of: (figures: Figures) => number) =>
        spreadOf(mine.map(({ figures }) => of(figures)));
      const of = {
        cpu: spread(({ cpu }) => cpu),
        brokerCpu: spread(({ brokerCpu }) => brokerCpu),
        withBroker: spread(({ cpu, brokerCpu }) => cpu + brokerCpu),
        wholeCpu: spread(({ wholeCpu }) => wholeCpu),
        rate: spread(({ rate }) => rate),
        peakBytes: spread(({ peakBytes }) => peakBytes),
      };
      const counted = (of: Counted) => {
        const there = mine.flatMap(({ figures }) => figures[of] ?? []);
        return there.length < mine.length ? null : spreadOf(there);
      };
      const steady = { seconds: counted("seconds"), checkpoints: counted("checkpoints") };
      return [{ work, engine, rounds: mine.length, of, steady }];
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
