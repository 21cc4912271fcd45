// An exported file as it is read, which may come from anywhere; transfer.ts says what is in it. Not part of mod.ts: the
// schemas of its entries take longer to load than all else here, and few who use a store read such a file.

import { z } from "zod";
import { KV_VALUE_BYTES_MAX } from "../kv/mod.ts";
import { decodeUtf8, shorten } from "../types/mod.ts";
import { decodeParts, indexChunksOf } from "./checkpoint_parts.ts";
import { EXPORT_FORMAT, KIND } from "./exported_form.ts";
import {
  DamagedCheckpointError,
  decodeManifest,
  type Manifest,
  sha256,
  stateHash,
} from "./manifest.ts";
import { manifestSchema } from "./manifest_schema.ts";
import { isSavepointName, type Savepoint, SAVEPOINT_PARTITIONS_MAX } from "./savepoints.ts";
import type { Exported } from "./transfer.ts";

/** Beginning of any format's file. */
const ANY_MAGIC = /^stockflow-state(?: ([0-9]{1,9}))?\n/;
const MAGIC_BYTES_MAX = 32;
const HASH_BYTES = 32;

const savepointSchema = z.strictObject({
  name: z.string().refine(isSavepointName),
  at: z.int().min(0),
  partitions: z.array(
    z.strictObject({ sequence: z.int().min(1), offset: z.int().min(0), items: z.int().min(0) })
      .nullable(),
  ).min(1).max(SAVEPOINT_PARTITIONS_MAX),
});

/**
 * Reads and verifies an exported file: its hash, its format, and that every checkpoint and every
 * savepoint is whole.
 *
 * @throws {DamagedCheckpointError}
 */
export function readExported(file: Uint8Array): Exported {
  const body = file.subarray(0, Math.max(0, file.length - HASH_BYTES));
  const expected = sha256(body);
  const found = file.subarray(body.length).toHex();
  const magic = ANY_MAGIC.exec(new TextDecoder().decode(file.subarray(0, MAGIC_BYTES_MAX)));
  if (!magic) throw new DamagedCheckpointError("It is not an exported state");
  const format = Number(magic[1] ?? 1);
  if (format > EXPORT_FORMAT) {
    throw new DamagedCheckpointError(
      `The file is of format ${format}; this program reads formats 1 to ${EXPORT_FORMAT}`,
    );
  }
  if (found !== expected) {
    throw new DamagedCheckpointError("The file is torn or altered: its hash differs");
  }
  const manifests: Manifest[] = [];
  const chunks = new Map<string, Uint8Array>();
  const savepoints: Savepoint[] = [];
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = magic[0].length;
  while (body[at] !== KIND.end) {
    const kind = body[at]!;
    const length = at + 5 <= body.length ? view.getUint32(at + 1, true) : Infinity;
    if (length > Math.min(KV_VALUE_BYTES_MAX, body.length - at - 5)) {
      throw new DamagedCheckpointError(`An entry at ${at} does not fit`);
    }
    const bytes = body.subarray(at + 5, at + 5 + length);
    if (kind === KIND.manifest) manifests.push(decodeForeignManifest(bytes));
    else if (kind === KIND.chunk) chunks.set(sha256(bytes), bytes);
    else if (kind === KIND.savepoint) savepoints.push(readSavepoint(bytes, at));
    else throw new DamagedCheckpointError(`An entry at ${at} is of kind ${kind}`);
    at += 5 + length;
  }
  checkDifferent(manifests.map((m) => `checkpoint ${m.sequence} of partition ${m.partition}`));
  checkDifferent(savepoints.map((s) => `savepoint ${s.name}`));
  for (const manifest of manifests) checkWhole(manifest, chunks);
  for (const savepoint of savepoints) checkMembers(savepoint, manifests);
  return { manifests, chunks, savepoints };
}

function checkDifferent(names: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw new DamagedCheckpointError(`The file has ${name} twice`);
    seen.add(name);
  }
}

function readSavepoint(bytes: Uint8Array, at: number): Savepoint {
  try {
    return savepointSchema.parse(JSON.parse(decodeUtf8(bytes) ?? ""));
  } catch {
    throw new DamagedCheckpointError(`The entry at ${at} is not a savepoint`);
  }
}

function checkMembers({ name, partitions }: Savepoint, manifests: readonly Manifest[]): void {
  partitions.forEach((member, partition) => {
    if (member === null) return;
    const { sequence } = member;
    if (manifests.some((m) => m.partition === partition && m.sequence === sequence)) return;
    throw new DamagedCheckpointError(
      `Checkpoint ${sequence} of partition ${partition} is missing, which savepoint ${name} needs`,
    );
  });
}

function checkWhole(manifest: Manifest, chunks: ReadonlyMap<string, Uint8Array>): void {
  const take = (hash: string): Uint8Array => {
    const chunk = chunks.get(hash);
    if (chunk) return chunk;
    throw new DamagedCheckpointError(
      `Chunk ${hash} of checkpoint ${manifest.sequence} of partition ${manifest.partition} is missing`,
    );
  };
  const { segments, pieces } = decodeParts(manifest, indexChunksOf(manifest).map(take));
  const check = (what: string, names: readonly string[], stored: number) => {
    const bytes = names.reduce((n, hash) => n + take(hash).length, 0);
    if (bytes === stored) return;
    throw new DamagedCheckpointError(`${what} has ${bytes} bytes, not ${stored}`);
  };
  for (const [segment, { chunks, stored }] of segments) {
    check(`Segment ${segment}`, chunks, stored);
  }
  for (const [piece, { chunk, stored }] of pieces) check(`Piece ${piece}`, [chunk], stored);
  const hashes = new Map([...segments].map(([segment, { hash }]) => [segment, hash]));
  const { remembered, scalars } = manifest;
  const found = stateHash(scalars, hashes, remembered ? { ...remembered, pieces } : null);
  if (found === manifest.stateHash) return;
  throw new DamagedCheckpointError(
    `Checkpoint ${manifest.sequence} of partition ${manifest.partition} has not the hash of its state`,
  );
}

/**
 * A manifest that may come from anywhere: its hash does not show who wrote it, so every field is looked at.
 *
 * @throws {DamagedCheckpointError} the same, and when a field is not what it may be
 */
function decodeForeignManifest(bytes: Uint8Array): Manifest {
  const parsed = manifestSchema.safeParse(decodeManifest(bytes));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new DamagedCheckpointError(
    `The manifest has a wrong field: ${shorten(issue!.path.join("."))} ${shorten(issue!.message)}`,
  );
}
