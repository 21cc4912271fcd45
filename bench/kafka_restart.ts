// How long until the Kafka job commits results again, while the generator's load goes on:
//
//   - the same machine after kill -9, with records to fold again behind its newest checkpoint
//   - the same machine after a stop in good order: what restoring alone takes
//   - another process after kill -9 of the active one. It stands by, with a data folder of its own, and
//     so folds the log again from its start. It notices at the address of the one that was killed; else
//     the group would, at the end of its session.
//
// The first result is the first record that a reader under read_committed sees of a producer that it saw
// nothing of before: every incarnation writes as a new producer, or in a new epoch.

import { GROUP, TOPICS } from "../tools/kit/job_process.ts";
import { GroupView } from "../tools/kit/group_view.ts";
import { type Service, stopInGoodOrder, waitReady } from "../tools/kit/service.ts";
import { KafkaScene, sleep } from "./kafka_scene.ts";
import { readOptions } from "./options.ts";

const USAGE = "deno task bench:kafka:restart [--items=1000000] [--again=4000000] [--rate=100000] " +
  "[--parallelism=2] [--session=10000]";
const PARTITIONS = 8;
/** So many records per item see nearly every item once. */
const RECORDS_PER_ITEM = 5;
/** Checkpoints are taken when the benchmark asks for one. */
const NO_CHECKPOINTS_MS = "86400000";
const ALIVE_MS = 3000;
/** Producer id and epoch in a record batch (KIP-98). */
const PRODUCER_AT = 43;
const PRODUCER_BYTES = 10;

const { items, again, rate, parallelism, session } = readOptions(USAGE, {
  items: 1_000_000,
  again: 4_000_000,
  rate: 100_000,
  parallelism: 2,
  session: 10_000,
});
const FLAGS = {
  "checkpoint.interval.millis": NO_CHECKPOINTS_MS,
  "recovery.records.max": String(1e12),
  "parallelism": String(parallelism),
  "kafka.session.timeout.ms": String(session),
};

/** Which producers' results were seen, and when first; ms since the epoch. */
class SeenProducers {
  readonly #firstAt = new Map<string, number>();

