// A job that brokers throttle: it becomes slow, and nothing else. Starts a broker of its own (tools/kit/test_broker.ts).

import { assertEquals } from "@std/assert";
import { stopInGoodOrder } from "../../tools/kit/service.ts";
import { runTool } from "./java_tools.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Scene, Stage } from "./scene.ts";
import { until } from "./until.ts";
import { witness } from "./witness.ts";

const stage = await Stage.open();
const { broker } = stage;
const INPUT = "transaction.input.topic";

/** Sets quotas of the job, by its client id; null takes them away. */
async function setQuotas(quotas: Readonly<Record<string, number | null>>): Promise<void> {
  const names = Object.entries(quotas);
  const added = names.filter(([, value]) => value !== null).map(([name, value]) =>
    `${name}=${value}`
  );
  const deleted = names.filter(([, value]) => value === null).map(([name]) => name);
  await runTool("kafka.admin.ConfigCommand", [
    "--bootstrap-server",
    broker.bootstrap,
    "--alter",
    "--entity-type",
    "clients",
    "--entity-name",
    "stockflow",
    ...(added.length > 0 ? ["--add-config", added.join(",")] : []),
    ...(deleted.length > 0 ? ["--delete-config", deleted.join(",")] : []),
  ]);
}

/** Appends so many records. */
async function append({ topics }: Scene, from: number, count: number): Promise<void> {
  const loader = await Loader.open(broker.bootstrap, topics[INPUT]);
  const record = (id: number) => loader.recordOf(`${id}\t1\titem_${id % 50}\t1`, id);
  await loader.append(Array.from({ length: count }, (_, i) => record(from + i)));
  await loader.close();
}

stage.test("a quota that lets no batch pass is reported, and no session is lost by it", async () => {
  const scene = await stage.scene(1);
  // Of these batches none fits into a window of the quota: brokers give nothing for half a minute at a time.
  await append(scene, 1, 14_000);
  await setQuotas({ consumer_byte_rate: 5000 });
  const service = await scene.start();
  await until("it is reported", async () => {
    const text = await (await fetch(`${service.url}/readyz`)).text();
    return text.includes("a quota of the broker holds this client back");
  }, service);
  await setQuotas({ consumer_byte_rate: null });
  await stage.untilCommitted(scene, 14_000, service);
  await stopInGoodOrder(service);
  assertEquals(service.log().includes("gave no answer"), false, service.log());
  assertEquals(service.log().includes("recovering"), false, service.log());
  const results = await witness(broker.bootstrap, scene.topics["transaction.output.topic"]);
  assertEquals(results.flat().length, 14_000);
});
