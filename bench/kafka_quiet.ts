// How long a Kafka job takes to be ready again on quiet topics, where nothing is to be folded again:
//
//   - the same machine after a stop in good order, and after kill -9
//   - another process after kill -9 of the active one, counted from when the group knows that it is gone
//
// each until /readyz answers 200, and until a record that is produced then has its committed result.
//
//   deno task bench:kafka:quiet [--partitions=16]
//   deno task bench:kafka:quiet --bundle=1
//     the program as it is deployed, bundled, and not from its sources
//   deno task bench:kafka:quiet --requests=1
//     with a count of the requests up to ready, by a proxy before the broker
//   deno task bench:kafka:quiet --against=FOLDER [--pairs=5]
//     this checkout and another one in turn, started after kill -9 each: CPU-seconds and time to ready, in ratios

import { buildBundle } from "../tools/kit/bundle.ts";
import { GROUP, TOPICS } from "../tools/kit/job_process.ts";
import { GroupView } from "../tools/kit/group_view.ts";
import { PROGRAM, type Service, stopInGoodOrder, waitReady } from "../tools/kit/service.ts";
import { KafkaScene, sleep } from "./kafka_scene.ts";
import { readOptions } from "./options.ts";
import { describeRatios } from "./pairs.ts";
import { cpuSeconds } from "./process_figures.ts";

const USAGE = "deno task bench:kafka:quiet [--partitions=16] [--parallelism=2] [--items=10000] " +
  "[--bundle=0] [--requests=0] [--against=<folder of another checkout>] [--pairs=5]";
/** So many records per item see nearly every item once. */
const RECORDS_PER_ITEM = 5;
/** As long as a process that stands by needs to have asked the active one. */
const ALIVE_MS = 3000;
const READY_LOOK_MS = 10;

const { partitions, parallelism, items, bundle, requests, against, pairs } = readOptions(USAGE, {
  partitions: 16,
  parallelism: 2,
  items: 10_000,
  bundle: 0,
  requests: 0,
  against: "",
  pairs: 5,
});
const FLAGS = { "parallelism": String(parallelism) };

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;

/** What a start took until the job was ready. */
interface Start {
  /** From `from` on. */
  readonly ms: number;
  readonly cpuSeconds: number;
  readonly requests: string | null;
}

async function untilReady(from: number, job: Service, scene: KafkaScene): Promise<Start> {
  await scene.until(job, async () => {
    const response = await fetch(`${job.url}/readyz`).catch(() => null);
    await response?.body?.cancel();
    return response?.ok;
  }, READY_LOOK_MS);
  const ms = Date.now() - from;
  return {
    ms,
    cpuSeconds: await cpuSeconds(job.pid),
    requests: scene.requests?.describe() ?? null,
  };
}

/** Waits until a job is ready, and until it has answered a record that is produced then. */
async function report(
  what: string,
  from: number,
  job: Service,
  scene: KafkaScene,
  results: () => number,
): Promise<void> {
  const ready = await untilReady(from, job, scene);
  const before = results();
  await scene.generator({ items, rate: 0, count: 1 }).run(new AbortController().signal);
  const produced = Date.now();
  await scene.until(job, () => results() > before, READY_LOOK_MS);
  console.log(
    `${what}: ready after ${seconds(ready.ms)}, ${
      ready.cpuSeconds.toFixed(2)
    } CPU-seconds of its process; the ` +
      `result of a record produced then ${seconds(Date.now() - produced)} after it`,
  );
  if (ready.requests !== null) console.log(`  ${ready.requests}`);
}

/** A folder of a job that has stopped in good order, and nothing is left to fold for the next one. */
async function quiet(scene: KafkaScene): Promise<string> {
  const folder = await scene.newFolder();
  await scene.fill(items, items * RECORDS_PER_ITEM);
  const first = await scene.startJob(folder, FLAGS);
  await scene.untilFolded(first, items * RECORDS_PER_ITEM);
  await waitReady(first);
  await stopInGoodOrder(first);
  console.log(`${partitions} partitions, ${parallelism} workers`);
  return folder;
}

/** This checkout and another one in turn, in the same folder and group. */
async function compare(scene: KafkaScene): Promise<void> {
  const folder = await quiet(scene);
  const start = async (checkout?: string): Promise<Start> => {
    const from = Date.now();
    const job = await scene.startJob(folder, FLAGS, checkout);
    const ready = await untilReady(from, job, scene);
    await job.kill();
    console.log(
      `ready after ${seconds(ready.ms)}, ${ready.cpuSeconds.toFixed(2)} CPU-seconds` +
        (checkout === undefined ? "" : ` in ${checkout}`),
    );
    return ready;
  };
  await start(against); // whatever is only done once
  const found: { readonly own: Start; readonly other: Start }[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    // Each is first as often as the other: what the machine does slowly meets both.
    const before = pair % 2 === 0 ? await start(against) : null;
    const own = await start();
    found.push({ own, other: before ?? await start(against) });
  }
  const ratios = (of: (start: Start) => number) =>
    found.map(({ own, other }) => of(own) / of(other));
  console.log(describeRatios(ratios((s) => s.cpuSeconds)));
  console.log(describeRatios(ratios((s) => s.ms), "time"));
}

async function measure(scene: KafkaScene): Promise<void> {
  let results = 0;
  await scene.read(TOPICS["transaction.output.topic"], () => void results++);
  const folder = await quiet(scene);

  scene.requests?.restart();
  let from = Date.now();
  const second = await scene.startJob(folder, FLAGS);
  await report("start after a stop in good order", from, second, scene, () => results);

  await second.kill();
  scene.requests?.restart();
  from = Date.now();
  const third = await scene.startJob(folder, FLAGS);
  await report("start after kill -9", from, third, scene, () => results);

  const standing = await scene.startJob(await scene.newFolder(), FLAGS);
  await scene.until(standing, () => standing.log().includes("stands by"));
  await sleep(ALIVE_MS);
  const group = await GroupView.open(scene.broker.bootstrap, GROUP);
  const { length } = await group.members();
  await third.kill();
  await scene.until(standing, async () => (await group.members()).length < length, READY_LOOK_MS);
  scene.requests?.restart();
  from = Date.now();
  await group.close();
  await report("take-over, once it is noticed", from, standing, scene, () => results);
}

const dist = bundle > 0 ? await buildBundle() : null;
try {
  if (dist !== null) Deno.env.set(PROGRAM, dist);
  await using scene = await KafkaScene.open({ partitions, counts: requests > 0 });
  await (against === "" ? measure(scene) : compare(scene));
} finally {
  if (dist !== null) await Deno.remove(dist, { recursive: true });
}
