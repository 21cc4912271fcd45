// Whatever the job waits for longer than a moment is reported: by one line, by /readyz and by a metric. Starts
// brokers of its own (tools/kit/test_broker.ts).

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { freePort } from "../../tools/kit/test_broker.ts";
import { Loader } from "../../tools/kit/load.ts";
import { Stage } from "./scene.ts";
import { stockOf, until } from "./until.ts";

const stage = await Stage.open();
const { broker } = stage;
/** Its transaction coordinator has no topic: three replicas need three brokers. */
const poor = stage.skipped
  ? stage
  : await Stage.open({ "transaction.state.log.replication.factor": "3" });

async function read(url: string): Promise<{ status: number; text: string; retry: string | null }> {
  const response = await fetch(url);
  const text = await response.text();
  return { status: response.status, text, retry: response.headers.get("retry-after") };
}

/** Resolves when an answer has a text in it; gives its status. */
async function untilAnswered(url: string, part: string): Promise<number> {
  let last = { status: 0, text: "" };
  const isThere = async () => {
    last = await read(url).catch(() => ({ status: 0, text: "" }));
    return last.text.includes(part);
  };
  await until(`${url} answers with "${part}"`, isThere).catch((error: Error) => {
    throw new Error(`${error.message}; it answers ${last.text}`);
  });
  return last.status;
}

/** The one line that says that something is waited for. */
function assertOneLine({ log }: Service, what: string): void {
  const lines = log().split("\n").filter((line) => line.includes(`"message":"${what}: `));
  const begun = lines.filter((line) => line.includes("it blocks"));
  assertEquals(begun.length, 1, log());
}

stage.test("a broker that is down at the start: HTTP answers, and the job starts when it is there", async () => {
  const scene = await stage.scene(1);
  const loader = await Loader.open(broker.bootstrap, scene.topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  await loader.close();
  await broker.stop();
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const starting = scene.start({ "http.port": String(port) });
  try {
    await untilAnswered(`${url}/livez`, "ok");
    assertEquals(await untilAnswered(`${url}/readyz`, "does not answer"), 503);
    assertMatch((await read(`${url}/readyz`)).text, /The job starts; kafka: Kafka at \S+ does not/);
    await untilAnswered(`${url}/metrics`, 'stockflow_unavailable{what="kafka"} 1');
    const { status, text, retry } = await read(`${url}/items/item_2`);
    assertEquals([status, retry], [503, "1"]);
    assertStringIncludes(text, broker.bootstrap);
  } finally {
    await broker.restart();
  }
  const service = await starting;
  await waitReady(service);
  assertEquals(await stockOf(service, "item_2"), 70);
  assertStringIncludes(
    (await read(`${url}/metrics`)).text,
    'stockflow_unavailable{what="kafka"} 0',
  );
  assertOneLine(service, "kafka");
  await stopInGoodOrder(service);
});

stage.test("a job that waits for its broker stops when it is asked to", async () => {
  const { start } = await stage.scene(1);
  await broker.stop();
  const port = freePort();
  const starting = start({ "http.port": String(port) }).catch((error: Error) => error.message);
  try {
    await untilAnswered(`http://127.0.0.1:${port}/readyz`, "does not answer");
  } finally {
    await broker.restart();
  }
  const service = await starting;
  if (typeof service === "string") throw new Error(service);
  await stopInGoodOrder(service);
});

stage.test("a broker that goes while the job runs is reported, and reported to be back", async () => {
  const scene = await stage.scene(1);
  const service = await scene.start();
  await waitReady(service);
  await broker.stop();
  try {
    assertEquals(await untilAnswered(`${service.url}/readyz`, "Kafka does not answer"), 503);
    await untilAnswered(`${service.url}/metrics`, 'stockflow_unavailable{what="group"} 1');
  } finally {
    await broker.restart();
  }
  await waitReady(service);
  await untilAnswered(`${service.url}/metrics`, 'stockflow_unavailable{what="group"} 0');
  await stopInGoodOrder(service);
});

stage.test("topics are created once the cluster takes requests, however early that is asked for", async () => {
  const topic = `early-${crypto.randomUUID()}`;
  await broker.stop();
  const creating = broker.createTopics([topic], 3);
  await broker.restart();
  await creating;
  const loader = await Loader.open(broker.bootstrap, topic);
  assertEquals(loader.partitions, 3);
  await loader.close();
});

poor.test("a transaction coordinator that cannot be made is reported within seconds", async () => {
  const scene = await poor.scene(1);
  const service = await scene.start();
  assertEquals(await untilAnswered(`${service.url}/readyz`, "coordinator"), 503);
  const { text } = await read(`${service.url}/readyz`);
  assertMatch(text, /coordinator of transaction group-\d+-[tq]-0 does not take requests/);
  await untilAnswered(`${service.url}/metrics`, 'stockflow_unavailable{what="coordinator"} 1');
  assertOneLine(service, "coordinator");
  await stopInGoodOrder(service);
});
