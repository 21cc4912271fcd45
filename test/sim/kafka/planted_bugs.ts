// Bugs in how a group divides its partitions, planted to see whether the simulator finds them. Each changes a class for
// the time of one run; none is in src.

import { Committer } from "../../../src/engine/fold_and_commit.ts";
import { PartitionProcessor } from "../../../src/engine/partition_processor.ts";
import { ActiveGeneration, type Share } from "../../../src/kafka/active_generation.ts";
import { isActive } from "../../../src/kafka/division.ts";
import { Membership } from "../../../src/kafka/membership.ts";
import { QueryTopic } from "../../../src/kafka/query_topic.ts";
import { SharedDivision } from "../../../src/kafka/sharing/shared_division.ts";
import { TakeOver } from "../../../src/kafka/take_over.ts";
import { TransactionalProducer } from "../../../src/kafka/transactional_producer.ts";
import { CLUSTER_FAULTS, KAFKA_CLUSTER_FAULTS, type Plan } from "../plan.ts";
import { type PlantedBug, replace } from "../planted_bugs.ts";
import type { ChangePlan } from "../sim.ts";
import { Group } from "./group.ts";
import { Transactions } from "./transactions.ts";

/** A bug, and the seed from which on it is looked for: seeds take time, and any of them may do. */
export interface PlantedKafkaBug {
  readonly plant: () => PlantedBug;
  readonly from: number;
  /** Whether a run may show it at all. */
  readonly where: (plan: Plan) => boolean;
  /** Changes the plans of its runs. */
  readonly plan: ChangePlan;
}

const isShared = ({ kafka }: Plan) => kafka.shared;

const patched = (
  patch: () => () => void,
  from = 1,
  where: PlantedKafkaBug["where"] = isShared,
  plan: ChangePlan = (own) => own,
): PlantedKafkaBug => ({
  plant: () => ({ patch }),
  from,
  where,
  plan,
});

/** Partitions go from worker to worker under a session that goes on, which those of a group that shares do not. */
const hasMoves = ({ kafka, rates, workers, partitions }: Plan) =>
  !kafka.shared && (rates["partition moved"] ?? 0) > 1 && workers > 1 && partitions > 1;

/** Longer than a process waits for its sessions, with the sessions below. */
const HANGS_MS = 1000;

const NO_CLUSTER_FAULTS = Object.fromEntries(
  Object.keys({ ...CLUSTER_FAULTS, ...KAFKA_CLUSTER_FAULTS }).map((kind) => [kind, 0]),
);

/**
 * Long runs with short sessions, whose processes are paused again and again: one of 6 to 40 of them shows what processes
 * that were replaced do wrong, and one of hundreds of seeds as they are. The search stays short when a change of the
 * engine shifts what seeds do.
 */
const manyPauses: ChangePlan = (plan) => ({
  ...plan,
  clusterFaultMs: 600,
  durationMs: 10_000,
  rates: {
    "kv answer late": 0.02,
    "answer late": 0.02,
    "markers late": 0.1,
    ...NO_CLUSTER_FAULTS,
    "pause": 4,
    "zombie": 1,
    "stop and restart": 2,
    "partition moved": 1,
    "coordinator moves": 1,
  },
  kafka: { ...plan.kafka, sessionTimeoutMs: 800 },
});

