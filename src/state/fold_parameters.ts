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
}

function nameOf(partitioner: Partitioner): string {
  return Object.entries(PARTITIONERS).find(([, value]) => value === partitioner)![0];
}

/** The fold parameters among the options of a core. */
export function foldParametersOf(options: CoreOptions): FoldParameters {
  const windows = options.windowMs > 0;
  const eventTime = windows && options.eventTime;
  return {
    foldVersion: FOLD_VERSION,
    format: options.format === Format.Json ? "json" : "text",
    partitioner: nameOf(options.partitioner),
    partitions: options.partitions,
    windowMs: options.windowMs,
    eventTime,
    outOfOrderMs: eventTime ? options.outOfOrderMs : 0,
    maxAheadMs: eventTime ? options.maxAheadMs : 0,
  };
}

/** The options of a core that fold parameters decide. */
export function coreOptionsOf(
  parameters: FoldParameters,
): Pick<
  CoreOptions,
  "format" | "partitioner" | "partitions" | "windowMs" | "eventTime" | "outOfOrderMs" | "maxAheadMs"
> {
  const { format, partitioner, foldVersion: _, ...rest } = parameters;
  return {
    ...rest,
    format: format === "json" ? Format.Json : Format.Text,
    partitioner: PARTITIONERS[partitioner as keyof typeof PARTITIONERS],
  };
}

const NAMES = [
  "foldVersion",
  "format",
  "partitioner",
  "partitions",
  "windowMs",
  "eventTime",
  "outOfOrderMs",
  "maxAheadMs",
] as const;

/** A short hash of fold parameters: equal parameters have equal hashes. */
export function foldParametersHash(parameters: FoldParameters): string {
  const text = NAMES.map((name) => `${name}=${parameters[name]}`).join(" ");
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** Where two sets of fold parameters differ, for people to read. */
export function foldParametersDiff(was: FoldParameters, is: FoldParameters): string {
  return NAMES.filter((name) => was[name] !== is[name])
    .map((name) => `${name} was ${was[name]}, is ${is[name]}`).join("; ");
}
