// Checkpoints as one file: export and import.
//
//   16 bytes "stockflow-state\n"
//   entries: kind u8, length u32 little endian, bytes
//     1 manifest (see manifest.ts), followed by its chunks:
//     2 chunk, named by its SHA-256; chunks that several manifests share come once
//   0, and 32 bytes of SHA-256 of everything before
//
// A file is verified whole before anything of it is written into a store.

import { createHash } from "node:crypto";
import { encodeUtf8 } from "../types/mod.ts";
import { CheckpointChain } from "./checkpoint_chain.ts";
import { type CheckpointStore, concat } from "./checkpoint_store.ts";
import {
  DamagedCheckpointError,
  decodeManifest,
  encodeManifest,
  type Manifest,
  sha256,
} from "./manifest.ts";
import { chunksOf, decodeIndex } from "./segment_index.ts";

const MAGIC = encodeUtf8("stockflow-state\n");
const KIND_END = 0;
const KIND_MANIFEST = 1;
const KIND_CHUNK = 2;
const HASH_BYTES = 32;
/** A value of Deno KV has at most so many bytes; so has an entry. */
const ENTRY_BYTES_MAX = 65_536;

function* frame(kind: number, bytes: Uint8Array): Generator<Uint8Array> {
  const head = new Uint8Array(5);
  head[0] = kind;
  new DataView(head.buffer).setUint32(1, bytes.length, true);
  yield head;
  yield bytes;
}

/** The bytes of a file with the given checkpoints. */
export async function* exportCheckpoints(
  store: CheckpointStore,
  manifests: readonly Manifest[],
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  const seen = new Set<string>();
  const entries = async function* (): AsyncGenerator<Uint8Array> {
    yield MAGIC;
    for (const manifest of manifests) {
      yield* frame(KIND_MANIFEST, encodeManifest(manifest));
      const index = await store.index(manifest);
      for (const name of [...manifest.index, ...chunksOf(index)]) {
        const key = `${manifest.partition}/${name}`;
        if (seen.has(key)) continue;
        seen.add(key);
        const [chunk] = await store.chunks(manifest.partition, [name]);
        yield* frame(KIND_CHUNK, chunk!);
      }
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
}

/**
 * Reads and verifies an exported file: its hash, its format, and that every checkpoint is whole.
 *
 * @throws {DamagedCheckpointError}
 */
export function readExported(file: Uint8Array): Exported {
  const body = file.subarray(0, Math.max(0, file.length - HASH_BYTES));
  const expected = sha256(body);
  const found = Array.from(file.subarray(body.length), (b) => b.toString(16).padStart(2, "0")).join(
    "",
  );
  if (!MAGIC.every((byte, i) => file[i] === byte)) {
    throw new DamagedCheckpointError("It is no exported state");
  }
  if (found !== expected) {
    throw new DamagedCheckpointError("The file is torn or altered: its hash differs");
  }
  const manifests: Manifest[] = [];
  const chunks = new Map<string, Uint8Array>();
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = MAGIC.length;
  while (body[at] !== KIND_END) {
    const kind = body[at]!;
    const length = at + 5 <= body.length ? view.getUint32(at + 1, true) : Infinity;
    if (length > Math.min(ENTRY_BYTES_MAX, body.length - at - 5)) {
      throw new DamagedCheckpointError(`An entry at ${at} does not fit`);
    }
    const bytes = body.subarray(at + 5, at + 5 + length);
    if (kind === KIND_MANIFEST) manifests.push(decodeManifest(bytes));
    else if (kind === KIND_CHUNK) chunks.set(sha256(bytes), bytes);
    else throw new DamagedCheckpointError(`An entry at ${at} is of kind ${kind}`);
    at += 5 + length;
  }
  for (const manifest of manifests) checkWhole(manifest, chunks);
  return { manifests, chunks };
}

function checkWhole(manifest: Manifest, chunks: ReadonlyMap<string, Uint8Array>): void {
  const take = (hash: string): Uint8Array => {
    const chunk = chunks.get(hash);
    if (chunk) return chunk;
    throw new DamagedCheckpointError(
      `Chunk ${hash} of checkpoint ${manifest.sequence} of partition ${manifest.partition} is missing`,
    );
  };
  const index = decodeIndex(concat(manifest.index.map(take)));
  for (const hash of chunksOf(index)) take(hash);
}

/**
 * Writes exported checkpoints into a store that has none of these partitions yet.
 *
 * @throws {RangeError} when the store has checkpoints of one of the partitions
 */
export async function importCheckpoints(
  store: CheckpointStore,
  { manifests, chunks }: Exported,
): Promise<void> {
  for (const { partition } of manifests) {
    if ((await store.list(partition)).length === 0) continue;
    throw new RangeError(`The store has checkpoints of partition ${partition} already`);
  }
  for (const manifest of manifests.toSorted((a, b) => a.sequence - b.sequence)) {
    const owner = await store.takeOver(manifest.partition);
    const chain = await CheckpointChain.open(store, owner, Infinity, null);
    await chain.adopt({ ...manifest, job: store.job }, chunks);
  }
}
