// One run: a seed decides everything; what comes out is whether a promise was broken.

import { checkAll, visibleEnd } from "./final_checks.ts";
import { Clients } from "./clients.ts";
import { Cluster } from "./cluster.ts";
import { EngineLog } from "./engine_log.ts";
import type { MakeKafka } from "./kafka_port.ts";
import type { FaultKind } from "./plan.ts";
import type { PlantedBug } from "./planted_bugs.ts";
import { playQueriesAnew } from "./queries_anew.ts";
import { type ChangePlan, Sim, type Violation } from "./sim.ts";
import { World } from "./world.ts";

/** Virtual time within which a healed cluster must have drained the log. */
const DRAIN_MAX_MS = 120_000;
/** A run that takes more events goes round in circles. */
const EVENTS_MAX = 400_000;

export interface RunOptions {
  /** Takes the trace; null = none is kept. */
  readonly lines?: string[] | null;
  readonly bug?: PlantedBug | null;
  /** Makes it a run on src/kafka. */
  readonly kafka?: MakeKafka | null;
  /** Changes what the seed decided; the seed's own plan by default. */
  readonly plan?: ChangePlan;
}

export interface RunResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly records: number;
  readonly commits: number;
  readonly recoveries: number;
  /** Processes that had claimed partitions in one generation, the most of them; 0 where they do not share any. */
  readonly activeMax: number;
  readonly events: number;
  /** Virtual time that went by, in ms. */
  readonly virtualMs: number;
}

/** Runs one seed. The same seed gives the same run, event by event. */
export async function run(
  seed: number,
  { lines = null, bug = null, kafka = null, plan = (own) => own }: RunOptions = {},
): Promise<RunResult> {
  const sim = new Sim(seed, lines, kafka !== null, plan);
  sim.trace("plan", () => JSON.stringify(sim.plan));
  const world = new World(sim, bug, kafka);
  const clients = new Clients(sim, world);
  const undo = bug?.patch?.();
  EngineLog.attach(world);
  let ended = false;
  const script = play(sim, world, clients).catch((error) => {
    sim.violate("liveness", `The simulation failed: ${(error as Error).stack}`);
  }).finally(() => ended = true);
  try {
    while (!ended && sim.violations.length === 0) {
      if (!await sim.scheduler.step() && !ended) {
        sim.violate("liveness", "nothing will happen any more, and the end is not reached");
      }
      if (sim.scheduler.events > EVENTS_MAX) sim.violate("liveness", "it goes round in circles");
    }
    if (ended) await script;
  } finally {
    for (const member of world.members) member.process.kill();
    EngineLog.detach();
    undo?.();
  }
  return {
    seed,
    violations: sim.violations,
    faults: sim.faults,
    records: world.auditor.partitions.reduce((n, p) => n + p.outcomes.size, 0),
    commits: world.auditor.commits,
    recoveries: world.auditor.recoveries,
    activeMax: sim.activeMax,
    events: sim.scheduler.events,
    virtualMs: sim.now,
  };
}

/** Faults while clients write; then all is healed, one process drains the log and stops. */
async function play(sim: Sim, world: World, clients: Clients): Promise<void> {
  const cluster = new Cluster(sim, world);
  cluster.assign();
  const anew = sim.chance(sim.plan.rates["input created anew"] ?? 0);
  const cut = sim.chance(sim.plan.rates["input cut"] ?? 0);
  if (anew) {
    sim.scheduler.after(sim.between(0, sim.plan.durationMs), () => {
      if (!sim.healed && world.mayCreateAnew) world.createAnew();
    });
  } else if (cut) {
    // What becomes of those who live then takes a while.
    sim.scheduler.after(sim.between(0, sim.plan.durationMs / 2), () => {
      // Recovery may have read further than what is committed: a log may then end before what was fetched of it.
      if (sim.chance(0.6)) world.cutsWhenOwned = true;
      else if (!sim.healed && world.mayCut) world.cut();
    });
  }
  const { raisedAtMs } = sim.retries;
  if (raisedAtMs !== null) sim.scheduler.after(raisedAtMs, () => cluster.upgrade());
  await cluster.torment(() => clients.done);
  sim.trace("world", "is healed");
  sim.healed = true;
  cluster.endAll();
  await until(
    cluster,
    "all have ended",
    () => world.liveMembers.length === 0 && !clients.isOpen,
    sim,
  );
  if (anew && world.mayCreateAnew) world.createAnew();
  else if (cut && world.mayCut) world.cut();
  const last = cluster.startLast();
  if (world.createdAnew) {
    return await until(
      cluster,
      "the last process stops, as its topic was created anew, or cut",
      () => last.ended,
      sim,
    );
  }
  // A group's generations end as long as sessions of processes that are gone do.
  if (world.kafka) await cluster.sleep(2 * sim.plan.kafka.sessionTimeoutMs);
  await until(cluster, "the log is drained", () =>
    last.ended ||
    last.isRecovered &&
      world.auditor.partitions.every((audit, p) => audit.offset >= visibleEnd(world, p)), sim);
  await cluster.sleep(sim.between(0, 2000));
  await until(
    cluster,
    "all owners are ready",
    () =>
      last.ended ||
      last.isRecovered && [...last.owners.values()].every((owner) => owner.isReady),
    sim,
  );
  last.stop();
  await until(cluster, "the last process stops", () => last.ended, sim);
  await checkAll(world, clients, last);
  await playQueriesAnew(sim, world, cluster, last.machine);
}

async function until(
  cluster: Cluster,
  what: string,
  condition: () => boolean,
  sim: Sim,
): Promise<void> {
  const deadline = sim.now + DRAIN_MAX_MS;
  while (!condition()) {
    if (sim.now > deadline) throw new Error(`It never came to it: ${what}`);
    await cluster.sleep(50);
  }
  sim.trace("world", what);
}
