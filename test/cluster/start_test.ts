// How processes that share partitions begin: beside others, behind others, and on a log that is not whole any more.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Loader } from "../../tools/kit/load.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Stage } from "../kafka/scene.ts";
import { stockOf, untilStock } from "../kafka/until.ts";
import { witness } from "../kafka/witness.ts";
import { clusterOf } from "../../tools/kit/cluster_view.ts";
import { SHARED } from "./processes.ts";

const stage = await Stage.shared();
const ALONE = { "kafka.partitions.shared": "false" };

/** What deno task state says. */
async function state(...args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "-P=state", "src/cli/state.ts", ...args],
    cwd: new URL("../../", import.meta.url),
  }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

stage.test("processes that share partitions and such that do not are refused side by side; once all have stopped, the others go on", async () => {
  const scene = await stage.scene();
  const loader = await Loader.open(stage.broker.bootstrap, scene.topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  const folder = await stage.newFolder();
  const other = { "state.kv": `${folder}/state.kv` };
  for (const [first, second] of [[ALONE, SHARED], [SHARED, ALONE]] as const) {
    const running = await scene.start(first);
    await waitReady(running);
    const said = await scene.refused({ ...second, ...other });
    assertStringIncludes(said, "have another kafka.partitions.shared than this one");
    assertStringIncludes(said, "stop all processes of the group, then start all");
    await untilStock(running, "item_2", 70);
    await stopInGoodOrder(running);
  }
  await loader.append([loader.recordOf("2\t1\titem_2\t-60", 2)]);
  const shared = await scene.start(SHARED);
  await waitReady(shared);
  await untilStock(shared, "item_2", 10);
  assertEquals((await clusterOf(shared))?.processes.length, 1);
  const said = await state("cluster", `--http=${new URL(shared.url).host}`);
  assertStringIncludes(said, `${new URL(shared.url).host} leads`);
  assertStringIncludes(said, `${scene.topics["transaction.input.topic"]}: 0 (since `);
  await stopInGoodOrder(shared);
  await loader.close();
  const results = await witness(stage.broker.bootstrap, scene.topics["transaction.output.topic"]);
  assertEquals(results.flat().map((r) => r.value).toSorted(), [
    "1\t1\titem_2\t70\ttrue",
    "2\t1\titem_2\t-60\ttrue",
  ]);
});

stage.test("partitions are not shared where a log has lost its start: exit 2", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics["transaction.input.topic"];
  const loader = await Loader.open(stage.broker.bootstrap, topic);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  const running = await scene.start(SHARED);
  await waitReady(running);
  await stage.untilCommitted(scene, 1);
  await stopInGoodOrder(running);
  await stage.withAdmin(async (admin) => {
    await admin.fetchTopicMetadata({ topics: [topic] }); // without it kafkajs knows no leaders
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "1" }] });
  });
  const why =
    "cannot go from one process to another: its state began at offset 0, and its log now begins at 1";
  assertStringIncludes(await scene.refused(SHARED), why);
  const alone = await scene.start(ALONE);
  await waitReady(alone);
  assertEquals(await stockOf(alone, "item_2"), 70);
  assertStringIncludes(await state("cluster", `--http=${new URL(alone.url).host}`), "answers 409");
  await stopInGoodOrder(alone);
  await loader.close();
});

stage.test("two processes with one state.dir: the second is refused, and the first goes on", async () => {
  const scene = await stage.scene();
  const own = await stage.newFolder();
  const first = await scene.start({ ...SHARED, "state.dir": own });
  await waitReady(first);
  const { generation } = (await clusterOf(first))!;
  const folder = await stage.newFolder();
  const said = await scene.refused({
    ...SHARED,
    "state.dir": own,
    "state.kv": `${folder}/state.kv`,
  });
  assertStringIncludes(said, `state.dir=${own} is used by another process`);
  assertEquals((await clusterOf(first))!.generation, generation);
  await stopInGoodOrder(first);
  const again = await scene.start({ ...SHARED, "state.dir": own });
  await waitReady(again);
  await stopInGoodOrder(again);
});