  add(batch: Uint8Array): void {
    const producer = batch.subarray(PRODUCER_AT, PRODUCER_AT + PRODUCER_BYTES).toHex();
    if (!this.#firstAt.has(producer)) this.#firstAt.set(producer, Date.now());
  }

  get names(): ReadonlySet<string> {
    return new Set(this.#firstAt.keys());
  }

  /** When the first result was seen of a producer that is not one of these; null = not yet. */
  firstBeside(known: ReadonlySet<string>): number | null {
    const others = [...this.#firstAt].filter(([name]) => !known.has(name));
    return others.length === 0 ? null : Math.min(...others.map(([, at]) => at));
  }
}

/** A line of the job's log. */
interface LogLine {
  readonly time: string;
  readonly message: string;
  /** Of what workers log when they have recovered. */
  readonly ms: number;
  readonly restored: number;
  readonly replayed: number;
}

function logLines(job: Service): LogLine[] {
  return job.log().split("\n").filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as LogLine);
}

/** How a job came to its first result; moments in ms since the epoch. */
interface Recovered {
  readonly active: number;
  /** When the first worker had recovered, and how long it took it, in ms. */
  readonly recovered: number;
  readonly ms: number;
  readonly firstResult: number;
  /** When everything was ready that the log held at the claim. */
  readonly ready: number;
  /** Items from checkpoints and records folded again, of all workers. */
  readonly restored: number;
  readonly replayed: number;
}

/** Waits until a job commits results, and asks its log how that came. */
async function recoveryOf(
  scene: KafkaScene,
  job: Service,
  seen: SeenProducers,
  known: ReadonlySet<string>,
): Promise<Recovered> {
  const firstResult = await scene.until(job, () => seen.firstBeside(known));
  await waitReady(job);
  const ready = Date.now();
  const lines = logLines(job);
  const active = lines.findLast((line) => line.message.includes("is the active one"))!;
  const workers = lines.filter((line) => line.message.startsWith("Recovered"))
    .toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time));
  return {
    active: Date.parse(active.time),
    recovered: Date.parse(workers[0]!.time),
    ms: workers[0]!.ms,
    firstResult,
    ready,
    restored: workers.reduce((n, w) => n + w.restored, 0),
    replayed: workers.reduce((n, w) => n + w.replayed, 0),
  };
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;

/** What all recoveries have from the moment on when the process is the active one. */
function parts({ active, recovered, ms, firstResult }: Recovered, work: string): string {
  return `sessions ${seconds(recovered - ms - active)}, ${work} ${seconds(ms)}, ` +
    `to the first result ${seconds(firstResult - recovered)}`;
}

function print(what: string, from: number, how: Recovered, parts: string): void {
  console.log(
    `${what}: first committed result after ${seconds(how.firstResult - from)}, ready after ` +
      `${
        seconds(how.ready - from)
      }; ${how.restored} items restored, ${how.replayed} records folded again`,
  );
  console.log(`  of that: ${parts}`);
}

async function restarts(scene: KafkaScene, seen: SeenProducers): Promise<Service> {
  const folder = await scene.newFolder();
  await scene.fill(items, items * RECORDS_PER_ITEM);
  const first = await scene.startJob(folder, FLAGS);
  await scene.untilFolded(first, items * RECORDS_PER_ITEM);
  await waitReady(first);
  const taken = await fetch(`${first.url}/savepoints`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "checkpoint" }),
  });
  if (!taken.ok) throw new Error(`No checkpoint was taken: ${await taken.text()}`);
  await taken.body?.cancel();
  await scene.fill(items, again);
  await scene.untilFolded(first, items * RECORDS_PER_ITEM + again);
  scene.generate({ items, rate });
  await sleep(ALIVE_MS);

  let from = Date.now();
  await first.kill();
  let known = seen.names;
  const second = await scene.startJob(folder, FLAGS);
  let how = await recoveryOf(scene, second, seen, known);
  const claim = `start and claim ${seconds(how.active - from)}, `;
  print("restart after kill -9", from, how, claim + parts(how, "restore and fold again"));

  await sleep(ALIVE_MS);
  await stopInGoodOrder(second);
  known = seen.names;
  from = Date.now();
  const third = await scene.startJob(folder, FLAGS);
  how = await recoveryOf(scene, third, seen, known);
  const start = `start and claim ${seconds(how.active - from)}, `;
  print("start after a stop in good order", from, how, start + parts(how, "restore"));
  return third;
}

/** Kills the active process while another stands by. */
async function takeOver(scene: KafkaScene, seen: SeenProducers, active: Service): Promise<void> {
  const standing = await scene.startJob(await scene.newFolder(), FLAGS);
  await scene.until(
    standing,
    () => logLines(standing).some((l) => l.message.includes("stands by")),
  );
  await sleep(ALIVE_MS);
  const group = await GroupView.open(scene.broker.bootstrap, GROUP);
  const members = await group.members();
  const from = Date.now();
  await active.kill();
  const known = seen.names;
  await scene.until(standing, async () => (await group.members()).length < members.length);
  const expired = Date.now();
  await group.close();
  const how = await recoveryOf(scene, standing, seen, known);
  const claim = `noticed after ${seconds(expired - from)}, claim ${
    seconds(how.active - expired)
  }, `;
  print("take-over by a stand-by", from, how, claim + parts(how, "fold again"));
}

async function measure(): Promise<void> {
  await using scene = await KafkaScene.open({ partitions: PARTITIONS });
  const seen = new SeenProducers();
  await scene.read(TOPICS["transaction.output.topic"], (batch) => seen.add(batch));
  const active = await restarts(scene, seen);
  await takeOver(scene, seen, active);
}

await measure();
