import { assertEquals } from "@std/assert";
import { KnownPartitions } from "../../src/service/known_partitions.ts";
import type { PartitionFigures } from "../../src/engine/mod.ts";

const FIGURES: PartitionFigures = {
  partition: 0,
  position: 100,
  logEnd: null,
  items: 9,
  accepted: 70,
  rejected: 20,
  duplicates: 10,
  impossibleTimestamps: 0,
  remembered: null,
  largestTimestamp: null,
  late: 5,
  farAhead: 3,
  invalid: [0, 1, 9],
  stateBytes: 1000,
  openWindows: 2,
  alerts: 1,
  checkpointMs: 4,
  checkpointAt: 50,
  watermark: null,
  checkpointFailure: null,
  checkpointFailures: 0,
  recordsIn: 0,
  firingMs: 0,
  isReady: true,
  records: { outcomes: 100, consumed: 100 },
  stocks: null,
};

Deno.test("counters of a partition never go back, its other figures are the present ones", () => {
  const known = new KnownPartitions();
  known.update([{ ...FIGURES, partition: 1 }, FIGURES]);
  assertEquals(known.all.map((f) => f.partition), [0, 1]);
  // It is being recovered, and reports nothing.
  known.update([]);
  assertEquals(known.all[0], FIGURES);
  // It stands at its committed position, and folds the rest again.
  const behind = {
    ...FIGURES,
    position: 80,
    items: 8,
    accepted: 60,
    rejected: 15,
    duplicates: 7,
    late: 0,
    farAhead: 2,
    invalid: [0, 1, 4],
    stateBytes: 900,
    openWindows: 1,
    checkpointMs: null,
  };
  known.update([behind]);
  const { accepted, rejected, duplicates, late, farAhead, invalid, checkpointMs } = FIGURES;
  assertEquals(known.all[0], {
    ...behind,
    accepted,
    rejected,
    duplicates,
    late,
    farAhead,
    invalid,
    checkpointMs,
  });
  known.update([{ ...FIGURES, accepted: 71, late: 1 }]);
  assertEquals(known.all[0], { ...FIGURES, accepted: 71 });
});
