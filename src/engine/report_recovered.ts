import { getLogger } from "@logtape/logtape";
import type { Partition } from "./partition.ts";

const log = getLogger(["stockflow", "job"]);

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