export const PLANTED_KAFKA_BUGS: Readonly<Record<string, PlantedKafkaBug>> = {
  "a partition that comes to a living producer begins with sequence 0": patched(
    () => replace(TransactionalProducer.prototype, "nextSequence", () => () => 0),
    7652,
    hasMoves,
  ),

  "two workers of a process have a partition": patched(() =>
    replace(
      ActiveGeneration.prototype,
      "partitionsOf",
      (partitionsOf) =>
        function (this: ActiveGeneration, worker) {
          const own = partitionsOf.call(this, worker);
          const [other] = [...this.share?.workers ?? []].filter(([, of]) => of === worker - 1);
          return own && other ? [...own, other[0]] : own;
        },
    )
  ),

  "two processes have a partition": patched(() =>
    replace(
      SharedDivision.prototype,
      "begin",
      (begin) =>
        async function (this: SharedDivision, joined, client) {
          const part = await begin.call(this, joined, client);
          if (!isActive(part) || !part.share) return part;
          const workers = new Map([...part.share.workers, [0, 0]]);
          return new ActiveGeneration(part.memberId, part.generation, { ...part.share, workers });
        },
    )
  ),

  "a commit of a generation that is over counts": patched(
    () => {
      // Either of the two alone is enough to keep a process out that was replaced.
      const undo = [
        replace(Group.prototype, "refusalOfCommit", () => () => 0),
        replace(TakeOver.prototype, "clear", () => () => Promise.resolve()),
      ];
      return () => undo.forEach((each) => each());
    },
    5190,
    isShared,
    manyPauses,
  ),

  "a claim does not wait for transactions that are open": patched(
    () => replace(Transactions.prototype, "isUnstable", () => () => false),
    275,
  ),

  "an answer does not wait for a heartbeat": patched(
    () =>
      replace(
        Membership.prototype,
        "confirmed",
        (confirmed) =>
          function (this: Membership, signal) {
            return this.active ? Promise.resolve(this.active) : confirmed.call(this, signal);
          },
      ),
    5100,
    isShared,
    manyPauses,
  ),

  "what is confirmed of a generation counts for what was read in the one before": patched(
    () =>
      replace(
        Membership.prototype,
        "confirmed",
        (confirmed) =>
          async function (this: Membership, signal) {
            const before = this.active;
            const found = await confirmed.call(this, signal);
            return before ?? found;
          },
      ),
    6120,
    isShared,
    manyPauses,
  ),

  "a partition answers before it is claimed in the generation": patched(
    () => {
      const undo = [
        replace(
          ActiveGeneration.prototype,
          "claimedBy",
          () =>
            function (this: ActiveGeneration, partition: number) {
              return this.share?.workers.get(partition) ?? null;
            },
        ),
        // A worker that hangs over the end of its generation has what it folded before.
        replace(
          Committer.prototype,
          "commit",
          (commit) =>
            async function (this: Committer, signal) {
              if (this.session.ending.aborted) await this.clock.sleep(HANGS_MS);
              await commit.call(this, signal);
            },
        ),
      ];
      return () => undo.forEach((each) => each());
    },
    86,
    isShared,
    // One that computes for longer than its session lasts is out of its group again and again.
    (plan) => ({ ...manyPauses(plan), slownessMs: 0.5 }),
  ),

  "a process goes by the table of the generation before": patched(() => {
    const before = new WeakMap<SharedDivision, Share>();
    return replace(
      SharedDivision.prototype,
      "begin",
      (begin) =>
        async function (this: SharedDivision, joined, client) {
          const part = await begin.call(this, joined, client);
          if (!isActive(part) || !part.share) return part;
          const { workers, queries } = before.get(this) ?? part.share;
          before.set(this, part.share);
          return new ActiveGeneration(part.memberId, part.generation, {
            ...part.share,
            workers,
            queries,
          });
        },
    );
  }),

  "the first offsets of a group are committed by two": patched(() =>
    replace(
      SharedDivision.prototype,
      "begin",
      (begin) =>
        function (this: SharedDivision, joined, client) {
          return begin.call(this, { ...joined, leaderId: joined.memberId }, client);
        },
    )
  ),

  "the id of the topic of queries is not checked at the start": patched(
    () => replace(QueryTopic.prototype, "check", () => () => Promise.resolve()),
    38,
    () => true,
  ),

  "a checkpoint that ends behind its claim takes the place of the next owner's": {
    // Neither the owner nor the head of the store they share is looked at.
    plant: () => ({ kv: { ignoresChecks: true } }),
    from: 1,
    where: isShared,
    plan: (plan) => {
      const settings = { ...plan.settings, checkpointIntervalMs: 300, checkpointTimeoutMs: 5000 };
      return { ...manyPauses(plan), sharedStore: true, settings };
    },
  },

  "an instance claims to stand where the next claim does": patched(
    () => replace(PartitionProcessor.prototype, "standsAt", () => () => true),
  ),
};
