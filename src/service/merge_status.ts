// One status made of those of several processes: sums, lists with the process that each entry is of, and the worst of all.

import { addDurations, type DurationCounts, NO_DURATIONS } from "../engine/mod.ts";
import { latencyOf } from "./quantiles.ts";
import {
  type Finding,
  type FlowStep,
  type JobState,
  type JobStatus,
  type Level,
  type PartitionStatus,
  type Pressure,
  type SeriesPoint,
  type StatusHistory,
  type Totals,
  type Verdict,
} from "./status.ts";

/** Recoveries that are shown. */
const RECOVERIES_MAX = 20;
const PRESSURES: readonly Pressure[] = ["OK", "LOW", "HIGH"];

/** What a process says of itself; nothing, and why, when it does not answer. */
export interface ProcessReport {
  /** host:port; null = it says none. */
  readonly address: string | null;
  readonly status: JobStatus | null;
  readonly point: SeriesPoint | null;
  readonly minute: { readonly commits: DurationCounts; readonly queries: DurationCounts } | null;
  readonly why: string | null;
}

interface Answered {
  readonly process: string;
  readonly status: JobStatus;
}

/**
 * The status of all processes that answer.
 *
 * @param self index of the one that is asked: what cannot be of several is its own
 */
export function mergeStatuses(reports: readonly ProcessReport[], self: number): JobStatus {
  const own = reports[self]!.status!;
  const answered = reports.flatMap(({ address, status }, n): Answered[] =>
    status ? [{ process: address ?? `process ${n + 1}`, status }] : []
  );
  const all = answered.map(({ status }) => status);
  const sum = (of: (status: JobStatus) => number) => all.reduce((n, status) => n + of(status), 0);
  const known = (of: (status: JobStatus) => number | null) => sumOfKnown(all.map(of));
  const durations = (of: (status: JobStatus) => DurationCounts) =>
    all.map(of).reduce(addDurations, NO_DURATIONS);
  const minute = (of: (minute: NonNullable<ProcessReport["minute"]>) => DurationCounts) =>
    latencyOf(
      reports.flatMap((r) => r.minute ? [of(r.minute)] : []).reduce(addDurations, NO_DURATIONS),
    );
  const partitions = mergePartitions(answered);
  const silent = reports.filter(({ status }) => status === null);
  const state = stateOf(own, all);
  return {
    ...own,
    state,
    cluster: own.cluster && {
      ...own.cluster,
      processes: own.cluster.processes.map((process, n) => ({
        ...process,
        state: reports[n]?.status?.state ?? null,
        why: reports[n]?.why ?? null,
      })),
    },
    isReady: silent.length === 0 && all.every(({ isReady }) => isReady),
    verdict: mergeVerdicts(answered, reports, partitions),
    conditions: answered.flatMap(({ process, status }) =>
      status.conditions.map((condition) => ({ ...condition, process }))
    ),
    conditionStates: all.reduce<Record<string, boolean>>((states, { conditionStates }) => {
      for (const [what, is] of Object.entries(conditionStates)) states[what] = states[what] || is;
      return states;
    }, {}),
    totals: mergeTotals(all.map(({ totals }) => totals)),
    rates: {
      recordsIn: known(({ rates }) => rates.recordsIn),
      recordsOut: known(({ rates }) => rates.recordsOut),
      queries: known(({ rates }) => rates.queries),
    },
    lag: known(({ lag }) => lag),
    items: sum(({ items }) => items),
    openWindows: sum(({ openWindows }) => openWindows),
    memory: { used: sum(({ memory }) => memory.used), max: sum(({ memory }) => memory.max) },
    latency: { commit: minute((m) => m.commits), query: minute((m) => m.queries) },
    durations: {
      commits: durations((s) => s.durations.commits),
      queryCommits: durations((s) => s.durations.queryCommits),
      queries: durations((s) => s.durations.queries),
    },
    flow: mergeFlows(all),
    workers: answered.flatMap(({ process, status }) =>
      status.workers.map((worker) => ({ ...worker, process }))
    ),
    queryWorker: {
      recoveries: sum(({ queryWorker }) => queryWorker.recoveries),
      commitAt: latest(all.map(({ queryWorker }) => queryWorker.commitAt)),
    },
    partitions,
    recoveries: answered.flatMap(({ process, status }) =>
      status.recoveries.map((recovery) => ({ ...recovery, process }))
    ).toSorted((a, b) => b.at - a.at).slice(0, RECOVERIES_MAX),
    disks: answered.flatMap(({ process, status }) =>
      status.disks.map((disk) => ({ ...disk, process }))
    ),
  };
}

/** Of this process as a whole, else of the partitions of all. */
function stateOf(own: JobStatus, all: readonly JobStatus[]): JobState {
  if (own.state === "failed" || own.state === "stopping") return own.state;
  return all.some(({ state }) => state !== "running") ? "recovering" : "running";
}

/** Null = none is known. */
function sumOfKnown(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
}

function latest(times: readonly (number | null)[]): number | null {
  return times.reduce<number | null>(
    (a, b) => a === null ? b : b === null ? a : Math.max(a, b),
    null,
  );
}

