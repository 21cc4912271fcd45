// Where the time of a record goes: the core's stages beside those of a native loop, and a profile of the Kafka job.

import type { Measured } from "./machine.ts";
import { table } from "./tables.ts";

/** ns per record of the stages of the fold, in one thread; one measurement for each program and number of items. */
export interface LoopStages extends Measured {
  readonly kind: "loop";
  readonly program: "core" | "rust";
  readonly items: number;
  readonly stages: readonly (readonly [stage: string, ns: number])[];
}

/** ns of CPU per record of the Kafka job, by what its samples were in. */
export interface JobProfile extends Measured {
  readonly kind: "profile";
  readonly work: string;
  readonly samples: number;
  /** ns of CPU per record, all together. */
  readonly ns: number;
  /** Share of the samples, by stage. */
  readonly shares: readonly (readonly [what: string, share: number])[];
}

export type StageMeasurement = LoopStages | JobProfile;

function loopTable(loops: readonly LoopStages[]): string {
  const columns = loops.toSorted((a, b) => a.items - b.items || (a.program < b.program ? -1 : 1));
  const titles = { core: "core", rust: "Rust" };
  const names = [...new Set(columns.flatMap(({ stages }) => stages.map(([name]) => name)))];
  const cell = ({ stages }: LoopStages, name: string) =>
    stages.find(([stage]) => stage === name)?.[1].toFixed(0) ?? "";
  const sum = ({ stages }: LoopStages) => stages.reduce((n, [, ns]) => n + ns, 0).toFixed(0);
  return table(
    [
      "ns per record",
      ...columns.map((c) => `${titles[c.program]}, ${c.items.toLocaleString("en")} items`),
    ],
    [
      ...names.map((name) => [name, ...columns.map((column) => cell(column, name))]),
      ["all", ...columns.map(sum)],
    ],
  );
}

/** The tables of all that was measured. */
export function stageParts(all: readonly StageMeasurement[]): string[] {
  const loops = all.filter((m) => m.kind === "loop");
  const parts: string[] = [];
  if (loops.length > 0) {
    parts.push(
      "One thread, text records, windows of a minute, each stage as what it adds to those before. Rust is a loop of " +
        "the core's own layout with prefetches and the processor's CRC instruction (bench/native/src/layout.rs), for comparison: in some stages the core is faster. " +
        "With 1,000 items all is in the caches; what 1 M items take beyond that is waiting for memory.",
      loopTable(loops),
    );
  }
  for (const { work, samples, ns, shares } of all.filter((m) => m.kind === "profile")) {
    parts.push(
      `The Kafka job at work ${work}, by \`perf record\` in its steady state: ${
        ns.toFixed(0)
      } ns of CPU per record, ` +
        `${samples} samples.`,
      table(
        ["where", "share", "ns per record"],
        shares.map(([what, share]) => [
          what,
          `${(100 * share).toFixed(1)} %`,
          (share * ns).toFixed(0),
        ]),
      ),
    );
  }
  return parts;
}
