// Whether all is well: one sentence, for people.

import {
  type Finding,
  type JobStatus,
  levelOf,
  type PartitionStatus,
  type Verdict,
} from "./status.ts";

/** A recovery is worth a look for so long. */
const RECENT_MS = 300_000;
/** Behind by more than so many seconds at the present rate, or by so many records while nothing is folded. */
const BEHIND_SECONDS = 10;
const BEHIND_RECORDS = 1000;

/** What of a status the verdict depends on. */
export type Facts =
  & Pick<
    JobStatus,
    "at" | "cluster" | "conditions" | "flow" | "lag" | "rates" | "recoveries" | "standsBy" | "state"
  >
  & {
    readonly failure: string | null;
    readonly partitions: readonly Pick<
      PartitionStatus,
      "partition" | "isReady" | "conservation" | "checkpointFailures"
    >[];
    /** By partition: why its last checkpoint was not taken. */
    readonly checkpointFailures: ReadonlyMap<number, string>;
    /** Partitions of the transaction topic. */
    readonly partitionCount: number;
  };

/** All that is worth a look, the worst first. */
export function verdictOf(facts: Facts): Verdict {
  const found = [
    ...ofJob(facts),
    ...ofConservation(facts),
    ...ofConditions(facts),
    ...ofCheckpoints(facts),
    ...ofFlow(facts),
    ...ofRecoveries(facts),
  ];
  const findings = [
    ...found.filter(({ level }) => level === "broken"),
    ...found.filter(({ level }) => level === "warning"),
  ];
  const [worst] = findings;
  return {
    level: worst?.level ?? "ok",
    sentence: worst?.text ?? wellSentence(facts),
    findings,
  };
}

function wellSentence({ standsBy, cluster }: Facts): string {
  if (cluster) {
    const { processes, partitions } = cluster;
    const here = processes.find(({ isHere }) => isHere)?.partitions ?? 0;
    const others = processes.length === 1
      ? "no other process shares them"
      : `${processes.length} processes share them`;
    return `All is well in this process, which has ${here} of ${partitions} partitions: ` +
      `they are ready, and the counts agree; ${others}`;
  }
  if (!standsBy) return "All is well: every partition is ready, and the counts agree";
  return standsBy.active === null
    ? "All is well: this process stands by for the active one"
    : `All is well: this process stands by for ${standsBy.active}`;
}

function ofJob({ failure, state, partitions, partitionCount }: Facts): Finding[] {
  if (failure !== null) {
    return [{ level: "broken", what: "failed", text: `The job has failed: ${failure}` }];
  }
  if (state === "stopping") {
    return [{ level: "warning", what: "stopping", text: "The job stops" }];
  }
  if (state !== "recovering") return [];
  const ready = partitions.filter(({ isReady }) => isReady).length;
  const text = ready === 0
    ? "Partitions are being recovered: look-ups wait"
    : `${partitionCount - ready} of ${partitionCount} partitions are being recovered: ` +
      "look-ups of their items wait";
  return [{ level: "warning", what: "recovering", text }];
}

function ofConservation({ partitions }: Facts): Finding[] {
  return partitions.flatMap(({ conservation: { broken } }): Finding[] =>
    broken ? [{ level: "broken", what: "conservation", text: broken.text }] : []
  );
}

function ofConditions({ conditions }: Facts): Finding[] {
  // Conservation has findings of its own, one per partition.
  return conditions.filter(({ what }) => what !== "conservation")
    .map(({ what, reason, blocks }) => ({
      level: levelOf(blocks),
      what,
      text: sentenceOf(reason),
    }));
}

function sentenceOf(reason: string): string {
  return reason.charAt(0).toUpperCase() + reason.slice(1);
}

function ofCheckpoints({ checkpointFailures }: Facts): Finding[] {
  return [...checkpointFailures].map(([partition, reason]) => ({
    level: "warning",
    what: "checkpoint",
    text: `The last checkpoint of partition ${partition} failed: ${reason}`,
  }));
}

function ofFlow({ flow, lag, rates, state }: Facts): Finding[] {
  const findings: Finding[] = [];
  if (state !== "running") return findings;
  const rate = rates.recordsIn ?? 0;
  if (lag !== null && lag > BEHIND_RECORDS && lag > BEHIND_SECONDS * rate) {
    const text = rate > 0
      ? "The job is behind the end of its log"
      : "Records wait in the log, and none is folded";
    findings.push({ level: "warning", what: "lag", text });
  }
  if (flow.some(({ pressure }) => pressure === "HIGH")) {
    const text = "Folding waits for commits most of the time (back pressure)";
    findings.push({ level: "warning", what: "back_pressure", text });
  }
  return findings;
}

function ofRecoveries({ recoveries, at }: Facts): Finding[] {
  const recent = recoveries.find((recovery) => at - recovery.at < RECENT_MS);
  if (!recent) return [];
  const who = recent.worker === "queries" ? "The queries" : `Worker ${recent.worker}`;
  const text = `${who} recovered within the last five minutes: ${recent.cause}`;
  return [{ level: "warning", what: "recovery", text }];
}
