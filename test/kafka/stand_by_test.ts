// A stand-by takes over from a process that was killed, long before the group would notice.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { asked, assertOnce, isReady, LONG_SESSION, pair } from "./pair.ts";
import { Stage } from "./scene.ts";
import { stockOf, until, untilStock } from "./until.ts";

const stage = await Stage.shared();
const { broker } = stage;

stage.test("a stand-by takes a killed process out of the group, and takes over", async () => {
  const scene = await stage.scene();
  const { loader, active, standing } = await pair(stage, scene, LONG_SESSION);
  await asked();
  await active.kill();
  await loader.append([loader.recordOf("2\t1\titem_2\t-60", 2)]);
  await waitReady(standing);
  assertStringIncludes(standing.log(), "is gone: it is taken out");
  await untilStock(standing, "item_2", 10);
  await stopInGoodOrder(standing);
  await loader.close();
  await assertOnce(stage, scene, ["1\t1\titem_2\t70\ttrue", "2\t1\titem_2\t-60\ttrue"]);
});

stage.test("the active process keeps its instances while others join and leave", async () => {
  const scene = await stage.scene();
  const { loader, active, standing } = await pair(stage, scene, { "parallelism": "2" });
  const kept = () => active.log().match(/go on where they were left/g)?.length ?? 0;
  await until("both threads keep theirs", () => kept() === 2, active);
  await loader.append([loader.recordOf("2\t1\titem_2\t-60", 2)]);
  await stage.untilCommitted(scene, 2);
  await stopInGoodOrder(standing);
  await until("they keep them again", () => kept() === 4, active);
  await waitReady(active);
  assertEquals(await stockOf(active, "item_2"), 10);
  assertEquals(active.log().match(/recovering|Recovered/g), null, active.log());
  await stopInGoodOrder(active);
  await loader.close();
  await assertOnce(stage, scene, ["1\t1\titem_2\t70\ttrue", "2\t1\titem_2\t-60\ttrue"]);
});

stage.test("a process that stands by says so at once, and where the active one is", async () => {
  const scene = await stage.scene();
  const { loader, active, standing } = await pair(stage, scene, LONG_SESSION);
  const get = async (service: Service, path: string) => {
    const response = await fetch(`${service.url}${path}`);
    return [response.status, await response.text(), response.headers.get("retry-after")] as const;
  };
  const [status, text, retry] = await get(standing, "/items/item_2");
  assertEquals([status, retry], [503, "1"]);
  const where = `This process stands by; the active one is at ${new URL(active.url).host}`;
  assertEquals(JSON.parse(text), { error: { reason: "stand_by", message: where } });
  const [unready, why] = await get(standing, "/readyz");
  assertEquals(unready, 503);
  assertStringIncludes(why, where);
  // Of a rollout that waits for each process in turn.
  assertEquals((await get(standing, "/readyz?for=stand-by")).slice(0, 2), [200, "stands by\n"]);
  await waitReady(active); // the group has just had a new generation
  assertEquals((await get(active, "/readyz?for=stand-by")).slice(0, 2), [200, "ready\n"]);
  await stopInGoodOrder(active);
  await waitReady(standing);
  assertEquals((await get(standing, "/readyz?for=stand-by")).slice(0, 2), [200, "ready\n"]);
  assertEquals(await stockOf(standing, "item_2"), 70);
  await stopInGoodOrder(standing);
  await loader.close();
});

stage.test("lag and throughput are reported", async () => {
  const scene = await stage.scene(1);
  const loader = await Loader.open(broker.bootstrap, scene.topics["transaction.input.topic"]);
  const service = await scene.start();
  await waitReady(service);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  await stage.untilCommitted(scene, 1);
  await until(
    "lag and throughput are reported",
    () =>
      /"message":"\d+ records\/s, 1 records, 1 items, 0 alerts, 0 records behind"/
        .test(service.log()),
  );
  const metrics = await (await fetch(`${service.url}/metrics`)).text();
  assertStringIncludes(metrics, 'stockflow_lag_records{partition="0"} 0');
  await stopInGoodOrder(service);
  await loader.close();
});

stage.test("a process that starts again at once, and one that stands by: nothing is lost", async () => {
  const scene = await stage.scene();
  const flags = { "kafka.session.timeout.ms": "30000" };
  const { loader, active, standing } = await pair(stage, scene, flags);
  await asked();
  await active.kill();
  // At the same address, with its member id.
  const again = await scene.start({ ...flags, "http.port": new URL(active.url).port });
  await loader.append([loader.recordOf("2\t1\titem_2\t-60", 2)]);
  await stage.untilCommitted(scene, 2);
  const isOneReady = async () => (await Promise.all([again, standing].map(isReady))).includes(true);
  await until("one of them is ready", isOneReady, again, standing);
  const ready = await Promise.all([again, standing].map(isReady));
  assertEquals(ready.toSorted(), [false, true]);
  const [taken, other] = ready[0] ? [again, standing] : [standing, again];
  assertEquals(await stockOf(taken, "item_2"), 10);
  await stopInGoodOrder(other);
  await stopInGoodOrder(taken);
  await loader.close();
  await assertOnce(stage, scene, ["1\t1\titem_2\t70\ttrue", "2\t1\titem_2\t-60\ttrue"]);
});

stage.test("a process that stops while its group waits for another that hangs does so at once, and leaves", async () => {
  const scene = await stage.scene();
  const active = await scene.start(LONG_SESSION);
  await waitReady(active);
  active.signal("SIGSTOP");
  const folder = await stage.newFolder();
  const joining = await scene.start({ ...LONG_SESSION, "state.kv": `${folder}/state.kv` });
  await asked();
  await stopInGoodOrder(joining);
  active.signal("SIGCONT");
  // The group would wait for one that has not left.
  await until(
    "partitions are kept",
    () => active.log().includes("go on where they were left"),
    active,
  );
  await waitReady(active);
  await stopInGoodOrder(active);
});
