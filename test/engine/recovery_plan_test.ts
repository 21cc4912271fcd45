import { assert, assertEquals } from "@std/assert";
import type { ClaimedPartition } from "../../src/log/mod.ts";
import { planRecovery, type RecoveryFacts } from "../../src/engine/recovery_plan.ts";
import { foldParametersHash, type ListedCheckpoint, type Manifest } from "../../src/state/mod.ts";
import { facts as checkpointFacts } from "../state/state_fixture.ts";

const { parameters, logId } = checkpointFacts(0);
const CLAIMED: ClaimedPartition = {
  partition: 0,
  committed: {
    offset: 100,
    watermark: 0n,
    start: 0,
    parametersHash: foldParametersHash(parameters),
    secret: null,
    raisedAt: null,
  },
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

Deno.test("where partitions are shared, a plan refuses a claim behind the newest checkpoint", () => {
  const facts = { ...FACTS, refusesSetBack: true };
  const behind = planRecovery(CLAIMED, [at(2, 101), at(1, 60)], facts);
  assertEquals([behind.candidates, behind.start.kind, behind.isBehind], [[], "none", true]);
  assert(
    behind.start.kind === "none" &&
      behind.start.reason.includes("100 of partition 0 lies before 101"),
  );
  // An older one is ahead when its offset was accepted: the newest one was made since.
  assertEquals(planned(CLAIMED, [at(3, 100), at(2, 101), at(1, 60)], facts).shown, [3, 1]);
  const damaged = { ...at(3, 100), manifest: null, damage: "altered" };
  assertEquals(planned(CLAIMED, [damaged, at(2, 101), at(1, 60)], facts).start, "none");
  const topicId = at(2, 101, { topicId: "one" });
  assertEquals(planned(CLAIMED, [topicId], { ...facts, topicId: "two" }).shown, ["stop"]);
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

Deno.test("a plan takes a checkpoint of the version of the fold before, wherever it stands", () => {
  const facts = { ...FACTS, parameters: { ...parameters, foldVersion: 2 } };
  assertEquals(planned(CLAIMED, [at(2, 60), at(1, 20)], facts), {
    shown: [2, 1],
    start: "offset",
    unusable: [],
    isBehind: false,
  });
  // From the log's start it is folded as that version did.
  const { start } = planRecovery(CLAIMED, [], facts);
  assert(start.kind === "offset" && start.parameters.foldVersion === 1);
  // With another change beside it a person decides.
  const more = { ...parameters, foldVersion: 2, rememberMs: 1000, rememberedMax: 5 };
  assertEquals(planned(CLAIMED, [at(2, 60)], { ...FACTS, parameters: more }).shown, ["stop"]);
  assertEquals(planRecovery(CLAIMED, [], { ...FACTS, parameters: more }).start.kind, "none");
  assertEquals(planned(CLAIMED, [at(2, 100)], { ...FACTS, parameters: more }).shown, [2]);
});

Deno.test("a plan takes a checkpoint only for what was committed under its own fold parameters", () => {
  const newer = { ...parameters, foldVersion: 2 };
  const facts = { ...FACTS, parameters: newer };
  const listed = [at(3, 80, { parameters: newer }), at(2, 60), at(1, 20)];
  const claimed = (raisedAt: number | null): ClaimedPartition => ({
    ...CLAIMED,
    committed: { ...CLAIMED.committed, parametersHash: foldParametersHash(newer), raisedAt },
  });
  // It is known where the newer version began: those before it lead there.
  assertEquals(planned(claimed(60), listed, facts), {
    shown: [3, 2, 1],
    start: "offset",
    unusable: [],
    isBehind: false,
  });
  const { start } = planRecovery(claimed(60), [], facts);
  assert(start.kind === "offset" && start.parameters.foldVersion === 1);
  // One behind that is of another life of the log, and where it is not known none is taken.
  assertEquals(planned(claimed(40), listed, facts).unusable, [2]);
  assertEquals(planned(claimed(null), listed, facts).unusable, [2, 1]);
  // Whoever published the newer one was overtaken before anything was committed under it.
  const { shown, unusable } = planned(CLAIMED, listed, facts);
  assertEquals([shown, unusable], [[2, 1], [3]]);
  // Exactly at the claim nothing is folded under the parameters of either.
  const there = [at(2, 100, { parameters: newer }), at(1, 100)];
  assertEquals(planned(CLAIMED, there, facts).shown, [2, 1]);
});
