// Makes a kept file of what the Kafka job of a version leaves: a process that has stopped in good order, and one behind
// it that is killed once it has committed what came, so that its newest checkpoint lies behind that. Starts a broker.
//
//   git worktree add --detach <checkout> <commit>
//   deno run --allow-all --unstable-kv test/state/formats/make_kafka.ts <checkout> > test/state/formats/kafka_<commit>.json
//
// test/kafka/kept_state_test.ts goes on with it. A file of an earlier version is never made anew.

import { Kafka, logLevel } from "kafkajs";
import { startJob, TOPICS } from "../../../tools/kit/job_process.ts";
import { Loader } from "../../../tools/kit/load.ts";
import { stopInGoodOrder, waitReady } from "../../../tools/kit/service.ts";
import { startTestBroker } from "../../../tools/kit/test_broker.ts";
import { entriesOf, FOLD_FLAGS, FROM, HOUR_MS, type KeptOnKafka } from "./kept.ts";

const FLAGS = {
  ...FOLD_FLAGS,
  // The first process writes one when it stops; the second one is killed before its next.
  "checkpoint.interval.millis": "3600000",
};
const GROUP = "stockflow-kept";
const ITEMS = ["item_1", "item_70001", "a", "ä-7é", "Z".repeat(200), "0001"];

const [checkout] = Deno.args;
if (!checkout) throw new Error("Which checkout?");
const folder = await Deno.makeTempDir({ prefix: "stockflow-formats-" });
const broker = await startTestBroker();
await broker.createTopics(Object.values(TOPICS), 1);
const admin = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING }).admin();
await admin.connect();

async function placeOf(topic: string) {
  const [found] = await admin.fetchOffsets({ groupId: GROUP, topics: [topic] });
  const { offset, metadata } = found!.partitions[0]!;
  return { offset: Number(offset), metadata: metadata ?? "" };
}

const records: { timestamp: number; line: string }[] = [];

/** Transactions of every item in each of some hours; the last one leaves windows open. */
async function append(round: number): Promise<void> {
  const from = records.length;
  for (let hour = 0; hour < 3; hour++) {
    for (const [i, item] of ITEMS.entries()) {
      const quantity = (i + hour + round) % 3 === 0 ? -1000 : 7 + i;
      const ts = FROM + (round * 2 + hour) * HOUR_MS + i;
      const line = `${round * 1000 + hour * 100 + i}\t${ts}\t${item}\t${quantity}`;
      records.push({ timestamp: ts, line });
    }
  }
  const loader = await Loader.open(broker.bootstrap, TOPICS["transaction.input.topic"]);
  const some = records.slice(from).map((r) => loader.recordOf(r.line, r.timestamp));
  await loader.append(some);
  await loader.close();
  while ((await placeOf(TOPICS["transaction.input.topic"])).offset < records.length) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function start() {
  const flags = { ...FLAGS, "kafka.group.id": GROUP, "parallelism": "1" };
  return startJob(broker.bootstrap, folder, flags, {}, checkout);
}

const first = await start();
await waitReady(first);
await append(0);
await stopInGoodOrder(first);
const second = await start();
await waitReady(second);
await append(1);
const stock: Record<string, number> = {};
for (const item of ITEMS) {
  const response = await fetch(`${second.url}/items/${encodeURIComponent(item)}`);
  const answer = await response.json();
  stock[item] = answer.quantity ?? answer.itemInfo.quantity;
}
await second.kill();

const git = new Deno.Command("git", { args: ["rev-parse", "--short=7", "HEAD"], cwd: checkout });
const kept: KeptOnKafka = {
  commit: new TextDecoder().decode((await git.output()).stdout).trim(),
  flags: FLAGS,
  records,
  transactions: await placeOf(TOPICS["transaction.input.topic"]),
  queries: await placeOf(TOPICS["query.input.topic"]),
  stock,
  state: await entriesOf(`${folder}/state.kv`),
};
console.log(JSON.stringify(kept));
await admin.disconnect();
await broker.remove();
await Deno.remove(folder, { recursive: true });
Deno.exit(0);
