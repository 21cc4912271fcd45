import { type CheckpointStore, pinnedBy } from "../state/mod.ts";

/** Enough for one answer. */
const CHECKPOINTS_ENOUGH = 1000;

/** A checkpoint as it is listed; one that cannot be read has its damage alone. */
export type ListedCheckpoint =
  | {
    readonly partition: number;
    readonly sequence: number;
    /** Next offset to fold. */
    readonly offset: number;
    readonly items: number;
    /** ms since the epoch */
    readonly cutAt: number;
    readonly publishedAt: number;
    /** Compressed bytes that it added, and of all its chunks. */
    readonly newBytes: number;
    readonly totalBytes: number;
    readonly stateHash: string;
    /** Names of the savepoints that pin it. */
    readonly savepoints: readonly string[];
  }
  | { readonly partition: number; readonly sequence: number; readonly damage: string };

export interface ListedCheckpoints {
  readonly checkpoints: readonly ListedCheckpoint[];
  readonly next: number | null;
}

/** Lists checkpoints of whole partitions from one on, until they are enough. */
export async function listCheckpoints(
  store: CheckpointStore,
  from: number,
): Promise<ListedCheckpoints> {
  const savepoints = await store.savepoints.list();
  const checkpoints: ListedCheckpoint[] = [];
  for (const partition of (await store.partitions()).toSorted((a, b) => a - b)) {
    if (partition < from) continue;
    if (checkpoints.length >= CHECKPOINTS_ENOUGH) return { checkpoints, next: partition };
    const pinned = pinnedBy(savepoints, partition);
    for (const { sequence, manifest, damage } of await store.list(partition)) {
      checkpoints.push(
        manifest
          ? {
            partition,
            sequence,
            offset: Number(manifest.scalars.position),
            items: Number(manifest.scalars.items),
            cutAt: manifest.cutAt,
            publishedAt: manifest.publishedAt,
            newBytes: manifest.newBytes,
            totalBytes: manifest.totalBytes,
            stateHash: manifest.stateHash,
            savepoints: pinned.get(sequence) ?? [],
          }
          : { partition, sequence, damage: damage ?? "It cannot be read" },
      );
    }
  }
  return { checkpoints, next: null };
}
