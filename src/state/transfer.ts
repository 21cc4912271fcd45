// Checkpoints and savepoints as one file: export and import.
//
//   "stockflow-state 2\n"; format 1, which had no savepoints, began with "stockflow-state\n"
//   entries: kind u8, length u32 little endian, bytes
//     1 manifest (see manifest.ts), followed by its chunks:
//     2 chunk, named by its SHA-256; chunks that several manifests share come once
//     3 savepoint, as JSON in UTF-8; all of its checkpoints are in the file
//   0, and 32 bytes of SHA-256 of everything before
//
// A file is verified whole before anything of it is written into a store.

import { createHash } from "node:crypto";
import { z } from "zod";
import { KV_VALUE_BYTES_MAX } from "../kv/mod.ts";
import { decodeUtf8, encodeUtf8 } from "../types/mod.ts";
import { CheckpointChain } from "./checkpoint_chain.ts";
import { chunksOfParts, decodeParts, indexChunksOf } from "./checkpoint_parts.ts";
import type { CheckpointStore } from "./checkpoint_store.ts";
import { unpackedHash } from "./compression.ts";
import {
  DamagedCheckpointError,
  decodeForeignManifest,
  encodeManifest,
  type Manifest,
  sha256,
  stateHash,
} from "./manifest.ts";
import { isSavepointName, type Savepoint, SAVEPOINT_PARTITIONS_MAX } from "./savepoints.ts";

const FORMAT = 2;
const MAGIC = encodeUtf8(`stockflow-state ${FORMAT}\n`);
/** Beginning of any format's file. */
const ANY_MAGIC = /^stockflow-state(?: ([0-9]{1,9}))?\n/;
const MAGIC_BYTES_MAX = 32;
const KIND_END = 0;
const KIND_MANIFEST = 1;
const KIND_CHUNK = 2;
const KIND_SAVEPOINT = 3;
const HASH_BYTES = 32;

const savepointSchema = z.strictObject({
  name: z.string().refine(isSavepointName),
  at: z.int().min(0),
  partitions: z.array(
    z.strictObject({ sequence: z.int().min(1), offset: z.int().min(0), items: z.int().min(0) })
      .nullable(),
  ).min(1).max(SAVEPOINT_PARTITIONS_MAX),
});

function* frame(kind: number, bytes: Uint8Array): Generator<Uint8Array> {
  const head = new Uint8Array(5);
  head[0] = kind;
  new DataView(head.buffer).setUint32(1, bytes.length, true);
  yield head;
  yield bytes;
}

/**
 * The given checkpoints and those of savepoints, each once.
 *
 * @throws {DamagedCheckpointError} when one of a savepoint is missing or altered
 */
export async function withPinned(
  store: CheckpointStore,
  manifests: readonly Manifest[],
  savepoints: readonly Savepoint[],
): Promise<Manifest[]> {
  const members = await Promise.all(savepoints.map((s) => store.savepoints.manifests(s)));
  const all = [...manifests, ...members.flat().filter((m) => m !== null)];
  return [...new Map(all.map((m) => [`${m.partition}/${m.sequence}`, m])).values()];
}

/**
 * The bytes of a file with the given checkpoints and savepoints; the former include the latter's.
 *
 * @throws {DamagedCheckpointError} when a part of them is missing or altered
 */
export async function* exportCheckpoints(
  store: CheckpointStore,
  manifests: readonly Manifest[],
  savepoints: readonly Savepoint[] = [],
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  const seen = new Set<string>();
  const entries = async function* (): AsyncGenerator<Uint8Array> {
    yield MAGIC;
    for (const manifest of manifests) {
      yield* frame(KIND_MANIFEST, encodeManifest(manifest));
      const parts = await store.parts(manifest);
      for (const name of [...indexChunksOf(manifest), ...chunksOfParts(parts)]) {
        const key = `${manifest.partition}/${name}`;
        if (seen.has(key)) continue;
        seen.add(key);
        const [chunk] = await store.chunks(manifest.partition, [name]);
        yield* frame(KIND_CHUNK, chunk!);
      }
    }
    for (const savepoint of savepoints) {
      yield* frame(KIND_SAVEPOINT, encodeUtf8(JSON.stringify(savepoint)));
    }
    yield Uint8Array.of(KIND_END);
  };
  for await (const bytes of entries()) {
    hash.update(bytes);
    yield bytes;
  }
  yield new Uint8Array(hash.digest());
}

