// Many faults of processes that share partitions, and the verdict: kill -9 of processes, joins and leaves, pauses for
// longer than a session, kill -9 of brokers, cut links; while clients ask through all processes.
//
//   deno task cluster [--processes=3] [--kills=100] [--joins=20] [--pauses=5] [--broker-kills=5] [--cut-links=10]
//     [--brokers=3] [--store-kills=5] [--clock-skew=600] [--seed=<n>]
//
// Each process has a network of its own (root needed), unless --cut-links=0. With --store-kills the checkpoints are in
// one store, the server denokv, which is killed so often; else each process has a file. With --clock-skew the wall clocks
// of processes differ by so many seconds, each from the next (libfaketime needed).
//
// test/cluster/cluster_test.ts and networks_test.ts are its short forms.

import { Kafka, logLevel } from "kafkajs";
import { Networks } from "../../tools/kit/networks.ts";
import { commandLine, refuse, usageOf } from "../../tools/kit/command_line.ts";
import { newSeed, Random } from "../../tools/kit/random.ts";
import { type Place, Scene, type SceneOptions, SESSION_MS, sleep } from "../faults/scene.ts";
import { WallClock } from "../faults/wall_clock.ts";
import { until } from "../kafka/until.ts";
import { detailLine, isGood, type Verdict, verdictLine } from "../faults/verdict.ts";
import { SharedStore } from "./shared_store.ts";
import { Asker } from "./asker.ts";
import { Places, Processes, REPLICATED, SHARED } from "./processes.ts";

export interface ClusterFaults {
  readonly processes: number;
  /** kill -9 of a process, and its restart in its folder. */
  readonly kills: number;
  /** One leaves in good order, and joins again. */
  readonly joins: number;
  /** SIGSTOP of a process for longer than its session lasts; then SIGCONT. */
  readonly pauses: number;
  /** kill -9 of a broker, and its restart. */
  readonly brokerKills: number;
  /** A process is cut off from everything, or all from each other; 0 = they have no networks of their own. */
  readonly cutLinks: number;
  /** Of the cluster: with three of them one is killed and the others elect leaders; with one all wait for it. */
  readonly brokers: number;
  /** kill -9 of the server that has the checkpoints of all, and its restart; 0 = each process has a file. */
  readonly storeKills: number;
  /** Seconds by which the wall clocks of processes differ, each from the next. */
  readonly clockSkew: number;
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
  const order = shuffled(options);
  const { brokers, cutLinks, storeKills, clockSkew, seed, log = () => {} } = options;
  const networks = cutLinks > 0 ? await Networks.open() : null;
  const places = networks && new Places(networks);
  const clocks = clockSkew > 0 ? new Clocks(clockSkew, places?.options.place) : null;
  const store = storeKills > 0 ? await SharedStore.start(networks?.host) : null;
  let answered = { answers: 0, older: [] as readonly string[] };
  const scene: SceneOptions = {
    seed,
    flags: { ...SHARED, ...store?.flags },
    loadPauseMs: PAUSE_MS_MIN * Math.max(1, order.length / FAULTS_AT_FULL_LOAD),
    log,
    followers: brokers - 1,
    ...(brokers > 1 ? { brokerProperties: REPLICATED } : {}),
    ...store?.options,
    ...places?.options,
    ...(clocks ? { place: (folder: string) => clocks.place(folder) } : {}),
  };
  const verdict = await Scene.run(scene, async (scene) => {
    const processes = new Processes(scene);
    for (let n = 1; n < options.processes; n++) await processes.join();
    await processes.settled();
    const asker = await Asker.start(scene.broker.bootstrap, () => processes.running);
    const deeds = deedsOf(processes, { networks, places, store });
    const { random } = scene;
    const started = performance.now();
    try {
      for (const [n, deed] of order.entries()) {
        const seconds = Math.round((performance.now() - started) / 1000);
        log(`${n + 1} of ${order.length}: ${deed}, at ${seconds} s, ${asker.answers} answers`);
        await deeds[deed]();
        // Every other fault comes while the group still settles the one before.
        if (random.below(2) === 0) await processes.settled();
        await alive(random);
      }
      await processes.settled();
      answered = await asker.stop();
      await processes.stopOthers();
    } catch (error) {
      await networks?.part(false).catch(() => {});
      await asker.stop().catch(() => {});
      for (const service of processes.running) log(service.log());
      await processes.end();
      throw error;
    }
  }).finally(async () => {
    await store?.remove();
    await networks?.remove();
    await clocks?.remove();
  });
  return { verdict, ...answered };
}

const DEEDS = ["kill", "join", "pause", "broker kill", "cut link", "store kill"] as const;
type Deed = typeof DEEDS[number];

/** As many of each as there are to be, in an order of the seed. */
function shuffled(options: ClusterFaults): Deed[] {
  const { kills, joins, pauses, brokerKills, cutLinks, storeKills } = options;
  const counts = [kills, joins, pauses, brokerKills, cutLinks, storeKills];
  const order = DEEDS.flatMap((deed, n) => new Array<Deed>(counts[n]!).fill(deed));
  const random = new Random(options.seed);
  for (let i = order.length - 1; i > 0; i--) {
    const k = random.below(i + 1);
    [order[i], order[k]] = [order[k]!, order[i]!];
  }
  return order;
}

