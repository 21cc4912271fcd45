// Logs that lose their records or are damaged on the disk of their broker: the job exits 2 and says what to do. Starts a
// broker of its own (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { startJob } from "../../tools/kit/job_process.ts";
import { sharedBroker } from "../../tools/kit/test_broker.ts";
import { append, foldAndStop } from "./folded.ts";
import { type Scene, Stage } from "./scene.ts";
import { stockOf, untilAnswered, untilStock } from "./until.ts";
import { witness } from "./witness.ts";

const stage = await Stage.open();
const { broker } = stage;

/** A scene whose job has folded so many records of its only partition, and has stopped. */
async function folded(count: number): Promise<Scene> {
  const scene = await stage.scene(1);
  await foldAndStop(stage, scene, count);
  return scene;
}

const folderOf = (topic: string) => `${broker.folder}/logs/${topic}-0`;

/** Partition 0 is empty afterwards, as when the disk of its broker is lost. */
async function loseRecords(
  { topics }: Scene,
  ...roles: readonly ("transaction.input.topic" | "query.input.topic")[]
): Promise<void> {
  for (const role of roles) await Deno.remove(folderOf(topics[role]), { recursive: true });
}

async function ask({ topics }: Scene, query: string): Promise<void> {
  const producer = stage.kafka().producer();
  await producer.connect();
  await producer.send({ topic: topics["query.input.topic"], messages: [{ value: query }] });
  await producer.disconnect();
}

/** Flips a bit of the log of partition 0. */
async function damage(topic: string, whereIn: (bytes: Uint8Array) => number): Promise<void> {
  const file = `${folderOf(topic)}/00000000000000000000.log`;
  const bytes = await Deno.readFile(file);
  bytes[whereIn(bytes)]! ^= 1; // the broker checks no CRC when it is fetched
  await Deno.writeFile(file, bytes);
}

interface Harmed {
  /** Two whose records are lost. */
  readonly lost: readonly [Scene, Scene];
  /** One with a damaged batch that was not read yet. */
  readonly batch: Scene;
  /** One with a damaged query. */
  readonly query: Scene;
  /** One whose query was answered, and is lost. */
  readonly queries: Scene;
}

/** Everything comes to harm in one stop of the broker: its stops and starts take longest. */
async function harm(): Promise<Harmed> {
  const unread = async () => {
    const scene = await stage.scene(1);
    await append(broker.bootstrap, scene, 3);
    return scene;
  };
  const asked = async () => {
    const scene = await folded(3);
    await ask(scene, "1 item_2");
    return scene;
  };
  const answered = async () => {
    const scene = await asked();
    const service = await scene.start();
    await waitReady(service);
    await untilAnswered(service, 1);
    await stopInGoodOrder(service);
    return scene;
  };
  const [first, second, batch, query, queries] = await Promise.all([
    folded(3),
    folded(3),
    unread(),
    asked(),
    answered(),
  ]);
  await broker.stop();
  await loseRecords(first, "transaction.input.topic");
  await loseRecords(second, "transaction.input.topic");
  await loseRecords(queries, "query.input.topic");
  await damage(batch.topics["transaction.input.topic"], ({ length }) => length - 3); // in the last record
  await damage(
    query.topics["query.input.topic"],
    (bytes) => new TextDecoder("latin1").decode(bytes).lastIndexOf("item_2") + 5, // item_3
  );
  await broker.restart();
  return { lost: [first, second], batch, query, queries };
}

let harming: Promise<Harmed> | null = null;
const harmed = () => harming ??= harm();

stage.test("a log that lost its records goes on at its end, if that is accepted", async () => {
  const { lost: [scene] } = await harmed();
  const service = await scene.start({ "accept.offset": "true" });
  await waitReady(service);
  await append(broker.bootstrap, scene, 1, 4);
  // The checkpoint is ahead of the log, and the log has nothing else.
  await untilStock(service, "item_2", 1);
  await stopInGoodOrder(service);
  const again = await scene.start();
  await waitReady(again);
  assertEquals(await stockOf(again, "item_2"), 1);
  await stopInGoodOrder(again);
});

stage.test("a log that lost its records: exit 2, also when others took their offsets", async () => {
  const { lost: [, scene] } = await harmed();
  assertStringIncludes(await scene.refused(), "committed up to offset 3, but its log ends at 0");
  await append(broker.bootstrap, scene, 4, 100);
  assertStringIncludes(
    await scene.refused(),
    "has lost records that were read, and was written to since",
  );
});

stage.test("queries whose log lost its records: exit 2, and they go on at its end, if that is accepted", async () => {
  const { queries: scene } = await harmed();
  const topic = scene.topics["query.input.topic"];
  assertStringIncludes(
    await scene.refused(),
    `Queries of ${topic}-0 were answered up to offset 1, but its log ends at 0`,
  );
  const service = await scene.start({ "accept.offset": "true" });
  await waitReady(service);
  await ask(scene, "2 item_2");
  await untilAnswered(service, 1);
  await stopInGoodOrder(service);
  const answers = await witness(broker.bootstrap, scene.topics["query.output.topic"]);
  assertEquals(answers.flat().length, 2);
});

stage.test("a batch that is damaged on disk: read once more, then exit 2 naming its offset", async () => {
  const { batch: scene } = await harmed();
  const topic = scene.topics["transaction.input.topic"];
  const text = await scene.refused();
  assertStringIncludes(text, `${topic}-0 at offset 2`);
  assertStringIncludes(text, "it is read once more");
  assertStringIncludes(text, "stockflow: The log is damaged");
});

stage.test("queries that are damaged on disk: read once more, then exit 2, and no item is mixed up with another", async () => {
  const { query: scene } = await harmed();
  const topic = scene.topics["query.input.topic"];
  const text = await scene.refused();
  assertStringIncludes(text, `cannot read the queries of ${topic}-0 at offset 0: Its CRC is wrong`);
  assertStringIncludes(text, "it is read once more");
  const answers = await witness(broker.bootstrap, scene.topics["query.output.topic"]);
  assertEquals(answers.flat(), []);
});

stage.test("a state of another cluster: exit 2", async () => {
  const scene = await folded(1);
  const other = await sharedBroker();
  try {
    // The group has committed there too.
    await other.createTopics(Object.values(scene.topics), 1);
    await append(other.bootstrap, scene, 1);
    const service = await startJob(other.bootstrap, await stage.newFolder(), scene.flags);
    await waitReady(service);
    await stopInGoodOrder(service);
    const text = await scene.refused({ "kafka.bootstrap.servers": other.bootstrap });
    assertStringIncludes(text, "belongs to another log");
  } finally {
    await other.remove();
  }
});
