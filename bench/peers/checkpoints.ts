// Checkpoints as the engines store them.

import type { CheckpointEvent } from "../../src/state/mod.ts";
import { exists } from "../../tools/kafka/libraries.ts";
import type { TakenCheckpoint } from "./job.ts";

/** The newest checkpoint of all partitions of stockflow together; null as long as one has none. */
export async function checkpointIn(
  { url }: { readonly url: string },
): Promise<TakenCheckpoint | null> {
  const { events } = await (await fetch(`${url}/checkpoints`)).json() as {
    readonly events: readonly CheckpointEvent[];
  };
  return takenOf(events);
}

/** The newest of all partitions, and when all were completed; null if none was. */
export function takenOf(events: readonly CheckpointEvent[]): TakenCheckpoint | null {
  const newest = new Map<number, CheckpointEvent>();
  const completed = new Map<number, number[]>();
  for (const event of events) {
    const { partition, kind, sequence, at } = event;
    // A partition that has only begun one has completed none.
    const ends = completed.get(partition) ?? [];
    completed.set(partition, ends);
    if (kind !== "completed") continue;
    ends.push(at);
    if ((newest.get(partition)?.sequence ?? -1) < sequence) newest.set(partition, event);
  }
  if (newest.size === 0) return null;
  const all = [...newest.values()];
  return {
    bytes: all.reduce((n, { totalBytes = 0 }) => n + totalBytes, 0),
    ms: Math.round(Math.max(...all.map(({ durationMs = 0 }) => durationMs))),
    completed: [...completed.values()],
  };
}

/** How many of them each partition completed between two moments, at the least. */
export function completedIn(
  taken: TakenCheckpoint | null,
  from: number,
  to: number,
): number {
  const counts = taken?.completed?.map((ends) => ends.filter((at) => at > from && at <= to).length);
  return Math.min(...(counts && counts.length > 0 ? counts : [0]));
}

/** The folder of the newest checkpoint of Flink that is whole; null without one. */
export async function newestOfFlink(folder: string): Promise<string | null> {
  const checkpoints = `${folder}/checkpoints`;
  if (!await exists(checkpoints)) return null;
  let newest: { readonly path: string; readonly at: number } | null = null;
  for await (const job of Deno.readDir(checkpoints)) {
    for await (const { name } of Deno.readDir(`${checkpoints}/${job.name}`)) {
      const path = `${checkpoints}/${job.name}/${name}`;
      // Written at its end; one that is being taken, or removed, has none.
      const mtime = name.startsWith("chk-") ? await mtimeOf(`${path}/_metadata`) : null;
      if (mtime !== null && mtime > (newest?.at ?? 0)) newest = { path, at: mtime };
    }
  }
  return newest?.path ?? null;
}

/** What Flink's newest checkpoint holds, and the time from its folder to its metadata. */
export async function checkpointOfFlink(folder: string): Promise<TakenCheckpoint | null> {
  const path = await newestOfFlink(folder);
  if (path === null) return null;
  let bytes = 0;
  for await (const { name } of Deno.readDir(path)) {
    bytes += (await Deno.stat(`${path}/${name}`)).size;
  }
  const begun = (await Deno.stat(path)).birthtime?.getTime();
  const ended = await mtimeOf(`${path}/_metadata`);
  return { bytes, ms: (ended ?? 0) - (begun ?? 0) };
}

async function mtimeOf(path: string): Promise<number | null> {
  try {
    return (await Deno.stat(path)).mtime?.getTime() ?? null;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return null;
  }
}
