// Partitions of inputs and outputs that are moved to another broker and back while records come, as by
// kafka-reassign-partitions. Starts brokers of its own (tools/kit/test_broker.ts).

import { assertEquals } from "@std/assert";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { Stage } from "./scene.ts";
import { secondBroker } from "./spread.ts";
import { until } from "./until.ts";
import { witness } from "./witness.ts";

const stage = await Stage.open();
const { broker } = stage;
const INPUT = "transaction.input.topic";
const RESULTS = "transaction.output.topic";

/** Moves both partitions of topics to a broker, and waits until they are there. */
async function moveTo(node: number, topics: readonly string[]): Promise<void> {
  await stage.withAdmin(async (admin) => {
    await admin.alterPartitionReassignments({
      topics: topics.map((topic) => ({
        topic,
        partitionAssignment: [0, 1].map((partition) => ({ partition, replicas: [node] })),
      })),
    });
    await until(`${topics} are on broker ${node}`, async () => {
      const { topics: found } = await admin.fetchTopicMetadata({ topics: [...topics] });
      return found.flatMap((t) => t.partitions)
        .every((p) => p.leader === node && p.replicas.length === 1);
    });
  });
}

stage.test("partitions of inputs and outputs are moved to another broker and back under load: one result of each record", async () => {
  const scene = await stage.scene(2);
  const second = await secondBroker(stage);
  try {
    const topics = Object.values(scene.topics);
    const service = await scene.start();
    await waitReady(service);
    const loader = await Loader.open(broker.bootstrap, scene.topics[INPUT]);
    let id = 0;
    let stopped = false;
    const load = (async () => {
      while (!stopped) {
        const record = () => loader.recordOf(`${++id}\t1\titem_${id % 20}\t1`, id);
        await loader.append(Array.from({ length: 20 }, record));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    for (const node of [2, 1, 2, 1]) {
      await moveTo(node, topics.slice(0, 3));
      await moveTo(node, topics.slice(3));
    }
    stopped = true;
    await load;
    // Those that the load wrote again count too.
    const inputs = (await witness(broker.bootstrap, scene.topics[INPUT])).flat().length;
    await stage.untilCommitted(scene, inputs, service);
    await stopInGoodOrder(service);
    await loader.close();
    const results = (await witness(broker.bootstrap, scene.topics[RESULTS])).flat();
    assertEquals(results.length, inputs);
  } finally {
    await second.remove();
  }
});
