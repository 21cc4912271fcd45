// A backup: the newest checkpoints of all partitions as a savepoint that its file alone has. They are cut one by
// one, as those of any savepoint are: it is one moment per item.

import type { CheckpointStore } from "./checkpoint_store.ts";
import { DamagedCheckpointError, type Manifest } from "./manifest.ts";
import type { Savepoint } from "./savepoints.ts";

export interface Backup {
  /** At least one. */
  readonly manifests: readonly Manifest[];
  readonly savepoint: Savepoint;
}

/**
 * The newest checkpoints of a store; null when it has none. A partition without one counts as empty.
 *
 * @throws {DamagedCheckpointError} when the newest ones are not of one log, so that they are not a state of it, or
 * those of a partition are damaged
 */
export async function backupOf(store: CheckpointStore): Promise<Backup | null> {
  const whole = new Map<number, Manifest[]>();
  for (const partition of await store.partitions()) {
    const listed = await store.list(partition);
    const manifests = listed.map(({ manifest }) => manifest).filter((m) => m !== null);
    if (manifests.length === 0) {
      throw new DamagedCheckpointError(`Partition ${partition}: ${listed[0]?.damage}`);
    }
    whole.set(partition, manifests);
  }
  // After a restore the store holds checkpoints of two logs, and only those of the present one are its state.
  const newest = [...whole.values()].map(([first]) => first!)
    .toSorted((a, b) => b.publishedAt - a.publishedAt)[0];
  if (!newest) return null;
  const { logId, parameters } = newest;
  const manifests: Manifest[] = [];
  for (const [partition, listed] of whole) {
    const ofLog = listed.find((manifest) => manifest.logId === logId);
    if (!ofLog) {
      throw new DamagedCheckpointError(
        `Partition ${partition} has no checkpoint of the log that partition ${newest.partition} is of: together ` +
          "they are not a state. Take a savepoint (POST /savepoints), and export it by --savepoint=<name>",
      );
    }
    manifests.push(ofLog);
  }
  const partitions = Array.from({ length: parameters.partitions }, (_, partition) => {
    const manifest = manifests.find((m) => m.partition === partition);
    if (!manifest) return null;
    const { sequence, scalars } = manifest;
    return { sequence, offset: Number(scalars.position), items: Number(scalars.items) };
  });
  const at = Math.max(...manifests.map((m) => m.cutAt));
  return { manifests, savepoint: { name: nameOf(at), at, partitions } };
}

/** Such as backup-20261127T061500Z. */
function nameOf(at: number): string {
  return `backup-${new Date(at).toISOString().replaceAll(/[-:]|\.\d+/g, "")}`;
}
