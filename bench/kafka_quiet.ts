// How long a Kafka job takes to be ready again on quiet topics, where nothing is to be folded again:
//
//   - the same machine after a stop in good order, and after kill -9
//   - another process after kill -9 of the active one, counted from when the group knows that it is gone
//
// each until /readyz answers 200, and until a record that is produced then has its committed result.

import { GROUP, TOPICS } from "../tools/kit/job_process.ts";
import { GroupView } from "../tools/kit/group_view.ts";
import { type Service, stopInGoodOrder, waitReady } from "../tools/kit/service.ts";
import { KafkaScene, sleep } from "./kafka_scene.ts";
import { readOptions } from "./options.ts";

const USAGE = "deno task bench:kafka:quiet [--partitions=16] [--parallelism=2] [--items=10000]";
/** So many records per item see nearly every item once. */
const RECORDS_PER_ITEM = 5;
/** As long as a process that stands by needs to have asked the active one. */
const ALIVE_MS = 3000;
const READY_LOOK_MS = 10;

const { partitions, parallelism, items } = readOptions(USAGE, {
  partitions: 16,
  parallelism: 2,
  items: 10_000,
});
const FLAGS = { "parallelism": String(parallelism) };

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;

/** Waits until a job is ready, and until it has answered a record that is produced then. */
async function report(
  what: string,
  from: number,
  job: Service,
  scene: KafkaScene,
  results: () => number,
): Promise<void> {
  await scene.until(job, async () => {
    const response = await fetch(`${job.url}/readyz`).catch(() => null);
    await response?.body?.cancel();
    return response?.ok;
  }, READY_LOOK_MS);
  const ready = Date.now();
  const before = results();
  await scene.generator({ items, rate: 0, count: 1 }).run(new AbortController().signal);
  const produced = Date.now();
  await scene.until(job, () => results() > before, READY_LOOK_MS);
  console.log(
    `${what}: ready after ${seconds(ready - from)}; the result of a record produced then ` +
      `${seconds(Date.now() - produced)} after it`,
  );
}

async function measure(): Promise<void> {
  await using scene = await KafkaScene.open({ partitions });
  let results = 0;
  await scene.read(TOPICS["transaction.output.topic"], () => void results++);
  const folder = await scene.newFolder();
  await scene.fill(items, items * RECORDS_PER_ITEM);
  const first = await scene.startJob(folder, FLAGS);
  await scene.untilFolded(first, items * RECORDS_PER_ITEM);
  await waitReady(first);
  await stopInGoodOrder(first);
  console.log(`${partitions} partitions, ${parallelism} workers`);

  let from = Date.now();
  const second = await scene.startJob(folder, FLAGS);
  await report("start after a stop in good order", from, second, scene, () => results);

  await second.kill();
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
  from = Date.now();
  await group.close();
  await report("take-over, once it is noticed", from, standing, scene, () => results);
}

await measure();
