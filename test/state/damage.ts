// Damage to checkpoints, region by region: bytes altered and cut, and parts that are missing, exchanged, or
// of another kind. What is not found is used, and that must not be.
//
//   damageDecoders  every byte of everything, given to the functions that verify: microseconds for each
//   damageRun       the same through a store, which falls back to the checkpoint before: milliseconds

import {
  CheckpointChain,
  type CheckpointStore,
  chunksOfParts,
  DamagedCheckpointError,
  exportCheckpoints,
  indexChunksOf,
  type Manifest,
} from "../../src/state/mod.ts";
import { readExported } from "../../src/state/read_exported.ts";
import { concat } from "../../src/state/checkpoint_parts.ts";
import { intactChunk } from "../../src/state/checkpoint_store.ts";
import { manifestAt } from "../../src/state/manifest.ts";
import { FaultKv } from "../kv/fault_kv.ts";
import { load, loadPieces, noise, openStore, publish } from "./state_fixture.ts";

/** How densely a part is damaged. */
export interface Density {
  /** Up to this length every byte is damaged. */
  readonly everyByteMax: number;
  /** Positions in what is larger. */
  readonly samples: number;
}

const EVERY_BYTE: Density = { everyByteMax: Infinity, samples: 0 };
/** The beginning of a file, which its format is in, and its end, where the hash is. */
const HEAD_BYTES = 2500;
const END_BYTES = 400;

export interface DamageVerdict {
  readonly damages: number;
  /** Found, and the checkpoint before was read instead; or the file was refused as a whole. */
  readonly detected: number;
  /** Read as if it were right. */
  readonly used: number;
  /** Damages by what was damaged. */
  readonly regions: ReadonlyMap<string, number>;
}

export function damageLine({ damages, detected, used }: DamageVerdict): string {
  return `${damages} damages, ${detected} detected, ${used} used`;
}

interface Entry {
  readonly region: string;
  readonly key: Deno.KvKey;
  readonly value: Uint8Array;
}

class Count {
  damages = 0;
  detected = 0;
  used = 0;
  readonly regions = new Map<string, number>();

  add(region: string, found: boolean): void {
    this.damages++;
    if (found) this.detected++;
    else this.used++;
    this.regions.set(region, (this.regions.get(region) ?? 0) + 1);
  }
}

/**
 * The bytes with one byte altered, at every position or at samples of them; at every `others`-th of these also zeroed, cut
 * there, or without a sector; and with one byte added.
 */
function* damagesOf(
  bytes: Uint8Array,
  { everyByteMax, samples }: Density,
  others = 1,
): Generator<Uint8Array> {
  let n = 0;
  const step = bytes.length <= everyByteMax ? 1 : bytes.length / samples;
  for (let position = 0; position < bytes.length; position += step) {
    const at = Math.floor(position);
    const altered = bytes.slice();
    altered[at]! ^= 1 << (at % 8);
    yield altered;
    if (n++ % others !== 0) continue;
    if (bytes[at] !== 0) {
      const zeroed = bytes.slice();
      zeroed[at] = 0;
      yield zeroed;
    }
    yield bytes.slice(0, at);
    // A sector that was never written.
    const sector = bytes.slice();
    sector.fill(0, at, at + 512);
    if (sector.some((b, i) => b !== bytes[i])) yield sector;
  }
  yield Uint8Array.from([...bytes, 0]);
}

/** Values that are not bytes: another program's, or a broken file's. */
const OTHER_KINDS: readonly unknown[] = [null, 0, "text", new Uint8Array(), { a: 1 }, [1], 5n];

/** Two partitions with two checkpoints each, whose largest segment has so many bytes. */
async function twoCheckpoints(kv: Deno.Kv, segmentBytes: number) {
  const store = await openStore(new FaultKv(kv));
  const manifests: Manifest[][] = [];
  for (const partition of [0, 1]) {
    const chain = await CheckpointChain.open(store, await store.takeOver(partition), 3, null);
    const segments = (n: number) => ({
      0: noise(10 * partition + n, segmentBytes),
      3: noise(10 * partition + n + 5, 300),
    });
    const piece = (n: number) => noise(10 * partition + n + 7, Math.min(segmentBytes, 20_000));
    const rest = { 7: `kept by ${partition}` };
    const older = await publish(chain, 5, { ...segments(1), ...rest }, {
      0: piece(1),
      1: piece(2),
    });
    manifests.push([older, await publish(chain, 9, segments(2), { 1: piece(3), 2: piece(4) })]);
  }
  return { store, manifests };
}

/** Everything that only the newest checkpoint of partition 0 consists of. */
async function entriesOf(store: CheckpointStore, [older, newest]: Manifest[]): Promise<Entry[]> {
  const shared = new Set([...indexChunksOf(older!), ...chunksOfParts(await store.parts(older!))]);
  const keys: [string, Deno.KvKey][] = [["manifest", store.manifestKey(0, newest!.sequence)]];
  for (const hash of newest!.index) keys.push(["index", store.chunkKey(0, hash)]);
  for (const hash of newest!.remembered!.index) keys.push(["index", store.chunkKey(0, hash)]);
  for (const hash of chunksOfParts(await store.parts(newest!))) {
    if (!shared.has(hash)) keys.push(["chunk", store.chunkKey(0, hash)]);
  }
  const entries: Entry[] = [];
  for (const [region, key] of keys) {
    entries.push({ region, key, value: (await store.kv.get<Uint8Array>(key)).value! });
  }
  return entries;
}

