// Other fold parameters than the checkpoint's, which stands exactly at the committed position: open windows are
// fired under the old ones, the stock goes on under the new ones.

import { Code, Core, CoreError, SEGMENTS } from "../wasm/mod.ts";
import type { PartitionProcessor } from "./partition_processor.ts";
import type { WorkerContext } from "./worker_context.ts";

type Context = Pick<WorkerContext, "coreOptions" | "clock" | "chance">;

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
  await before.fireIdle();
  const after = make(await rebuild(context, before.core, before.partition));
  // The state did not begin in this log under these parameters.
  after.acknowledged = { ...after.acknowledged, start: null };
  after.adopt(before);
  return after;
}

/**
 * A core of other fold parameters with the same stock. Open windows must have been fired: they belong
 * to the old parameters.
 */
async function rebuild(
  { coreOptions, clock, chance }: Context,
  old: Core,
  partition: number,
): Promise<Core> {
  const core = new Core(coreOptions(partition), chance);
  core.restoreScalars(old.state);
  old.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  const code = old.cut();
  if (code !== Code.Done) throw new CoreError(code, "Cannot read the old state");
  for (let next = old.encodeSome(); next; next = old.encodeSome()) {
    await clock.yield();
    if (next === "more") continue;
    for (const _slice of core.restoreInSlices(next.segment, next.bytes)) await clock.yield();
  }
  core.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  return core;
}
