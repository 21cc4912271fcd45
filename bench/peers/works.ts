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

/**
 * Items have six transactions in a window of the input, so the seed's filter (more than 100) would let no summary
 * through: none would be written.
 */
const FILTER = { "transaction.num.min": "6" };

/** Parameters that all engines have at a work that reads from Kafka, beside the usual parameters. */
export function filterOf(work: Work): Readonly<Record<string, string>> {
  const { summaries, generated } = DESCRIPTIONS[work];
  return summaries && !generated ? FILTER : {};
}

export const ENGINES = ["stockflow", "flink", "streams"] as const;
export type EngineName = (typeof ENGINES)[number];

export const ENGINE_TITLES: Readonly<Record<EngineName, string>> = {
  stockflow: "stockflow",
  flink: "Apache Flink 2.2.1",
  streams: "Kafka Streams 4.1.0",
};

const INTERVAL_KEY = "checkpoint.interval.millis";
const INTERVAL_MS_MIN = 500;
/** The peers' is as long. */
const INTERVAL_MS_MAX = 10_000;
/** Less than the steady part takes, of 70 % of the records, at 3 M/s with results and 7 M/s without. */
const INTERVAL_MS_PER_MILLION = { results: 200, none: 75 };

/** stockflow goes through the input in less time than is between checkpoints: more often, so that it takes one. */
export function settingsOf(
  engine: EngineName,
  work: Work,
  records: number,
): Readonly<Record<string, string>> {
  const { results, generated } = DESCRIPTIONS[work];
  if (engine !== "stockflow" || generated) return {};
  const perMillion = INTERVAL_MS_PER_MILLION[results ? "results" : "none"];
  const wished = Math.round(perMillion * records / 1e6);
  const ms = Math.min(INTERVAL_MS_MAX, Math.max(INTERVAL_MS_MIN, wished));
  return { [INTERVAL_KEY]: String(ms) };
}

/** Of a measurement's settings, the time between checkpoints in ms; null where it is the peers'. */
export function intervalIn(settings: Readonly<Record<string, string>> = {}): number | null {
  const ms = settings[INTERVAL_KEY];
  return ms === undefined ? null : Number(ms);
}

/** The engines that do a work: Kafka Streams has no windows here, and reads from Kafka alone. */
export function enginesOf(work: Work): readonly EngineName[] {
  const { summaries, generated } = DESCRIPTIONS[work];
  return summaries || generated ? ["stockflow", "flink"] : ENGINES;
}