const alive = (random: Random) => sleep(random.below(ALIVE_MS_MAX));

interface Surroundings {
  readonly networks: Networks | null;
  readonly places: Places | null;
  readonly store: SharedStore | null;
}

/** What may happen to processes and to what they stand on; each is over when its promise is. */
function deedsOf(
  processes: Processes,
  { networks, places, store }: Surroundings,
): Readonly<Record<Deed, () => Promise<unknown>>> {
  const { scene } = processes;
  const { random } = scene;
  const some = () => processes.running[random.below(processes.running.length)]!;
  const sessions = () => sleep(SESSION_MS + random.below(2 * SESSION_MS));
  const again = async (server: { kill(): Promise<void>; restart(): Promise<void> }) => {
    await server.kill();
    await alive(random);
    await server.restart().catch(() => server.restart()); // on a machine that is busy it takes longer than is waited for
  };
  return {
    "kill": async () => {
      const victim = some();
      await processes.kill(victim);
      await alive(random);
      await processes.join(victim.folder);
    },
    "join": async () => {
      const leaving = some();
      await processes.leave(leaving);
      await alive(random);
      await processes.join(leaving.folder);
    },
    "pause": async () => {
      const zombie = some();
      zombie.signal("SIGSTOP");
      await sessions();
      zombie.signal("SIGCONT");
    },
    "broker kill": async () => {
      const brokers = [scene.broker, ...scene.followers];
      // With two of three gone there would be nothing to elect.
      await untilInSync(scene.broker.bootstrap, brokers.length);
      await again(brokers[random.below(brokers.length)]!);
    },
    "cut link": async () => {
      if (random.below(2) === 0) {
        const network = places!.networkOf(some());
        await network.cut();
        await sessions();
        return await network.mend();
      }
      await networks!.part(true);
      await sessions();
      await networks!.part(false);
    },
    "store kill": () => again(store!.server),
  };
}

/** Waits until each broker has all that was acknowledged. */
async function untilInSync(bootstrap: string, brokers: number): Promise<void> {
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  try {
    await until("all replicas are in sync", async () => {
      const { topics } = await admin.fetchTopicMetadata();
      return topics.every(({ partitions }) =>
        partitions.every(({ isr }) => isr.length === brokers)
      );
    });
  } finally {
    await admin.disconnect();
  }
}

/** Lets each process have a wall clock of its own; one that is started in its folder again has the same one. */
class Clocks {
  readonly #byFolder = new Map<string, WallClock>();

  constructor(readonly skewS: number, readonly within: SceneOptions["place"]) {}

  async place(folder: string): Promise<Place> {
    const { flags, enter } = await this.within?.(folder) ?? { flags: {}, enter: [] };
    const { env } = this.#byFolder.get(folder) ?? await this.#add(folder);
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    return { flags, enter: [...enter, "env", ...variables] };
  }

  async #add(folder: string): Promise<WallClock> {
    const clock = await WallClock.open();
    // The first is right, the second ahead, the third behind.
    const n = this.#byFolder.size;
    await clock.set(Math.ceil(n / 2) * (n % 2 === 0 ? -this.skewS : this.skewS));
    this.#byFolder.set(folder, clock);
    return clock;
  }

  async remove(): Promise<void> {
    for (const clock of this.#byFolder.values()) await clock.remove();
  }
}

/** How many of each, unless the command line says otherwise. */
const DEFAULTS: Omit<ClusterFaults, "seed" | "log"> = {
  processes: 3,
  kills: 100,
  joins: 20,
  pauses: 5,
  brokerKills: 5,
  cutLinks: 10,
  brokers: 3,
  storeKills: 0,
  clockSkew: 0,
};

const flagOf = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function optionsOf(): ClusterFaults {
  const entries = Object.entries(DEFAULTS).map(([name, n]) =>
    [flagOf(name), { type: "string", default: String(n) }] as const
  );
  const options = { ...Object.fromEntries(entries), seed: { type: "string" } } as const;
  const values: Readonly<Record<string, unknown>> = commandLine("cluster", options);
  const number = (name: string, otherwise?: number) => {
    const text = String(values[flagOf(name)] ?? otherwise);
    if (/^\d{1,10}$/.test(text)) return Number(text);
    const message = `--${flagOf(name)} is a number from 0 to 9999999999, not ${text}`;
    return refuse(usageOf("cluster", options), message);
  };
  const counts = Object.keys(DEFAULTS).map((name) => [name, number(name)]);
  return { ...DEFAULTS, ...Object.fromEntries(counts), seed: number("seed", newSeed()) };
}

if (import.meta.main) {
  const options = optionsOf();
  console.log(`seed ${options.seed}`);
  const { verdict, answers, older } = await clusterRun({ ...options, log: console.log });
  for (const difference of [...verdict.differences, ...older]) console.log(difference);
  console.log(detailLine(verdict));
  console.log(`${answers} answers, ${older.length} of them older than one before`);
  console.log(verdictLine(verdict));
  Deno.exit(isGood(verdict) && older.length === 0 ? 0 : 1);
}
