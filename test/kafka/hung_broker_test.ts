// Processes that stop while their broker hangs. Starts a broker of its own, which is stopped by SIGSTOP.

import { assertEquals } from "@std/assert";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { asked, assertOnce, isAlive, isReady, LONG_SESSION, pair } from "./pair.ts";
import { Stage } from "./scene.ts";
import { until, untilStock } from "./until.ts";

const stage = await Stage.open();
const { broker } = stage;

stage.test("a process that stops in good order, however long it takes, is not taken out", async () => {
  const scene = await stage.scene();
  const flags = { ...LONG_SESSION, "commit.interval.ms": "30000" };
  const { loader, active, standing } = await pair(stage, scene, flags);
  await loader.append([loader.recordOf("2\t1\titem_2\t-60", 2)]);
  await untilStock(active, "item_2", 10);
  await asked();
  // What is folded is committed before it ends, for which it needs the broker.
  Deno.kill(broker.pid, "SIGSTOP");
  try {
    active.signal("SIGTERM");
    await until("it is not ready", async () => !await isReady(active), active);
    await asked();
    assertEquals(await isAlive(active), true);
    assertEquals(standing.log().includes("is gone"), false, standing.log());
  } finally {
    Deno.kill(broker.pid, "SIGCONT");
  }
  assertEquals((await active.status).code, 0, active.log());
  await waitReady(standing);
  await stopInGoodOrder(standing);
  await loader.close();
  await assertOnce(stage, scene, ["1\t1\titem_2\t70\ttrue", "2\t1\titem_2\t-60\ttrue"]);
});

stage.test("a process that stops while its broker hangs does not wait for answers to its group", async () => {
  const scene = await stage.scene();
  const service = await scene.start({ "shutdown.timeout.ms": "12000" });
  await waitReady(service);
  Deno.kill(broker.pid, "SIGSTOP");
  try {
    await asked(); // a heartbeat is under way by then
    await stopInGoodOrder(service);
  } finally {
    Deno.kill(broker.pid, "SIGCONT");
  }
});
