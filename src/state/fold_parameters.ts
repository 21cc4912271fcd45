import { createHash } from "node:crypto";
import { Format, type Partitioner, PARTITIONERS } from "../types/mod.ts";
import { type CoreOptions, FOLD_VERSION } from "../wasm/mod.ts";

/** The parameters that the state depends on: with other ones the same log gives another state. */
export interface FoldParameters {
  readonly foldVersion: number;
  readonly format: "text" | "json";
  readonly partitioner: string;
  readonly partitions: number;
  /** 0 = no windows; what follows is 0 or false then, because it does not matter. */
  readonly windowMs: number;
  readonly eventTime: boolean;
  readonly outOfOrderMs: number;
  readonly maxAheadMs: number;
  /** How long transactions are remembered; 0 = not at all, as always in version 1 of the fold, and so is their number. */
  readonly rememberMs: number;
  readonly rememberedMax: number;
}

function nameOf(partitioner: Partitioner): string {
  return Object.entries(PARTITIONERS).find(([, value]) => value === partitioner)![0];
}

/** The fold parameters among the options of a core. */
export function foldParametersOf(options: CoreOptions): FoldParameters {
  const windows = options.windowMs > 0;
  const eventTime = windows && options.eventTime;
  const remembers = (options.remember?.windowMs ?? 0) > 0;
  return {
    foldVersion: options.foldVersion ?? FOLD_VERSION,
    format: options.format === Format.Json ? "json" : "text",
    partitioner: nameOf(options.partitioner),
    partitions: options.partitions,
    windowMs: options.windowMs,
    eventTime,
    outOfOrderMs: eventTime ? options.outOfOrderMs : 0,
    maxAheadMs: eventTime ? options.maxAheadMs : 0,
    rememberMs: remembers ? options.remember!.windowMs : 0,
    rememberedMax: remembers ? options.remember!.max : 0,
  };
}

/** Fold parameters as a manifest has them: those that came later may be absent. */
export function withLaterParameters(
  parameters: Omit<FoldParameters, Later> & Partial<Pick<FoldParameters, Later>>,
): FoldParameters {
  return { ...parameters, ...LATER_DEFAULTS, ...parameters };
}

const LATER_DEFAULTS = { rememberMs: 0, rememberedMax: 0 } as const;
type Later = keyof typeof LATER_DEFAULTS;

/** What of a core's options fold parameters decide. */
type FoldOptions = Pick<
  CoreOptions,
  | "foldVersion"
  | "format"
  | "partitioner"
  | "partitions"
  | "windowMs"
  | "eventTime"
  | "outOfOrderMs"
  | "maxAheadMs"
  | "remember"
>;

/**
 * The options of a core that fold parameters decide.
 *
 * @param secret by which transactions are remembered; needed by whoever builds a core that does
 */
export function coreOptionsOf(
  parameters: FoldParameters,
  secret: Uint8Array | null = null,
): FoldOptions {
  const { format, partitioner, rememberMs, rememberedMax, ...rest } = parameters;
  return {
    ...rest,
    format: format === "json" ? Format.Json : Format.Text,
    partitioner: PARTITIONERS[partitioner as keyof typeof PARTITIONERS],
    remember: rememberMs > 0 ? { windowMs: rememberMs, max: rememberedMax, secret } : undefined,
  };
}

const FIRST_NAMES = [
  "foldVersion",
  "format",
  "partitioner",
  "partitions",
  "windowMs",
  "eventTime",
  "outOfOrderMs",
  "maxAheadMs",
] as const;
const NAMES = [...FIRST_NAMES, "rememberMs", "rememberedMax"] as const;

/** A short hash of fold parameters: equal parameters have equal hashes. */
export function foldParametersHash(parameters: FoldParameters): string {
  // Hashes of version 1 stand in committed positions, and know nothing of what came later.
  const names = parameters.foldVersion === 1 ? FIRST_NAMES : NAMES;
  const text = names.map((name) => `${name}=${parameters[name]}`).join(" ");
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** What a user sets, by the fold parameter that follows from it. */
export const SET_BY = {
  format: "format",
  partitioner: "transaction.partitioner",
  partitions: "log.partitions",
  windowMs: "time.intervals.in.minutes",
  eventTime: "event.time",
  outOfOrderMs: "watermark.out.of.orderness.ms",
  maxAheadMs: "event.time.max.ahead.ms",
  rememberMs: "idempotency.window.ms",
  rememberedMax: "idempotency.transactions.max",
} as const;

/** Whether there are windows at all. */
const WINDOWS = "enable.summaries";

/** Fold parameters as a user sets them, by their names; without those that do not matter. */
function asSet(parameters: FoldParameters): Map<string, unknown> {
  const { foldVersion, windowMs, rememberMs, eventTime } = parameters;
  const set = new Map<string, unknown>([["version of the fold", foldVersion], [
    WINDOWS,
    windowMs > 0,
  ]]);
  for (const [name, setBy] of Object.entries(SET_BY)) {
    set.set(setBy, parameters[name as keyof typeof SET_BY]);
  }
  set.set(SET_BY.windowMs, windowMs / 60_000);
  const drop = (...names: (keyof typeof SET_BY)[]) => names.forEach((n) => set.delete(SET_BY[n]));
  if (windowMs === 0) drop("windowMs", "eventTime");
  if (!eventTime) drop("outOfOrderMs", "maxAheadMs");
  if (rememberMs === 0) drop("rememberedMax");
  return set;
}

/** Where two sets of fold parameters differ, for people to read: by the names that a user knows. */
export function foldParametersDiff(was: FoldParameters, is: FoldParameters): string {
  const before = asSet(was), now = asSet(is);
  return [...now].filter(([name, value]) => before.has(name) && before.get(name) !== value)
    .map(([name, value]) => `${name} was ${before.get(name)}, is ${value}`).join("; ");
}

/** The parameters of an earlier version of the fold from which a partition goes on with these; null = there are none. */
export function earlierVersionOf(parameters: FoldParameters): FoldParameters | null {
  if (parameters.foldVersion === 1 || parameters.rememberMs > 0) return null;
  return { ...parameters, foldVersion: 1 };
}

/** Whether the same windows are open under both, so that none of them is fired by a change. */
export function haveSameWindows(a: FoldParameters, b: FoldParameters): boolean {
  const names = ["windowMs", "eventTime", "outOfOrderMs", "maxAheadMs"] as const;
  return names.every((name) => a[name] === b[name]);
}