/** Sequences of the checkpoints of partition 0 that can be read, with what they are said to be. */
async function readable(store: CheckpointStore): Promise<string> {
  const good: string[] = [];
  for (const { sequence, manifest } of await store.list(0)) {
    if (!manifest) continue;
    try {
      const segments = await load(store, manifest);
      const pieces = await loadPieces(store, manifest);
      good.push(`${sequence}: ${manifest.stateHash} ${segments.size} ${pieces.length}`);
    } catch (error) {
      if (!(error instanceof DamagedCheckpointError)) throw error;
    }
  }
  return good.join();
}

/** Whether the parts of a checkpoint are taken for damaged. */
function isRefused(read: () => void): boolean {
  try {
    read();
    return false;
  } catch (error) {
    if (error instanceof DamagedCheckpointError) return true;
    throw error;
  }
}

/**
 * Damages every byte of a small checkpoint and of its exported file; reports what the decoders found.
 *
 * @param others every so many bytes all kinds of damage are tried, at the others one of them
 */
export async function damageDecoders(others = 1): Promise<DamageVerdict> {
  const count = new Count();
  const kv = await Deno.openKv(":memory:");
  const { store, manifests } = await twoCheckpoints(kv, 1000);
  for (const { region, key, value } of await entriesOf(store, manifests[0]!)) {
    const read = (bytes: unknown) =>
      region === "manifest"
        ? manifestAt(key, bytes)
        : intactChunk((key[3] as Uint8Array).toHex(), bytes);
    read(value);
    for (const damage of damagesOf(value, EVERY_BYTE, others)) {
      count.add(region, isRefused(() => read(damage)));
    }
    for (const other of OTHER_KINDS) {
      count.add(`${region} of another kind`, isRefused(() => read(other)));
    }
  }
  const file = await exportedFile(store, manifests);
  readExported(file);
  for (const damage of damagesOf(file, EVERY_BYTE, others)) {
    count.add("file", isRefused(() => readExported(damage)));
  }
  kv.close();
  return count;
}

/** Damages large checkpoints in a KV and their exported file in every region; reports what was found. */
export async function damageRun(density: Density): Promise<DamageVerdict> {
  const count = new Count();
  const kv = await Deno.openKv(":memory:");
  const { store, manifests } = await twoCheckpoints(kv, 150_000);
  const [older, newest] = manifests[0]!;
  const olderAlone = `${older!.sequence}: ${older!.stateHash} 3 2`;
  const both = `${newest!.sequence}: ${newest!.stateHash} 3 3,${olderAlone}`;
  const fallsBack = async (region: string) =>
    count.add(region, await readable(store) === olderAlone);
  if (await readable(store) !== both) {
    throw new Error("The checkpoints are not right to begin with");
  }
  const entries = await entriesOf(store, manifests[0]!);
  for (const { region, key, value } of entries) {
    for (const damage of damagesOf(value, density)) {
      await kv.set(key, damage);
      await fallsBack(region);
    }
    for (const other of OTHER_KINDS) {
      await kv.set(key, other);
      await fallsBack(`${region} of another kind`);
    }
    // A manifest that is missing is not a checkpoint: that is how retired ones go.
    if (region !== "manifest") {
      await kv.delete(key);
      await fallsBack(`${region} missing`);
    }
    await kv.set(key, value);
  }
  for (const a of entries) {
    for (const b of entries) {
      if (a === b) continue;
      await kv.set(a.key, b.value);
      await fallsBack(`${a.region} exchanged`);
      await kv.set(a.key, a.value);
    }
  }
  const otherManifests = [
    store.manifestKey(0, older!.sequence),
    store.manifestKey(1, 1),
    store.manifestKey(1, 2),
  ];
  const [{ key, value }] = entries as [Entry];
  for (const other of otherManifests) {
    await kv.set(key, (await kv.get(other)).value);
    await fallsBack("manifest of another checkpoint");
  }
  await kv.set(key, value);
  if (await readable(store) !== both) throw new Error("The checkpoints are not right any more");
  damageFile(await exportedFile(store, manifests), density, count);
  kv.close();
  return count;
}

/** The file of the newest checkpoint of each partition, and of a savepoint of them. */
async function exportedFile(store: CheckpointStore, manifests: Manifest[][]): Promise<Uint8Array> {
  const newest = manifests.map((list) => list.at(-1)!);
  const savepoints = [await store.savepoints.pin("a", 42, [2, 2])];
  const parts = await Array.fromAsync(
    exportCheckpoints(store, newest, savepoints),
    (p) => p.slice(),
  );
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function damageFile(file: Uint8Array, density: Density, count: Count): void {
  readExported(file);
  const add = (region: string, bytes: Uint8Array) =>
    count.add(region, isRefused(() => readExported(bytes)));
  const rest = file.subarray(HEAD_BYTES);
  for (const head of damagesOf(file.subarray(0, HEAD_BYTES), density)) {
    add("head of a file", concat([head, rest]));
  }
  for (const whole of damagesOf(file, density)) add("file", whole);
  const before = file.subarray(0, -END_BYTES);
  for (const end of damagesOf(file.subarray(-END_BYTES), density)) {
    add("end of a file", concat([before, end]));
  }
}
