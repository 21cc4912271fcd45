// Sources in the process of a job on Kafka: fromRecords and fromLines bring records into its topics.

import { assert, assertEquals } from "@std/assert";
import { ClientClosedError } from "../../src/kafka/client/errors.ts";
import { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import { KafkaFeedWriter } from "../../src/kafka/feed_writer.ts";
import { encodeUtf8, systemClock } from "../../src/types/mod.ts";
import { linesOf, startFeedProcess } from "./feed_process.ts";
import { type Scene, Stage } from "./scene.ts";
import { until } from "./until.ts";
import { witness } from "./witness.ts";

const stage = await Stage.shared();

const COUNT = 400;

interface Life {
  readonly noted: string;
  readonly answers: string;
  readonly child: Deno.ChildProcess;
}

/** Starts the job with feeds; `name` is that of its files. */
function start(scene: Scene, name: string, noted: string, port: number): Life {
  const answers = `${scene.folder}/answers-${name}`;
  const child = startFeedProcess({
    scene,
    bootstrap: stage.broker.bootstrap,
    folder: scene.folder,
    noted,
    answers,
    count: COUNT,
    port,
    flags: { "state.kv": `${scene.folder}/${name}.kv` },
    output: { stdout: "null", stderr: "inherit" },
  });
  return { noted, answers, child };
}

async function end(life: Life, signal: Deno.Signal): Promise<number> {
  life.child.kill(signal);
  return (await life.child.status).code;
}

stage.test("fromRecords and fromLines on Kafka: what was noted is there once, over kill -9; one that stands by brings nothing", async () => {
  const scene = await stage.scene(2);
  const { topics, folder } = scene;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.TcpConn[] = [];
  void (async () => {
    for await (const connection of listener) connections.push(connection);
  })().catch(() => {}); // it is closed at the end
  const { port } = listener.addr as Deno.NetAddr;
  const lives: Life[] = [];
  try {
    const first = start(scene, "first", `${folder}/noted`, port);
    lives.push(first);
    await until("the first brings records", async () => (await linesOf(first.noted)).length > 20);
    const standBy = start(scene, "second", `${folder}/noted`, port);
    lives.push(standBy);
    await until("lines are taken", () => connections.length === 1);
    await connections[0]!.write(
      new TextEncoder().encode("1 item_0\n2 item_1\nnonsense\n3 unseen\n"),
    );
    await until("they are answered", async () => (await linesOf(first.answers)).length === 3);
    const ids = (await linesOf(first.answers)).map((line) => line.split(" ")[0]);
    assertEquals(ids.toSorted(), ["1", "2", "3"]); // of two partitions
    await until("half is brought", async () => (await linesOf(first.noted)).length > COUNT / 2);
    // Whoever stands by has not connected.
    assertEquals(connections.length, 1);
    await end(first, "SIGKILL");
    await until("the other goes on", () => connections.length === 2);
    await until("all is brought", async () => (await linesOf(standBy.noted)).length === COUNT);
    assertEquals(await end(standBy, "SIGTERM"), 0);
  } finally {
    listener.close();
    for (const connection of connections) {
      try {
        connection.close();
      } catch {
        // The other side has.
      }
    }
    for (const { child } of lives) {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
    }
  }
  const bootstrap = stage.broker.bootstrap;
  const inputs = (await witness(bootstrap, topics["transaction.input.topic"])).flat();
  const ids = inputs.map(({ value }) => Number(value!.split("\t")[0]));
  assertEquals(
    [...new Set(ids)].toSorted((a, b) => a - b),
    Array.from({ length: COUNT }, (_, id) => id),
  );
  // What was brought and not noted when it was killed comes again, and nothing else.
  assert(ids.length <= COUNT + 1, `${ids.length} records`);
  const results = (await witness(bootstrap, topics["transaction.output.topic"])).flat();
  assertEquals(results.length, ids.length);
});

stage.test("an append to Kafka whose acknowledgement is lost is there once, however often it is repeated", async () => {
  const { topics } = await stage.scene(2);
  const topic = topics["transaction.input.topic"];
  let lost = 0;
  const writer = new KafkaFeedWriter(
    { brokers: [stage.broker.bootstrap], clientId: "feeds" },
    "gzip",
    systemClock,
    () => {
      const client = new KafkaClient(
        { brokers: [stage.broker.bootstrap], clientId: "feeds" },
        systemClock,
      );
      const produce = client.produce.bind(client);
      let sent = 0;
      // The second request of every client is lost behind the broker, where it was executed.
      client.produce = async (...args) => {
        const going = await produce(...args);
        await going.acknowledged;
        if (++sent < 2) return going;
        lost++;
        throw new ClientClosedError("The answer is lost");
      };
      return client;
    },
  );
  for (const partition of [0, 1, 0]) {
    const records = Array.from({ length: 3000 }, (_, n) => ({
      timestamp: Date.now(),
      key: null,
      value: encodeUtf8(`${n} ${"x".repeat(50)}`),
    }));
    await until(
      `records are appended to partition ${partition}`,
      () => writer.append(topic, partition, records).then(() => true, () => false),
    );
  }
  await writer.close();
  assert(lost >= 3, `${lost} acknowledgements were lost`);
  const partitions = await witness(stage.broker.bootstrap, topic);
  assertEquals(partitions.map((records) => records.length), [6000, 3000]);
  for (const records of partitions) {
    const numbers = records.map(({ value }) => Number(value!.split(" ")[0]));
    assertEquals(numbers, numbers.map((_, i) => i % 3000));
  }
});