/** What an exported file holds. */
export interface Exported {
  readonly manifests: readonly Manifest[];
  /** Chunks by their SHA-256. */
  readonly chunks: ReadonlyMap<string, Uint8Array>;
  readonly savepoints: readonly Savepoint[];
}

/**
 * Reads and verifies an exported file: its hash, its format, and that every checkpoint and every
 * savepoint is whole.
 *
 * @throws {DamagedCheckpointError}
 */
export function readExported(file: Uint8Array): Exported {
  const body = file.subarray(0, Math.max(0, file.length - HASH_BYTES));
  const expected = sha256(body);
  const found = Array.from(file.subarray(body.length), (b) => b.toString(16).padStart(2, "0")).join(
    "",
  );
  const magic = ANY_MAGIC.exec(new TextDecoder().decode(file.subarray(0, MAGIC_BYTES_MAX)));
  if (!magic) throw new DamagedCheckpointError("It is not an exported state");
  const format = Number(magic[1] ?? 1);
  if (format > FORMAT) {
    throw new DamagedCheckpointError(
      `The file is of format ${format}; this program reads formats 1 to ${FORMAT}`,
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
  while (body[at] !== KIND_END) {
    const kind = body[at]!;
    const length = at + 5 <= body.length ? view.getUint32(at + 1, true) : Infinity;
    if (length > Math.min(KV_VALUE_BYTES_MAX, body.length - at - 5)) {
      throw new DamagedCheckpointError(`An entry at ${at} does not fit`);
    }
    const bytes = body.subarray(at + 5, at + 5 + length);
    if (kind === KIND_MANIFEST) manifests.push(decodeForeignManifest(bytes));
    else if (kind === KIND_CHUNK) chunks.set(sha256(bytes), bytes);
    else if (kind === KIND_SAVEPOINT) savepoints.push(readSavepoint(bytes, at));
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
 * Unpacks every segment of what was exported, in a memory that does not depend on their lengths.
 *
 * @throws {DamagedCheckpointError} when one is not what its checkpoint says
 */
async function checkSegments({ manifests, chunks }: Exported): Promise<void> {
  // What checkpoints share is looked at once.
  const checked = new Set<string>();
  const check = async (
    what: string,
    { length, hash }: { readonly length: number; readonly hash: string },
    names: readonly string[],
  ) => {
    const key = `${length} ${hash} ${names}`;
    if (checked.has(key)) return;
    if (await unpackedHash(names.map((name) => chunks.get(name)!), length) !== hash) {
      throw new DamagedCheckpointError(`${what} is not what its checkpoint says`);
    }
    checked.add(key);
  };
  for (const manifest of manifests) {
    const { partition } = manifest;
    const { segments, pieces } = decodeParts(
      manifest,
      indexChunksOf(manifest).map((hash) => chunks.get(hash)!),
    );
    for (const [segment, entry] of segments) {
      await check(`Segment ${segment} of partition ${partition}`, entry, entry.chunks);
    }
    for (const [piece, entry] of pieces) {
      await check(`Piece ${piece} of partition ${partition}`, entry, [entry.chunk]);
    }
  }
}

/**
 * Writes exported checkpoints and savepoints into a store that has none of these partitions yet, and no
 * savepoint. They keep their sequences and names.
 *
 * @throws {RangeError} when the store has checkpoints of one of the partitions, or a savepoint
 * @throws {DamagedCheckpointError} when a segment is not what its checkpoint says; nothing is written then
 */
export async function importCheckpoints(
  store: CheckpointStore,
  exported: Exported,
): Promise<void> {
  const { manifests, chunks, savepoints } = exported;
  const [there] = await store.savepoints.list();
  if (there) throw new RangeError(`The store has savepoint ${there.name} already`);
  for (const { partition } of manifests) {
    if ((await store.list(partition)).length === 0) continue;
    throw new RangeError(`The store has checkpoints of partition ${partition} already`);
  }
  await checkSegments(exported);
  for (const manifest of manifests.toSorted((a, b) => a.sequence - b.sequence)) {
    const epoch = await store.takeOver(manifest.partition);
    const chain = await CheckpointChain.open(store, epoch, Infinity, null);
    await chain.adopt({ ...manifest, job: store.job }, chunks);
  }
  // Savepoints come last: one that is there is whole.
  for (const { name, at, partitions } of savepoints) {
    await store.savepoints.pin(name, at, partitions.map((member) => member?.sequence ?? null));
  }
}
