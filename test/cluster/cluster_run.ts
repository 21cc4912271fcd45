// Many faults of processes that share partitions, and the verdict: kill -9 of processes, joins and leaves, pauses for
// longer than a session, kill -9 of the broker; while clients ask through all processes.
//
//   deno task cluster [--processes=3] [--kills=100] [--leaves=20] [--pauses=5] [--broker-kills=5] [--store-kills=5]
//     [--seed=<n>]
//
// With --store-kills the checkpoints are in one store, the server denokv, which is killed so often.

import { parseArgs } from "node:util";
import { newSeed } from "../../tools/kit/random.ts";
import { Scene, SESSION_MS, sleep } from "../faults/scene.ts";
import { detailLine, isGood, type Verdict, verdictLine } from "../faults/verdict.ts";
import { SharedStore } from "./shared_store.ts";
import { Asker } from "./asker.ts";
import { Processes, SHARED } from "./processes.ts";

export interface ClusterFaults {
  readonly processes: number;
  /** kill -9 of a process, and its restart in its folder. */
  readonly kills: number;
  /** One leaves in good order; it joins again. */
  readonly leaves: number;
  /** SIGSTOP of a process for longer than its session lasts; then SIGCONT. */
  readonly pauses: number;
  /** kill -9 of the broker, and its restart. */
  readonly brokerKills: number;
  /** kill -9 of the server that has the checkpoints of all, and its restart; 0 = each process has a file. */
  readonly storeKills: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

export interface ClusterVerdict {
  readonly verdict: Verdict;
  readonly answers: number;
  /** Answers that were older than one that had come before they were asked for. */
  readonly older: readonly string[];
}

/** Records come a thousand at a time, so far apart: a long run has as many as can be read in the end. */
const PAUSE_MS_MIN = 200;
const FAULTS_AT_FULL_LOAD = 10;
const ALIVE_MS_MAX = 2000;

/** Does all of it in an order that the seed decides. */
export async function clusterRun(options: ClusterFaults): Promise<ClusterVerdict> {
  const { kills, leaves, pauses, brokerKills, storeKills } = options;
  const { processes: count, seed, log = () => {} } = options;
  const faults = kills + leaves + pauses + brokerKills + storeKills;
  const store = storeKills > 0 ? await SharedStore.start() : null;
  const loadPauseMs = PAUSE_MS_MIN * Math.max(1, faults / FAULTS_AT_FULL_LOAD);
  let answered = { answers: 0, older: [] as readonly string[] };
  const scene = {
    seed,
    flags: { ...SHARED, ...store?.flags },
    loadPauseMs,
    log,
    ...store?.options,
  };
  const verdict = await Scene.run(scene, async (scene) => {
    const processes = new Processes(scene);
    for (let n = 1; n < count; n++) await processes.join();
    await processes.settled();
    const asker = await Asker.start(scene.broker.bootstrap, () => processes.running);
    const { random } = scene;
    const some = () => processes.running[random.below(processes.running.length)]!;
    const alive = () => sleep(random.below(ALIVE_MS_MAX));
    const deeds: Record<string, () => Promise<unknown>> = {
      kill: async () => {
        const victim = some();
        await processes.kill(victim);
        await alive();
        await processes.join(victim.folder);
      },
      leave: async () => {
        const leaving = some();
        await processes.leave(leaving);
        await alive();
        await processes.join(leaving.folder);
      },
      pause: async () => {
        const zombie = some();
        zombie.signal("SIGSTOP");
        await sleep(SESSION_MS + random.below(2 * SESSION_MS));
        zombie.signal("SIGCONT");
      },
      "store kill": async () => {
        await store!.server.kill();
        await alive();
        await store!.server.restart();
      },
      "broker kill": async () => {
        await scene.broker.kill();
        await alive();
        await scene.broker.restart();
      },
    };
    const order = [
      ...Array.from({ length: kills }, () => "kill"),
      ...Array.from({ length: leaves }, () => "leave"),
      ...Array.from({ length: pauses }, () => "pause"),
      ...Array.from({ length: brokerKills }, () => "broker kill"),
      ...Array.from({ length: storeKills }, () => "store kill"),
    ];
    for (let i = order.length - 1; i > 0; i--) {
      const k = random.below(i + 1);
      [order[i], order[k]] = [order[k]!, order[i]!];
    }
    try {
      for (const [n, deed] of order.entries()) {
        log(`${n + 1} of ${order.length}: ${deed}`);
        await deeds[deed]!();
        // Every other fault comes while the group still settles the one before.
        if (random.below(2) === 0) await processes.settled();
        await alive();
      }
      await processes.settled();
      answered = await asker.stop();
      await processes.stopOthers();
    } catch (error) {
      await asker.stop().catch(() => {});
      for (const service of processes.running) log(service.log());
      await processes.end();
      throw error;
    }
  }).finally(() => store?.remove());
  return { verdict, ...answered };
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      "processes": { type: "string", default: "3" },
      "kills": { type: "string", default: "100" },
      "leaves": { type: "string", default: "20" },
      "pauses": { type: "string", default: "5" },
      "broker-kills": { type: "string", default: "5" },
      "store-kills": { type: "string", default: "0" },
      "seed": { type: "string" },
    },
  });
  const seed = Number(values.seed ?? newSeed());
  console.log(`seed ${seed}`);
  const { verdict, answers, older } = await clusterRun({
    processes: Number(values.processes),
    kills: Number(values.kills),
    leaves: Number(values.leaves),
    pauses: Number(values.pauses),
    brokerKills: Number(values["broker-kills"]),
    storeKills: Number(values["store-kills"]),
    seed,
    log: console.log,
  });
  for (const difference of [...verdict.differences, ...older]) console.log(difference);
  console.log(detailLine(verdict));
  console.log(`${answers} answers, ${older.length} of them older than one before`);
  console.log(verdictLine(verdict));
  Deno.exit(isGood(verdict) && older.length === 0 ? 0 : 1);
}
