// A manifest: what a checkpoint is, and where its parts are. Stored as 32 bytes of SHA-256 and the JSON
// that they were computed from, so that a torn or altered manifest is recognised.

import { createHash } from "node:crypto";
import { decodeUtf8, encodeUtf8, shorten } from "../types/mod.ts";
import type { StateScalars } from "../wasm/mod.ts";
import { type FoldParameters, withLaterParameters } from "./fold_parameters.ts";

/** 2: with what is remembered of transactions. All up to it are read. */
export const MANIFEST_FORMAT = 2;
const HASH_BYTES = 32;

/** The record batch that was folded last: a re-created topic would hold another one there. */
export interface BatchMark {
  readonly baseOffset: number;
  readonly crc: number;
}

/** What is remembered of transactions: see wasm/remembered_pieces.ts. */
export interface RememberedManifest {
  /** The log's secret, by which they are remembered: 32 hexadecimal digits. */
  readonly secret: string;
  /** The encoded header, hexadecimal. */
  readonly header: string;
  /** SHA-256 of the chunks of the index of pieces, in their order. */
  readonly index: readonly string[];
}

export interface Manifest {
  readonly format: number;
  readonly job: string;
  readonly partition: number;
  /** Counts the checkpoints of the partition, from 1. */
  readonly sequence: number;
  /** Identity of the log. */
  readonly logId: string;
  /** Id of the topic, where topics have one; absent in checkpoints of earlier versions. */
  readonly topicId?: string | null;
  /** Offset where the state began; null when it did not begin in this log. */
  readonly start: number | null;
  /** Position, watermark and counters; the position is the checkpoint's offset. */
  readonly scalars: StateScalars;
  readonly lastBatch: BatchMark | null;
  /** Offsets of the last records that belong to other partitions, in their order; absent: none that count. */
  readonly strays?: readonly number[];
  readonly parameters: FoldParameters;
  /** Offset from which on records were folded by the newest version of the fold; absent: all were. */
  readonly raisedAt?: number;
  /** Repetitions that came before what is remembered now began, which counts its own; absent: none. */
  readonly duplicatesBefore?: number;
  /** Absent where nothing is remembered. */
  readonly remembered?: RememberedManifest;
  /** SHA-256 of the state: scalars but the late counter, all segments, and what is remembered. */
  readonly stateHash: string;
  /** SHA-256 of the core that wrote it. */
  readonly coreHash: string;
  /** SHA-256 of the index chunks, in their order. */
  readonly index: readonly string[];
  /** ms since the epoch */
  readonly cutAt: number;
  readonly publishedAt: number;
  /** Bytes that this checkpoint wrote, compressed. */
  readonly newBytes: number;
  /** Bytes of all its chunks, compressed. */
  readonly totalBytes: number;
}

/** A checkpoint that cannot be used, and why. */
export class DamagedCheckpointError extends Error {
  override readonly name = "DamagedCheckpointError";
}

/** SHA-256 of bytes, in hexadecimal. */
export function sha256(...parts: Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** An int64 has at most so many digits. */
const BIGINT = /^-?[0-9]{1,19}n$/;

/** JSON in which a bigint is a string of digits and an n; no other string of manifests looks so. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, v) => typeof v === "bigint" ? `${v}n` : v);
}

/** A value of such JSON with its bigints; a reviver of JSON.parse would be called for every part of it. */
function withBigints(value: unknown): unknown {
  if (typeof value === "string") return BIGINT.test(value) ? BigInt(value.slice(0, -1)) : value;
  if (Array.isArray(value)) return value.map(withBigints);
  if (typeof value !== "object" || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(value)) copy[name] = withBigints((value as typeof copy)[name]);
  return copy;
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const json = encodeUtf8(toJson(manifest));
  const bytes = new Uint8Array(HASH_BYTES + json.length);
  bytes.set(createHash("sha256").update(json).digest());
  bytes.set(json, HASH_BYTES);
  return bytes;
}

/**
 * A manifest of the store's own: its hash shows that it is as it was written.
 *
 * @throws {DamagedCheckpointError} when the bytes are torn or altered, or of another format
 */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const json = bytes.subarray(HASH_BYTES);
  const expected = bytes.subarray(0, HASH_BYTES).toHex();
  if (bytes.length <= HASH_BYTES || sha256(json) !== expected) {
    throw new DamagedCheckpointError("The manifest is torn or altered: its hash differs");
  }
  const { scalars, ...rest } = parseObject(json) as unknown as Manifest;
  if (!(rest.format >= 1 && rest.format <= MANIFEST_FORMAT)) {
    throw new DamagedCheckpointError(
      `The manifest is of format ${
        shorten(String(rest.format))
      }; this program reads formats 1 to ${MANIFEST_FORMAT}`,
    );
  }
  const parameters = withLaterParameters(rest.parameters);
  return { ...rest, parameters, scalars: withBigints(scalars) as StateScalars };
}

/** @throws {DamagedCheckpointError} when the bytes are not a JSON object */
function parseObject(json: Uint8Array): Record<string, unknown> {
  try {
    const value = JSON.parse(decodeUtf8(json)!);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // It is not JSON.
  }
  throw new DamagedCheckpointError("The manifest is not an object in JSON");
}

/**
 * The manifest that was stored under a key.
 *
 * @throws {DamagedCheckpointError} when the value is not one, or is another checkpoint's
 */
export function manifestAt([, job, partition, sequence]: Deno.KvKey, value: unknown): Manifest {
  if (!(value instanceof Uint8Array)) {
    throw new DamagedCheckpointError("The manifest is not bytes");
  }
  const manifest = decodeManifest(value);
  const { job: itsJob, partition: itsPartition, sequence: itsSequence } = manifest;
  if (itsJob === job && itsPartition === partition && itsSequence === sequence) return manifest;
  throw new DamagedCheckpointError(
    `The manifest is that of checkpoint ${itsSequence} of partition ${itsPartition} of ${itsJob}`,
  );
}

/** What is remembered, as far as the state hash covers it. */
export interface RememberedHashes {
  readonly header: string;
  /** By their numbers, in their order. */
  readonly pieces: ReadonlyMap<number, { readonly hash: string }>;
}

/**
 * The state hash: SHA-256 over the scalars but the late counter, then the hash of every segment in order, then header and
 * hashes of what is remembered, if anything is.
 */
export function stateHash(
  scalars: StateScalars,
  segments: ReadonlyMap<number, string>,
  remembered: RememberedHashes | null = null,
): string {
  const { late: _, ...covered } = scalars;
  const hashes = [...segments].toSorted(([a], [b]) => a - b).map(([i, hash]) => `${i}:${hash}`);
  if (remembered) {
    hashes.push(`remembered:${remembered.header}`);
    for (const [piece, { hash }] of remembered.pieces) hashes.push(`${piece}:${hash}`);
  }
  return sha256(encodeUtf8(`${toJson(covered)}\n${hashes.join("\n")}`));
}
