// A broker in whose place another cluster is started, as in development or behind a name that is moved: the job does
// not go on there. Starts a broker of its own (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
import { waitReady } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { Stage } from "./scene.ts";
import { exitCode, until } from "./until.ts";

const stage = await Stage.open();
const { broker } = stage;

stage.test("another cluster at the address of the brokers while the job runs: exit 2, naming both", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics["transaction.input.topic"];
  const service = await scene.start();
  await waitReady(service);
  const loader = await Loader.open(broker.bootstrap, topic);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  await loader.close();
  await stage.untilCommitted(scene, 1, service);
  await broker.kill();
  await Deno.remove(`${broker.folder}/logs`, { recursive: true });
  await broker.restart();
  await until(
    "the topics are created there",
    () => broker.createTopics(Object.values(scene.topics), 1).then(() => true, () => false),
    service,
  );
  assertEquals(await exitCode(service), 2, service.log());
  assertStringIncludes(service.log(), `Kafka at ${broker.bootstrap} is another cluster now`);
});
