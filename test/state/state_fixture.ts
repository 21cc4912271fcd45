import { encodeUtf8 } from "../../src/types/mod.ts";
import { NO_TIME, type StateScalars } from "../../src/wasm/mod.ts";
import {
  type CheckpointChain,
  type CheckpointFacts,
  CheckpointStore,
  type FoldParameters,
  type Manifest,
} from "../../src/state/mod.ts";
import type { Kv } from "../../src/kv/mod.ts";
import { TestClock } from "../log/log_fixture.ts";

export const PARAMETERS: FoldParameters = {
  foldVersion: 1,
  format: "text",
  partitioner: "murmur2",
  partitions: 1,
  windowMs: 0,
  eventTime: false,
  outOfOrderMs: 0,
  maxAheadMs: 0,
};

export function scalars(position: number): StateScalars {
  return {
    position: BigInt(position),
    watermark: NO_TIME,
    largestTs: NO_TIME,
    largestTimestamp: 5n,
    accepted: 1n,
    rejected: 2n,
    late: 3n,
    farAhead: 0n,
    quantitySum: -4n,
    items: 5n,
    invalid: Array.from({ length: 16 }, () => 0n),
  };
}

export function facts(position: number): CheckpointFacts {
  return {
    logId: "log",
    topicId: "AAAAAAAAAAAAAAAAAAAAAA",
    start: 0,
    scalars: scalars(position),
    lastBatch: { baseOffset: 0, crc: 7 },
    parameters: PARAMETERS,
    cutAt: 1,
  };
}

export function openStore(kv: Kv): Promise<CheckpointStore> {
  return CheckpointStore.open(kv, { job: "job", clock: new TestClock(), chance: () => 0.5 });
}

const noises = new Map<string, Uint8Array>();

/** Bytes of which zstd can make little, the same for the same seed. */
export function noise(seed: number, length: number): Uint8Array {
  const key = `${seed} ${length}`;
  const bytes = noises.get(key) ?? makeNoise(seed, length);
  noises.set(key, bytes);
  return bytes.slice();
}

function makeNoise(seed: number, length: number): Uint8Array {
  let x = seed * 2654435761 + 1;
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + 12345;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

/** Publishes a checkpoint of the given segments. */
export async function publish(
  chain: CheckpointChain,
  position: number,
  segments: Record<number, Uint8Array | string>,
): Promise<Manifest> {
  chain.begin();
  for (const [i, bytes] of Object.entries(segments)) {
    chain.add(Number(i), typeof bytes === "string" ? encodeUtf8(bytes) : bytes);
    await chain.flush();
  }
  return await chain.publish(facts(position));
}

/** All segments of a checkpoint, by number. */
export async function load(
  store: CheckpointStore,
  manifest: Manifest,
): Promise<Map<number, Uint8Array>> {
  const segments = new Map<number, Uint8Array>();
  for await (const { segment, bytes } of store.segments(manifest)) {
    segments.set(segment, Uint8Array.from(bytes));
  }
  return segments;
}
