// Other fold parameters than the checkpoint's, which stands exactly at the committed position: open windows are fired under
// the old ones, unless the same windows are open under both; the stock, and what is remembered of transactions, goes on
// under the new ones.

import { foldParametersOf, haveSameWindows } from "../state/mod.ts";
import { Code, Core, CoreError, SEGMENTS } from "../wasm/mod.ts";
import { secretOf } from "./log_secret.ts";
import type { PartitionProcessor } from "./partition_processor.ts";
import type { WorkerContext } from "./worker_context.ts";

type Context = Pick<WorkerContext, "coreOptions" | "parameters" | "clock" | "chance">;

/**
 * A processor under the new parameters, with what the windows of the old one put out.
 *
 * @param before has the checkpoint's state, under its parameters; it is not used any more
 * @param make puts a processor around a core
 */
export async function changeParameters(
  context: Context,
  before: PartitionProcessor,
  make: (core: Core) => PartitionProcessor,
): Promise<PartitionProcessor> {
  if (!haveSameWindows(foldParametersOf(before.core.options), context.parameters)) {
    await before.fireIdle();
  }
  const after = make(await rebuild(context, before));
  // The state did not begin in this log under these parameters.
  after.forgetStart();
  after.adopt(before);
  return after;
}

/** A core of other fold parameters with the same stock, and with the same windows if both know the same. */
async function rebuild(
  { coreOptions, clock, chance }: Context,
  { core: old, partition, acknowledged }: PartitionProcessor,
): Promise<Core> {
  const options = coreOptions(partition);
  const remember = options.remember && {
    ...options.remember,
    secret: old.options.remember?.secret ?? secretOf(acknowledged.secret, chance),
  };
  old.raise();
  const core = new Core({ ...options, remember }, chance);
  core.restoreScalars(old.state);
  const goesOn = remember !== undefined && old.options.remember !== undefined;
  // Their count is a part of what is remembered, and ends with it.
  core.duplicatesBefore = goesOn ? old.duplicatesBefore : old.info.duplicates;
  if (remember) old.remembered.limit(remember.max);
  old.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  old.remembered.mark(0n);
  const code = old.cut();
  if (code !== Code.Done) throw new CoreError(code, "Cannot read the old state");
  for (let next = old.encodeSome(); next; next = old.encodeSome()) {
    await clock.yield();
    if (next === "more") continue;
    for (const _slice of core.restoreInSlices(next.segment, next.bytes)) await clock.yield();
  }
  if (goesOn) {
    core.remembered.restore(old.remembered.encode().header);
    for (let next; (next = old.remembered.encodeNext());) {
      core.remembered.restorePiece(next.bytes);
      await clock.yield();
    }
    for (const _slice of core.remembered.restoreIndex()) await clock.yield();
  }
  core.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  core.remembered.mark(0n);
  return core;
}
