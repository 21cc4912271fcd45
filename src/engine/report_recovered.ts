// What the log and the history say of recoveries.

import { getLogger } from "@logtape/logtape";
import type { Manifest } from "../state/mod.ts";
import type { Partition, Recovery } from "./partition.ts";
import { positionOf, type Unusable } from "./recovery_plan.ts";
import type { WorkerContext } from "./worker_context.ts";

const log = getLogger(["stockflow", "job"]);

type Reporting = Pick<WorkerContext, "store" | "clock">;

/** Logs what partitions were recovered from, and how many were kept. */
export function reportRecovered(partitions: readonly Partition[], durationMs: number): void {
  const recoveries = partitions.map((p) => p.recovery).filter((r) => r !== null);
  const kept = partitions.length - recoveries.length;
  if (kept > 0) log.info("{kept} partitions go on where they were left", { kept });
  const sum = (of: "items" | "restored" | "replayed") =>
    recoveries.reduce((n, recovery) => n + recovery[of], 0);
  if (sum("items") === 0 && sum("replayed") === 0) return;
  log.info(
    "Recovered {items} items in {ms} ms: {restored} from checkpoints, {replayed} records folded again",
    {
      items: sum("items"),
      ms: Math.round(durationMs),
      restored: sum("restored"),
      replayed: sum("replayed"),
    },
  );
}

/** Logs the checkpoints that turned out to be damaged, and adds them to the history. */
export async function reportDamage(
  { store, clock }: Reporting,
  { partition, claimed }: Partition,
  damaged: readonly Unusable[],
): Promise<void> {
  for (const { sequence, reason } of damaged) {
    log.error("Checkpoint {sequence} of partition {partition} is damaged: {reason}", {
      sequence,
      partition,
      reason,
    });
    const offset = claimed.committed.offset;
    const at = clock.now();
    await store.addEvent({ kind: "damaged", at, partition, sequence, offset, reason });
  }
}

/** What a partition was recovered from; a checkpoint, or null. */
export function recoveryOf(
  { processor: { core, position }, claimed: { committed } }: Partition,
  manifest: Manifest | null,
  durationMs: number,
): Recovery {
  const from = manifest ? positionOf(manifest).offset : committed.start ?? 0;
  return {
    items: Number(core.state.items),
    restored: manifest ? Number(manifest.scalars.items) : 0,
    replayed: position - from,
    durationMs,
  };
}

/** Adds a recovery to the history. */
export async function addRecovery(
  { store, clock }: Reporting,
  { partition, claimed }: Partition,
  manifest: Manifest | null,
  { replayed, durationMs, items }: Recovery,
): Promise<void> {
  if (!manifest && replayed === 0) return;
  await store.addEvent({
    kind: "restored",
    at: clock.now(),
    partition,
    sequence: manifest?.sequence ?? 0,
    offset: claimed.committed.offset,
    durationMs,
    items,
  });
}
