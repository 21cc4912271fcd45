import { assert, assertEquals } from "@std/assert";
import type { ClaimedPartition } from "../../src/log/mod.ts";
import { planRecovery, type RecoveryFacts } from "../../src/engine/recovery_plan.ts";
import { foldParametersHash, type ListedCheckpoint, type Manifest } from "../../src/state/mod.ts";
import { facts as checkpointFacts } from "../state/state_fixture.ts";

const { parameters, logId } = checkpointFacts(0);
const CLAIMED: ClaimedPartition = {
  partition: 0,
  committed: { offset: 100, watermark: 0n, start: 0, parameters: foldParametersHash(parameters) },
  logStart: 0,
  logEnd: 200,
};
const FACTS: RecoveryFacts = { logId, topicId: null, restoredFrom: null, parameters };

function at(sequence: number, offset: number, change: Partial<Manifest> = {}): ListedCheckpoint {
  const facts = checkpointFacts(offset);
  const scalars = { ...facts.scalars, position: BigInt(offset), watermark: 0n };
  const manifest = { ...facts, partition: 0, sequence, stateHash: `hash ${sequence}` };
  return {
    partition: 0,
    sequence,
    manifest: { ...manifest, scalars, ...change } as unknown as Manifest,
    damage: null,
  };
}

const planned = (claimed: ClaimedPartition, listed: readonly ListedCheckpoint[], facts = FACTS) => {
  const { candidates, start, unusable, isBehind } = planRecovery(claimed, listed, facts);
  const shown = candidates.map((c) =>
    c.kind === "load"
      ? c.manifest.sequence
      : c.kind === "damaged"
      ? `damaged ${c.of.sequence}`
      : "stop"
  );
  return { shown, start: start.kind, unusable: unusable.map((u) => u.sequence), isBehind };
};

Deno.test("a plan tries the checkpoints at or below the claim, the newest first, and then the start", () => {
  const listed = [at(3, 100), at(2, 60), at(1, 20)];
  assertEquals(planned(CLAIMED, listed), {
    shown: [3, 2, 1],
    start: "offset",
    unusable: [],
    isBehind: false,
  });
  const damaged = { ...at(3, 100), manifest: null, damage: "altered" };
  assertEquals(planned(CLAIMED, [damaged, ...listed.slice(1)]).shown, ["damaged 3", 2, 1]);
});

Deno.test("a plan leaves out checkpoints ahead of the claim, and says that it is behind", () => {
  const { shown, unusable, isBehind } = planned(CLAIMED, [at(2, 101), at(1, 100)]);
  assertEquals([shown, unusable, isBehind], [[1], [2], true]);
});

Deno.test("a plan leaves out checkpoints whose records the log does not hold any more", () => {
  const claimed = { ...CLAIMED, logStart: 50 };
  const { shown, start, unusable, isBehind } = planned(claimed, [at(2, 60), at(1, 20)]);
  assertEquals([shown, start, unusable, isBehind], [[2], "none", [1], false]);
});

Deno.test("a plan stops where only a person can decide", () => {
  const stops: [ClaimedPartition, RecoveryFacts][] = [
    [{ ...CLAIMED, logEnd: 99 }, FACTS],
    [{ ...CLAIMED, logStart: 101 }, FACTS],
    [CLAIMED, { ...FACTS, logId: "another" }],
    [CLAIMED, { ...FACTS, parameters: { ...parameters, windowMs: parameters.windowMs + 1 } }],
  ];
  for (const [claimed, facts] of stops) {
    assertEquals(planned(claimed, [at(1, 60)], facts).shown, ["stop"]);
  }
  const topicId = at(1, 60, { topicId: "one" });
  assertEquals(planned(CLAIMED, [topicId], { ...FACTS, topicId: "two" }).shown, ["stop"]);
});

Deno.test("a plan takes other fold parameters where the checkpoint stands exactly at the claim", () => {
  const other = { ...FACTS, parameters: { ...parameters, windowMs: parameters.windowMs + 1 } };
  assertEquals(planned(CLAIMED, [at(1, 100)], other).shown, [1]);
});

Deno.test("a plan without checkpoints begins at the start, if that leads to the claim", () => {
  assertEquals(
    planned({ ...CLAIMED, committed: { ...CLAIMED.committed, offset: 0 } }, []).start,
    "offset",
  );
  const { start } = planRecovery(
    { ...CLAIMED, committed: { ...CLAIMED.committed, start: null } },
    [],
    FACTS,
  );
  assert(start.kind === "none" && start.reason.includes("did not begin in this log"));
});