/** Each partition once: while one moves, two may still speak of it. */
function mergePartitions(answered: readonly Answered[]): PartitionStatus[] {
  const best = new Map<number, PartitionStatus>();
  const rank = (p: PartitionStatus) => Number(p.worker !== null) + Number(p.isReady);
  for (const { process, status } of answered) {
    for (const partition of status.partitions) {
      const other = best.get(partition.partition);
      const isBetter = !other || rank(partition) > rank(other) ||
        rank(partition) === rank(other) && partition.position > other.position;
      if (isBetter) best.set(partition.partition, { ...partition, process });
    }
  }
  const all = [...best.values()].toSorted((a, b) => a.partition - b.partition);
  const mean = all.reduce((n, { rate }) => n + (rate ?? 0), 0) / Math.max(1, all.length);
  return all.map((partition) => ({
    ...partition,
    skew: partition.rate !== null && mean > 0 ? partition.rate / mean : null,
  }));
}

function mergeTotals(all: readonly Totals[]): Totals {
  const merged: Record<string, number | Record<string, number>> = {};
  for (const totals of all) {
    for (
      const [name, value] of Object.entries(totals) as [string, number | Record<string, number>][]
    ) {
      if (typeof value === "number") merged[name] = (merged[name] as number ?? 0) + value;
      else {
        const sums = (merged[name] ??= {}) as Record<string, number>;
        for (const [reason, n] of Object.entries(value)) sums[reason] = (sums[reason] ?? 0) + n;
      }
    }
  }
  return merged as unknown as Totals;
}

/** The mean of the shares, by workers; the worst pressure. */
function mergeFlows(all: readonly JobStatus[]): FlowStep[] {
  const workers = all.reduce((n, status) => n + status.workers.length, 0);
  return all[0]!.flow.map((step, i) => {
    const mean = (of: (step: FlowStep) => number) =>
      all.reduce((n, { flow, workers: own }) => n + of(flow[i] ?? step) * own.length, 0) /
      Math.max(1, workers);
    const worst = Math.max(...all.map(({ flow }) => PRESSURES.indexOf(flow[i]?.pressure ?? "OK")));
    return {
      step: step.step,
      busy: mean((s) => s.busy),
      idle: mean((s) => s.idle),
      backPressured: mean((s) => s.backPressured),
      pressure: PRESSURES[worst]!,
    };
  });
}

/** What each process found, with its name; and those that do not answer. */
function mergeVerdicts(
  answered: readonly Answered[],
  reports: readonly ProcessReport[],
  partitions: readonly PartitionStatus[],
): Verdict {
  const found = [
    ...answered.flatMap(({ process, status }) =>
      status.verdict.findings.map((finding): Finding => ({
        ...finding,
        text: reports.length === 1 ? finding.text : `${process}: ${finding.text}`,
      }))
    ),
    ...reports.filter(({ status }) => status === null).map(({ address, why }): Finding => ({
      level: "warning",
      what: "process",
      text: `The process at ${address ?? "an unknown address"} does not say how it is: ${why}`,
    })),
  ];
  const findings = (["broken", "warning"] as const).flatMap((level: Exclude<Level, "ok">) =>
    found.filter((finding) => finding.level === level)
  );
  const [worst] = findings;
  const processes = reports.length === 1 ? "one process has" : `${reports.length} processes share`;
  return {
    level: worst?.level ?? "ok",
    sentence: worst?.text ??
      `All is well: ${processes} the ${partitions.length} partitions, which are ready, and the counts agree`,
    findings,
  };
}

/** One point of charts: sums; of latencies the slowest process. Null = nobody has one. */
export function mergePoints(
  reports: readonly { readonly point: SeriesPoint | null }[],
): SeriesPoint | null {
  const points = reports.flatMap(({ point }) => point ? [point] : []);
  const [first] = points;
  if (!first) return null;
  const sum = (of: (p: SeriesPoint) => number) => points.reduce((n, p) => n + of(p), 0);
  const mean = (of: (p: SeriesPoint) => number) => sum(of) / points.length;
  const most = (of: (p: SeriesPoint) => number | null) => latest(points.map(of));
  return {
    at: first.at,
    recordsIn: sum((p) => p.recordsIn),
    recordsOut: sum((p) => p.recordsOut),
    queries: sum((p) => p.queries),
    accepted: sum((p) => p.accepted),
    rejected: sum((p) => p.rejected),
    invalid: sum((p) => p.invalid),
    lag: sumOfKnown(points.map(({ lag }) => lag)),
    items: sum((p) => p.items),
    stateBytes: sum((p) => p.stateBytes),
    busy: mean((p) => p.busy),
    idle: mean((p) => p.idle),
    backPressured: mean((p) => p.backPressured),
    commitP50Ms: most((p) => p.commitP50Ms),
    commitP99Ms: most((p) => p.commitP99Ms),
    queryP50Ms: most((p) => p.queryP50Ms),
    queryP99Ms: most((p) => p.queryP99Ms),
  };
}

/** Points that are equally old go together, for clocks of machines differ; times are those of the first. */
export function mergeHistories(histories: readonly StatusHistory[]): StatusHistory {
  const merge = (all: readonly (readonly SeriesPoint[])[]) =>
    (all[0] ?? []).map((point, i, { length }) =>
      mergePoints([
        { point },
        ...all.slice(1).map((points) => ({ point: points[points.length - (length - i)] ?? null })),
      ])!
    );
  return {
    seconds: merge(histories.map(({ seconds }) => seconds)),
    tens: merge(histories.map(({ tens }) => tens)),
  };
}
