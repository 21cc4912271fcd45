// What is measured: the works, by the letters that bench/kafka.ts and docs use.

export const WORKS = ["a", "b", "c", "d", "e"] as const;
export type Work = (typeof WORKS)[number];

export interface WorkDescription {
  readonly title: string;
  /** Results are written. */
  readonly results: boolean;
  /** Summaries of 1-minute windows by event time. */
  readonly summaries: boolean;
  /** Transactions are generated in the process; no broker has a part in it. */
  readonly generated: boolean;
}

export const DESCRIPTIONS: Readonly<Record<Work, WorkDescription>> = {
  a: {
    title: "exactly once, results out, 1-minute windows",
    results: true,
    summaries: true,
    generated: false,
  },
  b: {
    title: "exactly once, results out, no windows",
    results: true,
    summaries: false,
    generated: false,
  },
  c: { title: "results discarded, no windows", results: false, summaries: false, generated: false },
  d: {
    title: "generated in the process, 1-minute windows, results discarded",
    results: false,
    summaries: true,
    generated: true,
  },
  e: {
    title: "generated in the process, no windows, results discarded",
    results: false,
    summaries: false,
    generated: true,
  },
};

export const ENGINES = ["stockflow", "flink", "streams"] as const;
export type EngineName = (typeof ENGINES)[number];

/** The engines that do a work: Kafka Streams has no windows here, and reads from Kafka alone. */
export function enginesOf(work: Work): readonly EngineName[] {
  const { summaries, generated } = DESCRIPTIONS[work];
  return summaries || generated ? ["stockflow", "flink"] : ENGINES;
}
