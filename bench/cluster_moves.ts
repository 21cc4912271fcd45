// How long partitions give no results when the processes that share them change, under load: one joins, one leaves in
// good order, one is killed (kill -9). Longest times between committed results by partition, as a reader under
// read_committed sees them; those of partitions that stay where they are apart from those that move.
//
//   deno task bench:cluster:moves [--items=1000000] [--rate=100000] [--processes=3] [--rounds=2]
//
// Checkpoints are in one store, denokv. With 10 M items what a killed process had may take 10 s.

import type { Service } from "../tools/kit/service.ts";
import { ClusterScene, Gaps } from "./cluster_scene.ts";
import { sleep } from "./kafka_scene.ts";
import { readOptions } from "./options.ts";
import { printVerdict } from "./verdicts.ts";

const USAGE = "deno task bench:cluster:moves [--items=1000000] [--rate=100000] [--processes=3] " +
  "[--partitions=12] [--checkpoints=10000] [--rounds=2] [--log=]";
const values = readOptions(USAGE, {
  items: 1_000_000,
  rate: 100_000,
  processes: 3,
  partitions: 12,
  checkpoints: 10_000,
  rounds: 2,
  log: "",
});
const { items, rate, processes, partitions, checkpoints, rounds } = values;

/** What the issue of shared partitions allows; ms. */
const STAYING_MS_MAX = 2000;
const MOVING_MS_MAX = 4000;
const KILLED_MS_MAX = items > 1_000_000 ? 10_000 : MOVING_MS_MAX;
/** What comes behind a change is looked at, too: the new owner catches up. */
const BEHIND_MS = 3000;
const STEADY_MS = 5000;

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;

/** The worst of all rounds. */
class Worst {
  readonly #longest = new Map<string, { ms: number; limit: number }>();

  add(what: string, gaps: readonly number[], limit: number): void {
    const before = this.#longest.get(what)?.ms ?? 0;
    this.#longest.set(what, { ms: Math.max(before, ...gaps), limit });
  }

  print(): void {
    for (const [what, { ms, limit }] of this.#longest) {
      printVerdict(ms <= limit, `${what}, longest gap ${seconds(ms)} of ${seconds(limit)}`);
    }
  }
}

/** Changes the processes, and says how long each partition gave no results. */
async function change(
  scene: ClusterScene,
  gaps: Gaps,
  { what, worst, limit }: { readonly what: string; readonly worst: Worst; readonly limit: number },
  doIt: () => Promise<unknown>,
): Promise<void> {
  const before = await scene.settled();
  gaps.begin();
  await doIt();
  const after = await scene.settled();
  await sleep(BEHIND_MS);
  const longest = gaps.longest();
  const all = [...longest.entries()];
  const isMoved = ([p]: [number, number]) => before.get(p) !== after.get(p);
  const moving = all.filter(isMoved);
  const staying = all.filter((of) => !isMoved(of));
  const named = (some: typeof all) => some.map(([p, ms]) => `${p}: ${seconds(ms)}`).join(", ");
  console.log(`${what}: partitions that stay ${named(staying)}; that move ${named(moving)}`);
  worst.add(`${what}, staying`, staying.map(([, ms]) => ms), STAYING_MS_MAX);
  worst.add(`${what}, moving`, moving.map(([, ms]) => ms), limit);
}

async function measure(): Promise<void> {
  const flags = { "checkpoint.interval.millis": String(checkpoints) };
  await using scene = await ClusterScene.open({ partitions, processes, items, rate, flags });
  const gaps = await Gaps.watch(scene.kafka, partitions);
  await sleep(STEADY_MS);
  gaps.begin();
  await sleep(STEADY_MS);
  console.log(
    `${processes} processes, ${items} items in ${partitions} partitions, ${rate}/s; ` +
      `without changes the longest gap is ${seconds(Math.max(...gaps.longest()))}`,
  );
  const worst = new Worst();
  const logs: Service[] = [...scene.running];
  for (let round = 0; round < rounds; round++) {
    const joins = { what: "one joins", worst, limit: MOVING_MS_MAX };
    await change(scene, gaps, joins, async () => logs.push(await scene.join()));
    await sleep(STEADY_MS);
    const leaves = { what: "one leaves", worst, limit: MOVING_MS_MAX };
    await change(scene, gaps, leaves, () => scene.leave(scene.running[0]!));
    await sleep(STEADY_MS);
    const dies = { what: "one is killed", worst, limit: KILLED_MS_MAX };
    await change(scene, gaps, dies, () => scene.kill(scene.running[0]!));
    if (round + 1 < rounds) logs.push(await scene.join());
    await sleep(STEADY_MS);
  }
  worst.print();
  if (values.log === "") return;
  for (const { pid, log } of logs) await Deno.writeTextFile(`${values.log}.${pid}`, log());
}

await measure();
