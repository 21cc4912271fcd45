// Files that a version of the program left, kept as JSON: what its KVs held, key by key, and what it exported.

/** A part of a key, or a value. JSON has no bytes, no bigints and no undefined. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json };

export interface KeptEntry {
  readonly key: Json;
  readonly value: Json;
}

/** What a process left in its files when it stopped. */
export interface KeptFiles {
  /** What look-ups answered at the end; -1 = never seen. */
  readonly stock: Readonly<Record<string, number>>;
  readonly log: readonly KeptEntry[];
  readonly state: readonly KeptEntry[];
}

export interface Kept {
  /** Of the version that wrote it. */
  readonly commit: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly files: KeptFiles;
  /** Look-ups when the savepoint was taken; null = the version took none. */
  readonly savepointStock: Readonly<Record<string, number>> | null;
  /** A job that began with that savepoint, in a new log; null likewise. */
  readonly restored: KeptFiles | null;
  /** An exported file in base64; null = the version exported none. */
  readonly exported: string | null;
}

/** Where a group stands, and what it noted there. */
export interface KeptPlace {
  readonly offset: number;
  readonly metadata: string;
}

/** What a process on Kafka left, of one partition: the log is the broker's, so its records are kept. */
export interface KeptOnKafka {
  readonly commit: string;
  readonly flags: Readonly<Record<string, string>>;
  readonly records: readonly { readonly timestamp: number; readonly line: string }[];
  readonly transactions: KeptPlace;
  readonly queries: KeptPlace;
  /** What look-ups answered behind the last record. */
  readonly stock: Readonly<Record<string, number>>;
  readonly state: readonly KeptEntry[];
}

export const SAVEPOINT = "kept";

/** All that decides the fold: defaults change. */
export const FOLD_FLAGS = {
  "format": "text",
  "enable.summaries": "true",
  "event.time": "true",
  "time.intervals.in.minutes": "60",
  "watermark.out.of.orderness.ms": "10000",
  "transaction.num.min": "0",
  "transaction.failure.rate.min": "0",
};

/** Windows of a kept file are an hour long; its transactions begin then. */
export const HOUR_MS = 3_600_000;
export const FROM = 1_700_000_000_000;

export function toJson(value: unknown): Json {
  if (value instanceof Uint8Array) return { bytes: value.toBase64() };
  if (typeof value === "bigint") return { bigint: String(value) };
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== "object" || value === null) return value as Json;
  return { object: Object.fromEntries(Object.entries(value).map(([k, v]) => [k, toJson(v)])) };
}

export function fromJson(json: Json): unknown {
  if (Array.isArray(json)) return json.map(fromJson);
  if (typeof json !== "object" || json === null) return json;
  const { bytes, bigint, object } = json as Record<string, Json>;
  if (typeof bytes === "string") return Uint8Array.fromBase64(bytes);
  if (typeof bigint === "string") return BigInt(bigint);
  return Object.fromEntries(Object.entries(object as object).map(([k, v]) => [k, fromJson(v)]));
}

/** A KV in memory that holds what was kept. */
export async function fill(kv: Deno.Kv, entries: readonly KeptEntry[]): Promise<void> {
  for (const { key, value } of entries) {
    await kv.set(fromJson(key) as Deno.KvKey, fromJson(value));
  }
}

/** All that a file of a KV holds. */
export async function entriesOf(path: string): Promise<KeptEntry[]> {
  const kv = await Deno.openKv(path);
  const entries: KeptEntry[] = [];
  for await (const { key, value } of kv.list({ prefix: [] })) {
    entries.push({ key: toJson(key), value: toJson(value) });
  }
  kv.close();
  return entries;
}
