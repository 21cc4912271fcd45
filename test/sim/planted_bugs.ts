// Bugs that are planted to see whether the simulator finds them. Each wraps a part of the simulated
// world, or a method of the engine for the time of one run; none is in src.

import { zstdDecompressSync } from "node:zlib";
import { Checkpointer } from "../../src/engine/checkpoint.ts";
import { Committer } from "../../src/engine/fold_and_commit.ts";
import type { Partition } from "../../src/engine/partition.ts";
import { PartitionProcessor } from "../../src/engine/partition_processor.ts";
import type { Commit } from "../../src/log/mod.ts";
import { CheckpointDraft } from "../../src/state/checkpoint_chain.ts";
import { concat } from "../../src/state/checkpoint_parts.ts";
import { CheckpointStore } from "../../src/state/checkpoint_store.ts";
import { type Kv, OwnedWrites } from "../../src/kv/mod.ts";
import { DamagedCheckpointError, type Manifest } from "../../src/state/mod.ts";
import { Core, NO_TIME } from "../../src/wasm/mod.ts";
import type { SimKvOptions } from "./sim_kv.ts";
import type { SimLogHooks } from "./sim_log.ts";

export interface PlantedBug {
  readonly log?: Partial<SimLogHooks>;
  readonly kv?: Partial<SimKvOptions>;
  /** Changes an owner before anything is done with it. */
  readonly onOwner?: (owner: Partition) => void;
  /** Changes the engine's own classes; returns what undoes it. */
  readonly patch?: () => () => void;
}

/** Puts another method in the place of one; returns what undoes it. */
export function replace<T, K extends keyof T>(
  prototype: T,
  name: K,
  make: (original: T[K]) => T[K],
): () => void {
  const original = prototype[name];
  prototype[name] = make(original);
  return () => void (prototype[name] = original);
}

/** What takes effect of every third commit with outputs is changed. */
function everyThird(change: (commit: Commit) => Commit | null): PlantedBug {
  let n = 0;
  return {
    log: {
      change: (commit) => commit.outputs.length > 0 && ++n % 3 === 0 ? change(commit) : commit,
    },
  };
}

async function* unverifiedSegments(
  this: CheckpointStore,
  manifest: Manifest,
): AsyncGenerator<{ segment: number; bytes: Uint8Array }> {
  for (const [segment, { chunks }] of (await this.parts(manifest)).segments) {
    const parts: Uint8Array[] = [];
    for (const hash of chunks) {
      const { value } = await this.kv.get<Uint8Array>(this.chunkKey(manifest.partition, hash));
      if (!value) throw new DamagedCheckpointError(`Chunk ${hash} is missing`);
      parts.push(value);
    }
    try {
      yield { segment, bytes: new Uint8Array(zstdDecompressSync(concat(parts))) };
    } catch (error) {
      throw new DamagedCheckpointError((error as Error).message);
    }
  }
}

export const PLANTED_BUGS: Readonly<Record<string, () => PlantedBug>> = {
  "a commit drops its outputs": () => everyThird((commit) => ({ ...commit, outputs: [] })),

  "a commit's outputs are written twice": () =>
    everyThird((commit) => ({ ...commit, outputs: [...commit.outputs, ...commit.outputs] })),

  "a commit is acknowledged and did not happen": () => everyThird(() => null),

  "outputs are committed without their positions": () =>
    everyThird((commit) => ({ ...commit, positions: [] })),

  "the committed offset is one too low": () =>
    everyThird((commit) => ({
      ...commit,
      positions: commit.positions.map((p) => ({ ...p, offset: Math.max(0, p.offset - 1) })),
    })),

  "the fired watermark is not committed": () =>
    everyThird((commit) => ({
      ...commit,
      positions: commit.positions.map((p) => ({ ...p, watermark: NO_TIME })),
    })),

  "the log does not fence": () => ({ log: { unfenced: true } }),

  "readers see aborted records": () => ({ log: { readsAborted: true } }),

  "the store checks neither owner nor head": () => ({ kv: { ignoresChecks: true } }),

  "a KV write that happened is taken for refused": () => ({
    patch: () =>
      replace(OwnedWrites, "open", (open) => async (kv, key, ...rest) => {
        let isOpen = false;
        // The mark, by which a write is known to have happened, is not looked at.
        const get = (async (asked: Deno.KvKey) => {
          const found = await kv.get(asked);
          return isOpen ? { ...found, value: null } : found;
        }) as Kv["get"];
        const blind = { get, atomic: () => kv.atomic() } as Kv;
        const writes = await open.call(OwnedWrites, blind, key, ...rest);
        isOpen = true;
        return writes;
      }),
  }),

  "a checkpoint is published before its commit": () => ({
    patch: () =>
      replace(Checkpointer.prototype, "take", (take) =>
        function (this: Checkpointer, signal) {
          return take.call(this, signal, { base: this.newest?.sequence ?? 0 });
        }),
  }),

  "folding again puts results out": () => ({
    patch: () =>
      replace(
        PartitionProcessor.prototype,
        "replay",
        () =>
          async function (this: PartitionProcessor, batch) {
            await this.fold(batch);
          },
      ),
  }),

  "folding again goes beyond the committed offset": () => ({
    patch: () =>
      replace(
        PartitionProcessor.prototype,
        "replay",
        (replay) =>
          function (this: PartitionProcessor, batch, until) {
            return replay.call(this, batch, until + 1);
          },
      ),
  }),

  "windows fired before the claim are fired again": () => ({
    patch: () => replace(PartitionProcessor.prototype, "dropFired", () => () => Promise.resolve()),
  }),

  "a changed segment is left out of a checkpoint": () => ({
    patch: () =>
      replace(
        CheckpointDraft.prototype,
        "add",
        (add) =>
          function (this: CheckpointDraft, segment, bytes) {
            if (this.sequence % 2 === 0 && segment % 5 === 0) return;
            add.call(this, segment, bytes);
          },
      ),
  }),

  "segments of a failed checkpoint are forgotten": () => ({
    patch: () => replace(Core.prototype, "markSegments", () => () => {}),
  }),

  "segments are restored without a look at their hashes": () => ({
    patch: () => replace(CheckpointStore.prototype, "segments", () => unverifiedSegments),
  }),

  "folding does not wait for commits": () => ({
    patch: () => {
      const original = Object.getOwnPropertyDescriptor(Committer.prototype, "hasRoom")!;
      Object.defineProperty(Committer.prototype, "hasRoom", { ...original, get: () => true });
      return () => Object.defineProperty(Committer.prototype, "hasRoom", original);
    },
  }),

  "new items are taken although memory is full": () => ({
    patch: () =>
      replace(
        PartitionProcessor.prototype,
        "fold",
        (fold) =>
          function (this: PartitionProcessor, batch) {
            return fold.call(this, batch);
          },
      ),
  }),

  "the state is reported ready before the log's end": () => ({
    onOwner: (owner) => owner.setReady(),
  }),
};
