// A core with the state of a checkpoint.

import { coreOptionsOf, DamagedCheckpointError, type Manifest } from "../state/mod.ts";
import { Core } from "../wasm/mod.ts";
import type { ProgressReporter } from "./progress.ts";
import { RecoveryTurns, throwIfGivenUp } from "./turns.ts";
import type { WorkerContext } from "./worker_context.ts";

export interface Loading {
  readonly context: Pick<WorkerContext, "store" | "clock" | "chance" | "coreOptions" | "onStep">;
  readonly progress: ProgressReporter;
  /** Gives it up. */
  readonly signal: AbortSignal;
}

/**
 * Builds a core of the checkpoint's own parameters, which its open windows need, and restores it.
 *
 * @throws {DamagedCheckpointError} when a part is missing, altered, or not what the manifest says
 * @throws {CoreError} when a part does not follow its format
 * @throws {LostError} when it is given up
 */
export async function loadCore(loading: Loading, manifest: Manifest): Promise<Core> {
  const { context: { coreOptions, chance }, signal } = loading;
  const { partition, parameters, scalars, remembered } = manifest;
  if ((parameters.rememberMs > 0) !== (remembered !== undefined)) {
    throw new DamagedCheckpointError("It does not say what is remembered, as its parameters do");
  }
  const secret = remembered ? Uint8Array.fromHex(remembered.secret) : null;
  const own = coreOptionsOf(parameters, secret);
  const core = new Core({ ...coreOptions(partition), ...own }, chance);
  core.restoreScalars(scalars);
  core.duplicatesBefore = manifest.duplicatesBefore ?? 0;
  const turns = new RecoveryTurns(loading.context, partition, signal);
  await restoreSegments(core, loading, manifest, turns);
  if (remembered) {
    core.remembered.restore(Uint8Array.fromHex(remembered.header));
    for await (const pieces of loading.context.store.pieces(manifest)) {
      for (const piece of pieces) core.remembered.restorePiece(piece);
      await turns.next();
    }
    for (const _slice of core.remembered.restoreIndex()) await turns.next();
  }
  const { items } = core.state;
  if (items === scalars.items) return core;
  throw new DamagedCheckpointError(`It holds ${items} items, not ${scalars.items}`);
}

async function restoreSegments(
  core: Core,
  { context: { store }, progress, signal }: Loading,
  manifest: Manifest,
  turns: RecoveryTurns,
): Promise<void> {
  const restored = progress.begin("restore", Number(manifest.scalars.items));
  for await (const { segment, bytes } of store.segments(manifest)) {
    for (const _slice of core.restoreInSlices(segment, bytes)) await turns.next();
    throwIfGivenUp(signal);
    restored(Number(core.state.items));
    await turns.next();
  }
}
