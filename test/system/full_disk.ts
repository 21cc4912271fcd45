// The disks of the real service are full, and free again, at random moments under load; and the verdict.
//
//   deno task faults:disk [--rounds=20] [--seed=<n>]

import { commandLine } from "../../tools/kit/command_line.ts";
import { newSeed, Random } from "../../tools/kit/random.ts";
import { compare, FLAGS, Load, type Verdict, verdictLine } from "./kill.ts";
import { type Service, startService, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { fill, mountSmall } from "./small_disk.ts";

export interface FullDiskOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Learns what happens. */
  readonly log?: (line: string) => void;
}

export interface FullDiskVerdict extends Omit<Verdict, "insideCheckpoint"> {
  readonly rounds: number;
  /** Rounds after which writes were taken and the condition was over, without help. */
  readonly healed: number;
  /** Requests that were refused while a disk was full. */
  readonly refused: number;
  readonly lookUps: number;
  /** Look-ups that were not answered in time with a stock. */
  readonly lookUpsStopped: number;
  /** Sessions that ended: instances were dropped, and folded again. */
  readonly recoveries: number;
}

export function fullDiskVerdictLine(v: FullDiskVerdict): string {
  return `${v.rounds} rounds, ${v.healed} healed, ${v.refused} requests refused, ${v.lookUps} look-ups of which ` +
    `${v.lookUpsStopped} stopped, ${v.recoveries} recoveries; ${verdictLine(v)}`;
}

const CLIENTS = 2;
const DISK_MIB = 256;
const FREE_BYTES_MIN = 4 * 1024 * 1024;
const FULL_MS_MAX = 2500;
const BETWEEN_MS_MAX = 900;
const HEALED_WITHIN_MS = 20_000;
/** A look-up that takes longer counts as stopped: other requests of its connection wait for nothing. */
const LOOK_UP_MS_MAX = 5000;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Clients of a service, until they are stopped. */
class Clients {
  refused = 0;
  lookUps = 0;
  stopped = 0;
  #over = false;
  readonly #all: Promise<void>[];

  constructor(readonly service: Service, readonly load: Load) {
    this.#all = [this.#look(), ...Array.from({ length: CLIENTS }, () => this.#post())];
  }

  async #post(): Promise<void> {
    while (!this.#over) {
      const status = await this.load.post(this.service.url, this.load.someLines());
      if (status === 503) this.refused++;
      await sleep(status === 200 ? 2 : 50);
    }
  }

  async #look(): Promise<void> {
    while (!this.#over) {
      this.lookUps++;
      const item = this.load.random.below(20_000);
      const isAnswered = await fetch(`${this.service.url}/items/item_${item}`, {
        signal: AbortSignal.timeout(LOOK_UP_MS_MAX),
      }).then((r) => r.text().then(() => r.ok), () => false);
      if (!isAnswered) this.stopped++;
      await sleep(10);
    }
  }

  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#all);
  }
}

/** Whether writes are taken and nothing is reported any more. */
async function heals({ url }: Service): Promise<boolean> {
  for (const from = Date.now(); Date.now() - from < HEALED_WITHIN_MS; await sleep(50)) {
    const response = await fetch(`${url}/readyz?for=writes`);
    if (await response.text() === "ready\n" && response.ok) return true;
  }
  return false;
}

async function recoveriesOf({ url }: Service): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return [...text.matchAll(/^stockflow_recoveries_total\S* (\d+)$/gm)]
    .reduce((n, [, count]) => n + Number(count), 0);
}

/** Runs the rounds; null where a small disk cannot be mounted. */
export async function fullDiskRun(
  { rounds, seed, log = () => {} }: FullDiskOptions,
): Promise<FullDiskVerdict | null> {
  const random = new Random(seed);
  const load = new Load(random);
  const parent = await Deno.makeTempDir({ prefix: "stockflow-full-" });
  const [logFolder, stateFolder] = [`${parent}/log`, `${parent}/state`];
  const unmount: ((() => Promise<void>) | null)[] = [];
  let service: Service | null = null;
  try {
    for (const folder of [logFolder, stateFolder]) unmount.push(await mountSmall(folder, DISK_MIB));
    if (unmount.includes(null)) return null;
    service = await startService({
      folder: parent,
      flags: {
        ...FLAGS,
        "log.kv": `${logFolder}/log.kv`,
        "state.kv": `${stateFolder}/state.kv`,
        "disk.free.bytes.min": String(FREE_BYTES_MIN),
      },
    });
    await load.preload(service.url);
    const clients = new Clients(service, load);
    let healed = 0;
    for (let round = 1; round <= rounds; round++) {
      await sleep(random.below(BETWEEN_MS_MAX));
      const folders = [[logFolder], [stateFolder], [logFolder, stateFolder]][random.below(3)]!;
      // To the last byte, or below the mark.
      const leave = random.below(3) === 0 ? FREE_BYTES_MIN / 2 : 0;
      await Promise.all(folders.map((folder) => fill(`${folder}/filler`, leave)));
      await sleep(random.below(FULL_MS_MAX));
      await Promise.all(folders.map((folder) => Deno.remove(`${folder}/filler`)));
      if (await heals(service)) healed++;
      const names = folders.map((folder) => folder.split("/").at(-1)).join(" and ");
      log(
        `round ${round}: ${names} full, ${leave} bytes left; ${load.answered.size} answered so far`,
      );
    }
    await clients.end();
    await waitReady(service);
    const recoveries = await recoveriesOf(service);
    await stopInGoodOrder(service);
    const { refused, lookUps, stopped: lookUpsStopped } = clients;
    const compared = await compare(logFolder, stateFolder, load);
    return { ...compared, rounds, healed, refused, lookUps, lookUpsStopped, recoveries };
  } finally {
    await service?.kill();
    for (const release of unmount) await release?.();
    await Deno.remove(parent, { recursive: true });
  }
}

/** Whether all that was promised held. */
export function isGood(v: FullDiskVerdict): boolean {
  const exact = v.lost === 0 && v.doubled === 0 && v.stateHashEqual;
  return exact && v.healed === v.rounds && v.lookUpsStopped === 0 && v.recoveries === 0;
}

if (import.meta.main) {
  const values = commandLine("faults:disk", {
    rounds: { type: "string", default: "20" },
    seed: { type: "string" },
  });
  const seed = Number(values.seed ?? newSeed());
  console.log(`seed ${seed}`);
  const verdict = await fullDiskRun({ rounds: Number(values.rounds), seed, log: console.log });
  if (!verdict) throw new Error("A small file system cannot be mounted: run it as root");
  console.log(fullDiskVerdictLine(verdict));
  Deno.exit(isGood(verdict) ? 0 : 1);
}
