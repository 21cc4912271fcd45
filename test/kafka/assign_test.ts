// Partitions that go from one worker thread to another while their job runs on a real broker: sequence numbers,
// transactional ids and offsets are handed over.

import { assert, assertEquals } from "@std/assert";
import { Conditions } from "../../src/engine/mod.ts";
import { KafkaItemTransactionJob, KafkaLogOpener } from "../../src/kafka/mod.ts";
import { Parameters } from "../../src/parameters/mod.ts";
import { MACHINE, ProcessLife } from "../../src/service/mod.ts";
import { encodeUtf8, Partitioner, partitionOf } from "../../src/types/mod.ts";
import { Loader } from "../../tools/kit/load.ts";
import { Stage } from "./scene.ts";
import { until } from "./until.ts";
import { witness } from "./witness.ts";

const PARTITIONS = 4;
const THREADS = 2;
const MOVES = 6;
const AT_ONCE = 20;

const stage = await Stage.shared();

/** An item of each partition. */
const ITEMS = Array.from({ length: PARTITIONS }, (_, partition) => {
  const ids = Array.from({ length: 100 }, (_, n) => `item_${n}`);
  return ids.find((id) =>
    partitionOf(Partitioner.Murmur2, encodeUtf8(id), PARTITIONS) === partition
  )!;
});

stage.test("partitions go from thread to thread and back under load: each transaction has one result, in its order", async () => {
  const scene = await stage.scene(PARTITIONS);
  const { topics, group, folder } = scene;
  const params = Parameters.of({
    ...topics,
    "kafka.bootstrap.servers": stage.broker.bootstrap,
    "kafka.group.id": group,
    "parallelism": String(THREADS),
    "commit.interval.ms": "20",
    "state.kv": `${folder}/state.kv`,
  });
  const conditions = new Conditions(MACHINE.clock);
  const life = new ProcessLife("00");
  const job = await new KafkaItemTransactionJob().createApplicationPipeline(params).start("kafka", {
    ...MACHINE,
    conditions,
    kafka: ({ params, topics }) =>
      Promise.resolve(
        new KafkaLogOpener(params, MACHINE.clock, life, conditions, topics),
      ),
  });
  await until("the job is ready", () => Promise.resolve(job.isReady));
  const loader = await Loader.open(stage.broker.bootstrap, topics["transaction.input.topic"]);
  const sent = new Array<number>(PARTITIONS).fill(0);
  let loads = true;
  const load = async () => {
    while (loads) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const lines = Array.from({ length: AT_ONCE }, () => {
          const id = sent[partition]!++;
          return loader.recordOf(`${id}\t1\t${ITEMS[partition]}\t1`, 1);
        });
        await loader.appendTo(partition, lines);
      }
    }
  };
  const loading = load();
  const [first, second] = job.workers;
  assert(first && second);
  // Partition 0 is the first worker's. It comes back under the producer that has written for it before.
  for (let move = 0; move < MOVES; move++) {
    const [from, to] = move % 2 === 0 ? [first, second] : [second, first];
    await from.revoke(0);
    await to.assign(0);
    const at = sent[0]!;
    await stage.withAdmin((admin) =>
      until(`what comes behind move ${move} is committed`, async () => {
        const topic = topics["transaction.input.topic"];
        const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
        return Number(found!.partitions.find((p) => p.partition === 0)!.offset) > at;
      })
    );
  }
  loads = false;
  await loading;
  await loader.close();
  // A stop commits what is under way, and leaves what nobody has fetched yet.
  await stage.untilCommitted(scene, sent.reduce((sum, count) => sum + count));
  await job.stop();
  assertEquals(job.failure, null);
  assertEquals(job.workers.map((w) => w.figures().recoveries), [0, 0]);
  const results = await witness(stage.broker.bootstrap, topics["transaction.output.topic"]);
  for (const [partition, records] of results.entries()) {
    assertEquals(
      records.map(({ value }) => value!.split("\t")[0]),
      Array.from({ length: sent[partition]! }, (_, id) => String(id)),
      `results of partition ${partition}`,
    );
  }
});
