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
import { encodeUtf8 } from "../types/mod.ts";
import { CheckpointChain } from "./checkpoint_chain.ts";
import { chunksOfParts, decodeParts, indexChunksOf } from "./checkpoint_parts.ts";
import type { CheckpointStore } from "./checkpoint_store.ts";
import { unpackedHash } from "./compression.ts";
import { KIND, MAGIC } from "./exported_form.ts";
import { DamagedCheckpointError, encodeManifest, type Manifest } from "./manifest.ts";
import type { Savepoint } from "./savepoints.ts";

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
      yield* frame(KIND.manifest, encodeManifest(manifest));
      const parts = await store.parts(manifest);
      for (const name of [...indexChunksOf(manifest), ...chunksOfParts(parts)]) {
        const key = `${manifest.partition}/${name}`;
        if (seen.has(key)) continue;
        seen.add(key);
        const [chunk] = await store.chunks(manifest.partition, [name]);
        yield* frame(KIND.chunk, chunk!);
      }
    }
    for (const savepoint of savepoints) {
      yield* frame(KIND.savepoint, encodeUtf8(JSON.stringify(savepoint)));
    }
    yield Uint8Array.of(KIND.end);
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
