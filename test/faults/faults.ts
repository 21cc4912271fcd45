// Real faults under load, and the verdict: kill -9 of the job at random moments and shortly after its start,
// kill -9 of the broker, SIGSTOP for longer than a session, SIGTERM, jumps of the job's wall clock, and a storm
// of rebalances.
//
//   deno task faults [--kills=20] [--broker-kills=2] [--pauses=1] [--stops=2] [--clock-jumps=4] [--storm]
//     [--broker-version=4.1.0] [--seed=<n>]

import { commandLine } from "../../tools/kit/command_line.ts";
import { newSeed } from "../../tools/kit/random.ts";
import { KAFKA_VERSION } from "../../tools/kafka/libraries.ts";
import { checkpointUnderWay } from "../system/evidence.ts";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Scene, sleep, until } from "./scene.ts";
import { storm } from "./storm.ts";
import { detailLine, isGood, type Verdict, verdictLine } from "./verdict.ts";
import { WallClock, whyNoJumps } from "./wall_clock.ts";

export interface FaultOptions {
  /** kill -9 of the job: every third one within the first moments of its life, when it restores. */
  readonly kills: number;
  /** kill -9 of the broker, and its restart. */
  readonly brokerKills: number;
  /** SIGSTOP of the job for longer than its session lasts, while another stands by; then SIGCONT. */
  readonly pauses: number;
  /** SIGTERM while batches are being folded. */
  readonly stops: number;
  /** Jumps of the wall clock of the job's processes, forwards and backwards, by a minute or by weeks. */
  readonly clockJumps: number;
  /** Rebalances, one every three seconds: a second process of the group joins or leaves. */
  readonly rebalances: number;
  /** Of Apache Kafka, such as 2.8.2. */
  readonly brokerVersion?: string;
  /** Between two thousand records of the load; by default a run keeps the job busy. */
  readonly loadPauseMs?: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

/** What the chance of the run made of the faults. */
export interface FaultMoments {
  /** Kills that found a checkpoint under way. */
  insideCheckpoint: number;
  /** Kills of a job that was not ready. */
  beforeReady: number;
  /** By how many seconds the wall clock jumped. */
  jumps: number[];
}

const ALIVE_MS_MAX = 1500;
const EARLY_MS_MAX = 400;
/** Between what a process reads on its clock and what it was set to. */
const CLOCK_ERROR_MS = 10_000;
/** Jumps of the wall clock: a correction, summer time, a wrong zone, a clock without a battery. */
const JUMPS_S = [60, 3600, 11 * 3600, 40 * 86_400];
/** Kills per length of the pauses of the load: a long run has as many inputs as a short one can read. */
const KILLS_AT_FULL_LOAD = 20;

/** Runs the job under load with all the faults, then compares everything that it left. */
export async function faultRun(
  options: FaultOptions,
): Promise<{ verdict: Verdict; moments: FaultMoments }> {
  const { kills, brokerKills, pauses, stops, clockJumps, rebalances, brokerVersion, seed, log } = {
    log: () => {},
    ...options,
  };
  const moments: FaultMoments = { insideCheckpoint: 0, beforeReady: 0, jumps: [] };
  const faults = kills + 5 * (brokerKills + pauses) + stops + clockJumps + rebalances;
  const { loadPauseMs = 15 * Math.max(1, faults / KILLS_AT_FULL_LOAD) } = options;
  const clock = clockJumps > 0 ? await WallClock.open() : null;
  const verdict = await Scene.run(
    {
      seed,
      loadPauseMs,
      env: clock?.env ?? {},
      log,
      ...(brokerVersion ? { brokerVersion } : {}),
    },
    async (scene) => {
      const order = [
        ...Array.from({ length: kills }, (_, i) => () => kill(scene, i + 1, moments)),
        ...Array.from({ length: brokerKills }, (_, i) => () => killBroker(scene, i + 1)),
        ...Array.from({ length: stops }, (_, i) => () => stop(scene, i + 1)),
        ...Array.from({ length: pauses }, (_, i) => () => pause(scene, i + 1)),
        ...Array.from({ length: clockJumps }, (_, i) => () => jump(scene, i, clock!, moments)),
      ];
      // Faults of all kinds follow each other in any order.
      for (let i = order.length - 1; i > 0; i--) {
        const k = scene.random.below(i + 1);
        [order[i], order[k]] = [order[k]!, order[i]!];
      }
      for (const fault of order) await fault();
      if (rebalances > 0) await storm(scene, rebalances);
    },
  ).finally(() => clock?.remove());
  return { verdict, moments };
}

function alive({ random }: Scene): Promise<unknown> {
  return sleep(200 + random.below(ALIVE_MS_MAX));
}

async function kill(scene: Scene, n: number, moments: FaultMoments): Promise<void> {
  const { service } = scene;
  if (n % 3 === 0) await sleep(scene.random.below(EARLY_MS_MAX));
  else {
    // On a busy machine all kills would come before it is ready otherwise.
    await waitReady(service);
    await alive(scene);
  }
  const ready = await fetch(`${service.url}/readyz`).then((r) => r.text().then(() => r.ok));
  await service.kill();
  if (!ready) moments.beforeReady++;
  if (await checkpointUnderWay(service.folder)) moments.insideCheckpoint++;
  scene.log(`kill ${n} of the job${ready ? "" : ", before it was ready"}`);
  scene.service = await scene.start(service.folder);
}

async function killBroker(scene: Scene, n: number): Promise<void> {
  await alive(scene);
  await scene.broker.kill();
  scene.log(`kill ${n} of the broker`);
  await sleep(scene.random.below(2000));
  await scene.broker.restart();
  await waitReady(scene.service);
}

/** It finishes what it reads, commits, and exits 0. */
async function stop(scene: Scene, n: number): Promise<void> {
  await waitReady(scene.service);
  await alive(scene);
  await stopInGoodOrder(scene.service);
  scene.log(`stop ${n} of the job`);
  scene.service = await scene.start(scene.service.folder);
}

async function pause(scene: Scene, n: number): Promise<void> {
  await waitReady(scene.service);
  const zombie = scene.service;
  const standing = await scene.start();
  await alive(scene);
  zombie.signal("SIGSTOP");
  scene.log(`pause ${n} of the job`);
  await waitReady(standing);
  await alive(scene);
  zombie.signal("SIGCONT");
  await alive(scene);
  // The one that woke up stands by now.
  await zombie.kill();
  scene.service = standing;
}

/** Every other jump is back. The next fault comes when the job has seen it. */
async function jump(
  scene: Scene,
  n: number,
  clock: WallClock,
  { jumps }: FaultMoments,
): Promise<void> {
  await waitReady(scene.service);
  const seconds = JUMPS_S[scene.random.below(JUMPS_S.length)]! * (n % 2 === 0 ? 1 : -1);
  await clock.set(clock.ahead + seconds);
  jumps.push(seconds);
  scene.log(`the wall clock jumps by ${seconds} s, and is ${clock.ahead} s ahead`);
  await until(
    "a checkpoint with the time to which the clock jumped",
    () => isCutBy(clock, scene.service),
  );
  await alive(scene);
}

/** Whether the newest checkpoint of a partition has about the time that the job's clock is set to. */
async function isCutBy(clock: WallClock, { url }: Service): Promise<boolean> {
  const answer = await fetch(`${url}/checkpoints`);
  const { checkpoints } = await answer.json() as {
    checkpoints: { sequence: number; cutAt?: number }[];
  };
  const newest = checkpoints.toSorted((a, b) => b.sequence - a.sequence)[0];
  const now = Date.now() + 1000 * clock.ahead;
  return newest?.cutAt !== undefined && Math.abs(newest.cutAt - now) < CLOCK_ERROR_MS;
}

if (import.meta.main) {
  const values = commandLine("faults", {
    "kills": { type: "string", default: "20" },
    "broker-kills": { type: "string", default: "2" },
    "pauses": { type: "string", default: "1" },
    "stops": { type: "string", default: "2" },
    "clock-jumps": { type: "string", default: "4" },
    "storm": { type: "boolean", default: false },
    "broker-version": { type: "string", default: KAFKA_VERSION },
    "seed": { type: "string" },
  });
  const seed = Number(values.seed ?? newSeed());
  const noJumps = whyNoJumps();
  if (noJumps) console.log(`No jumps of the wall clock: it ${noJumps}`);
  console.log(`Apache Kafka ${values["broker-version"]}, seed ${seed}`);
  const { verdict, moments } = await faultRun({
    kills: Number(values.kills),
    brokerKills: Number(values["broker-kills"]),
    pauses: Number(values.pauses),
    stops: Number(values.stops),
    clockJumps: noJumps ? 0 : Number(values["clock-jumps"]),
    rebalances: values.storm ? 20 : 0,
    brokerVersion: values["broker-version"],
    seed,
    log: console.log,
  });
  console.log(
    `${moments.insideCheckpoint} kills inside a checkpoint, ${moments.beforeReady} before it was ready, ${moments.jumps.length} jumps of the wall clock`,
  );
  console.log(detailLine(verdict));
  for (const difference of verdict.differences) console.log(difference);
  console.log(verdictLine(verdict));
  Deno.exit(isGood(verdict) ? 0 : 1);
}
