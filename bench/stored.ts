// Checkpoints that benchmarks take and restore, through the store.

import type { Kv } from "../src/kv/mod.ts";
import {
  CheckpointChain,
  type CheckpointFacts,
  CheckpointStore,
  foldParametersOf,
  type Manifest,
} from "../src/state/mod.ts";
import { Format, systemChance, systemClock } from "../src/types/mod.ts";
import { Code, Core, type CoreOptions, SEGMENTS } from "../src/wasm/mod.ts";
import { foldAgain } from "./fold_again.ts";
import { fillItems, makeWorkload } from "./workload.ts";

export function openBenchStore(kv: Kv): Promise<CheckpointStore> {
  return CheckpointStore.open(kv, { job: "bench", clock: systemClock, chance: systemChance });
}

/** A core with so many items, whose stocks are as they are after a while: not all the same. */
export function coreWithItems(options: CoreOptions, items: number): Core {
  const core = new Core(options, systemChance);
  const format = Format.Text;
  for (const batch of fillItems(format, 0, items, 1000)) foldAgain(core, batch, { emit: false });
  for (const batch of makeWorkload({ format, items, batches: 2000, recordsPerBatch: 1000 })) {
    foldAgain(core, batch, { emit: false });
  }
  return core;
}

export function factsOf(core: Core): CheckpointFacts {
  return {
    logId: "bench",
    start: 0,
    scalars: core.state,
    lastBatch: null,
    parameters: foldParametersOf(core.options),
    secret: null,
    cutAt: Date.now(),
  };
}

/** Cuts all segments of a core. */
export function cutWhole(core: Core): void {
  core.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  if (core.cut() !== Code.Done) throw new Error("The core is not at rest");
}

/** Takes a checkpoint of a core as one of a partition, and publishes it; chunks are written while others are encoded. */
export async function takeWhole(
  store: CheckpointStore,
  core: Core,
  partition: number,
): Promise<Manifest> {
  cutWhole(core);
  const chain = await CheckpointChain.open(store, await store.takeOver(partition), 3, null);
  const draft = chain.begin();
  for (let next = core.encodeNext(); next; next = core.encodeNext()) {
    draft.add(next.segment, next.bytes);
    if (draft.queuedBytes > QUEUE_BYTES_MAX) await draft.flush();
  }
  core.endCut(true);
  return await chain.publish(factsOf(core));
}

/** As the engine lets wait for the store. */
const QUEUE_BYTES_MAX = 2 * 1024 * 1024;

/** Restores a checkpoint into an empty core. */
export async function restore(
  store: CheckpointStore,
  manifest: Manifest,
  core: Core,
): Promise<void> {
  core.restoreScalars(manifest.scalars);
  for await (const { segment, bytes } of store.segments(manifest)) {
    core.restoreSegment(segment, bytes);
  }
}
