// Members of a group that cannot take over from each other: the one that joins is refused. Starts a broker of
// its own (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
import { KAFKA_VERSION, libraries } from "../../tools/kafka/libraries.ts";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { GroupView } from "../../tools/kit/group_view.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Scene, Stage } from "./scene.ts";
import { stockOf, until } from "./until.ts";

const stage = await Stage.shared();
const { broker } = stage;

/** Longer than what follows a kill here takes: nobody is taken out by time. Heartbeats are a tenth of it apart. */
const LONG_SESSION = { "kafka.session.timeout.ms": "60000" };

/** An active process that has committed one record. */
async function active(scene: Scene): Promise<Service> {
  const loader = await Loader.open(broker.bootstrap, scene.topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  await loader.close();
  const service = await scene.start(LONG_SESSION);
  await waitReady(service);
  return service;
}

/** Runs a job in a folder of its own until it exits 2; answers its last line. */
async function refusedBeside(scene: Scene, flags: Record<string, string>): Promise<string> {
  const folder = await stage.newFolder();
  const text = await scene.refused({ ...LONG_SESSION, "state.kv": `${folder}/state.kv`, ...flags });
  return text.trimEnd().split("\n").at(-1)!;
}

for (
  const [what, differs, says] of [
    [
      "another topic",
      { "transaction.output.topic": "" },
      "transaction.output.topic is not set here",
    ],
    [
      "other fold parameters",
      { "time.intervals.in.minutes": "5" },
      "windowMs is 300000 here and 60000 there",
    ],
  ] as const
) {
  stage.test(`a member with ${what} is refused: exit 2, and the active one goes on`, async () => {
    const scene = await stage.scene();
    const service = await active(scene);
    const line = await refusedBeside(scene, differs);
    assertStringIncludes(line, `Group ${scene.group} has members that run otherwise`);
    assertStringIncludes(line, says);
    assertStringIncludes(line, "stop all of them in good order first");
    await waitReady(service);
    assertEquals(await stockOf(service, "item_2"), 70);
    assertEquals(service.log().includes("stands by"), false, service.log());
    // One that is as the others may stand by.
    const folder = await stage.newFolder();
    const same = await scene.start({ ...LONG_SESSION, "state.kv": `${folder}/state.kv` });
    await until("it stands by", () => same.log().includes("stands by"), same);
    await stopInGoodOrder(service);
    await waitReady(same);
    await stopInGoodOrder(same);
  });
}

stage.test("a process that is started again with other parameters is refused, though it led the group", async () => {
  const scene = await stage.scene();
  const first = await active(scene);
  const folder = await stage.newFolder();
  const second = await scene.start({ ...LONG_SESSION, "state.kv": `${folder}/state.kv` });
  await until("it stands by", () => second.log().includes("stands by"), second);
  await first.kill();
  // With its member id, by which the group makes it the leader again if it is fast.
  const text = await scene.refused({ ...LONG_SESSION, "time.intervals.in.minutes": "5" });
  assertStringIncludes(text, "windowMs is 300000 here and 60000 there");
  await waitReady(second);
  assertEquals(await stockOf(second, "item_2"), 70);
  await stopInGoodOrder(second);
});

/** A consumer of the new protocol in a group, of Java. */
async function newConsumer(group: string, topic: string): Promise<Deno.ChildProcess> {
  return new Deno.Command("java", {
    // deno-fmt-ignore
    args: ["-cp", `${await libraries(KAFKA_VERSION)}/*`, "org.apache.kafka.tools.consumer.ConsoleConsumer",
      "--bootstrap-server", broker.bootstrap, "--topic", topic, "--group", group,
      "--consumer-property", "group.protocol=consumer"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

async function ended(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGTERM");
  } catch {
    // It has ended already.
  }
  await child.status;
}

stage.test("a group of the new consumer protocol that is there first: exit 2, named as such", async () => {
  const scene = await stage.scene();
  const consumer = await newConsumer(scene.group, scene.topics["query.input.topic"]);
  try {
    // Until the consumer has joined, the group is not there.
    const view = await GroupView.open(broker.bootstrap, scene.group);
    await until("the group is there", () => view.exists());
    await view.close();
    const text = await scene.refused();
    assertStringIncludes(text, `Group ${scene.group} is one of the new consumer protocol`);
    assertStringIncludes(text, "set another kafka.group.id");
  } finally {
    await ended(consumer);
  }
});

stage.test("a consumer of the new protocol that joins our group does not disturb it", async () => {
  const scene = await stage.scene();
  const service = await active(scene);
  const view = await GroupView.open(broker.bootstrap, scene.group);
  const consumer = await newConsumer(scene.group, scene.topics["query.input.topic"]);
  // The broker refuses it, and it ends by itself.
  let isOver = false;
  void consumer.status.then(() => isOver = true);
  await until("the consumer is refused", () => isOver, service);
  assertEquals((await view.members()).length, 1);
  await view.close();
  await waitReady(service);
  assertEquals(service.log().match(/recovering|stands by/g), null, service.log());
  await stopInGoodOrder(service);
});
