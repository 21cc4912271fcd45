import type { Parameters } from "../parameters/parameters.ts";
import type { CheckpointStore } from "../state/mod.ts";

/** For so many items more, posted records get one more thread: it restores them sooner at the next start. */
const ITEMS_PER_THREAD = 1_000_000;

/** Threads that share the partitions of a process at the most. */
export function threadsMax(params: Parameters, partitions: number): number {
  return Math.min(partitions, params.get("parallelism") || navigator.hardwareConcurrency);
}

/** Threads that are surely needed, where all partitions are not known yet, and not only posted records are folded. */
export function threadsAtOnce(params: Parameters): number {
  return Math.min(threadsMax(params, Infinity), navigator.hardwareConcurrency);
}

/**
 * Threads that share the partitions. One folds more records than can be posted, and each of them is woken for most
 * groups of posts: with two, a single post takes a quarter more CPU. More of them pay where much is to be restored.
 *
 * @param isPosted records come over HTTP alone
 */
export async function threadsOf(
  params: Parameters,
  partitions: number,
  store: CheckpointStore,
  isPosted: boolean,
): Promise<number> {
  const most = threadsMax(params, partitions);
  if (params.get("parallelism") > 0 || !isPosted) return most;
  let items = 0;
  for (let partition = 0; partition < partitions; partition++) {
    const newest = (await store.list(partition)).find(({ manifest }) => manifest !== null);
    items += Number(newest?.manifest?.scalars.items ?? 0);
  }
  return Math.min(most, 1 + Math.floor(items / ITEMS_PER_THREAD));
}
