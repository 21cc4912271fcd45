// Damage to checkpoints, region by region: every byte of what is small, samples of what is large, and parts
// that are missing, exchanged, or of another kind. What is not found is used, and that must not be.

import {
  CheckpointChain,
  type CheckpointStore,
  DamagedCheckpointError,
  exportCheckpoints,
  type Manifest,
  readExported,
} from "../../src/state/mod.ts";
import { FaultKv } from "../log/fault_kv.ts";
import { load, noise, openStore, publish } from "./state_fixture.ts";

/** Up to this length every byte is damaged. */
const EVERY_BYTE_MAX = 2500;
/** Positions in what is larger. */
const SAMPLES = 150;

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

/** The bytes with one byte altered, zeroed, cut there, or one added, at every position or at samples of them. */
export function* damagesOf(bytes: Uint8Array): Generator<Uint8Array> {
  const step = bytes.length <= EVERY_BYTE_MAX ? 1 : bytes.length / SAMPLES;
  for (let position = 0; position < bytes.length; position += step) {
    const at = Math.floor(position);
    const altered = bytes.slice();
    altered[at]! ^= 1 << (at % 8);
    yield altered;
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

/** Values that are no bytes: another program's, or a broken file's. */
const OTHER_KINDS: readonly unknown[] = [null, 0, "text", new Uint8Array(), { a: 1 }, [1], 5n];

/** Two partitions with two checkpoints each. */
async function twoCheckpoints(kv: Deno.Kv) {
  const store = await openStore(new FaultKv(kv));
  const manifests: Manifest[][] = [];
  for (const partition of [0, 1]) {
    const chain = await CheckpointChain.open(store, await store.takeOver(partition), 3, null);
    const segments = (n: number) => ({
      0: noise(10 * partition + n, 150_000),
      3: noise(10 * partition + n + 5, 300),
    });
    const older = await publish(chain, 5, { ...segments(1), 7: `kept by ${partition}` });
    manifests.push([older, await publish(chain, 9, segments(2))]);
  }
  return { store, manifests };
}

/** Everything that only the newest checkpoint of partition 0 consists of. */
async function entriesOf(store: CheckpointStore, [older, newest]: Manifest[]): Promise<Entry[]> {
  const shared = new Set(older!.index);
  for (const { chunks } of (await store.index(older!)).values()) {
    chunks.forEach((c) => shared.add(c));
  }
  const keys: [string, Deno.KvKey][] = [["manifest", store.manifestKey(0, newest!.sequence)]];
  for (const hash of newest!.index) keys.push(["index", store.chunkKey(0, hash)]);
  for (const { chunks } of (await store.index(newest!)).values()) {
    for (const hash of chunks) if (!shared.has(hash)) keys.push(["chunk", store.chunkKey(0, hash)]);
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
      good.push(`${sequence}: ${manifest.stateHash} ${segments.size}`);
    } catch (error) {
      if (!(error instanceof DamagedCheckpointError)) throw error;
    }
  }
  return good.join();
}

/** Damages checkpoints in a KV and exported files in every region; tells what was found. */
export async function damageRun(): Promise<DamageVerdict> {
  const count = new Count();
  const kv = await Deno.openKv(":memory:");
  const { store, manifests } = await twoCheckpoints(kv);
  const [older, newest] = manifests[0]!;
  const olderAlone = `${older!.sequence}: ${older!.stateHash} 3`;
  const both = `${newest!.sequence}: ${newest!.stateHash} 3,${olderAlone}`;
  if (await readable(store) !== both) {
    throw new Error("The checkpoints are not right to begin with");
  }
  const entries = await entriesOf(store, manifests[0]!);
  for (const { region, key, value } of entries) {
    for (const damage of damagesOf(value)) {
      await kv.set(key, damage);
      count.add(region, await readable(store) === olderAlone);
    }
    for (const other of OTHER_KINDS) {
      await kv.set(key, other);
      count.add(`${region} of another kind`, await readable(store) === olderAlone);
    }
    // A manifest that is missing is no checkpoint: that is how retired ones go.
    if (region !== "manifest") {
      await kv.delete(key);
      count.add(`${region} missing`, await readable(store) === olderAlone);
    }
    await kv.set(key, value);
  }
  for (const a of entries) {
    for (const b of entries) {
      if (a === b) continue;
      await kv.set(a.key, b.value);
      count.add(`${a.region} exchanged`, await readable(store) === olderAlone);
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
    count.add("manifest of another checkpoint", await readable(store) === olderAlone);
  }
  await kv.set(key, value);
  if (await readable(store) !== both) throw new Error("The checkpoints are not right any more");
  await damageFile(store, manifests, count);
  kv.close();
  return count;
}

async function damageFile(
  store: CheckpointStore,
  manifests: Manifest[][],
  count: Count,
): Promise<void> {
  const newest = manifests.map((list) => list.at(-1)!);
  const savepoints = [await store.savepoints.pin("a", 42, [2, 2])];
  const parts = await Array.fromAsync(
    exportCheckpoints(store, newest, savepoints),
    (p) => p.slice(),
  );
  const file = new Uint8Array(await new Blob(parts).arrayBuffer());
  readExported(file);
  const head = file.subarray(0, EVERY_BYTE_MAX);
  for (const part of damagesOf(head)) {
    addFile("head of a file", new Uint8Array([...part, ...file.subarray(EVERY_BYTE_MAX)]));
  }
  for (const whole of damagesOf(file)) addFile("file", whole);
  for (let at = file.length - 400; at < file.length; at++) {
    const altered = file.slice();
    altered[at]! ^= 0x80;
    addFile("end of a file", altered);
    addFile("end of a file", file.slice(0, at));
  }

  function addFile(region: string, bytes: Uint8Array): void {
    try {
      readExported(bytes);
      count.add(region, false);
    } catch (error) {
      if (!(error instanceof DamagedCheckpointError)) throw error;
      count.add(region, true);
    }
  }
}
