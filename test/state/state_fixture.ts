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
  rememberMs: 0,
  rememberedMax: 0,
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
    secret: null,
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
  pieces: Record<number, Uint8Array> | null = null,
): Promise<Manifest> {
  const draft = chain.begin();
  if (pieces) {
    draft.remember({ header: Uint8Array.of(0, 1, 1, position), firstPiece: 0n });
    for (const [i, bytes] of Object.entries(pieces)) draft.addPiece(Number(i), bytes);
  }
  for (const [i, bytes] of Object.entries(segments)) {
    draft.add(Number(i), typeof bytes === "string" ? encodeUtf8(bytes) : bytes);
    await draft.flush();
  }
  const secret = pieces ? "00112233445566778899aabbccddeeff" : null;
  return await chain.publish({ ...facts(position), secret });
}

/** All pieces of what a checkpoint remembers, in their order. */
export async function loadPieces(
  store: CheckpointStore,
  manifest: Manifest,
): Promise<Uint8Array[]> {
  return (await Array.fromAsync(store.pieces(manifest))).flat();
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
