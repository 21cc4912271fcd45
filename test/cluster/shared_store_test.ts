// Processes that share partitions have their checkpoints in one store, the server denokv: whoever gets a partition goes
// on from those that another process made.

import { assert, assertStringIncludes } from "@std/assert";
import { startJob } from "../../tools/kit/job_process.ts";
import { freePort } from "../../tools/kit/test_broker.ts";
import { startKvServer, whyNoKvServer } from "../../tools/kit/kv_server.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { PARTITIONS, Scene } from "../faults/scene.ts";
import { assertGood, faultTest } from "../faults/with_broker.ts";
import { Stage } from "../kafka/scene.ts";
import { until } from "../kafka/until.ts";
import { clusterOf } from "../../tools/kit/cluster_view.ts";
import { Processes, SHARED } from "./processes.ts";
import { SharedStore } from "./shared_store.ts";

const stage = await Stage.shared();
const noServer = await whyNoKvServer();
const LOAD_PAUSE_MS = 200;
const RESTORED = /"message":"Recovered \d+ items in \d+ ms: [1-9]\d* from checkpoints/;

faultTest(
  "processes that share partitions go on from each other's checkpoints in one store, which may be away for a while",
  async (seed) => {
    const store = await SharedStore.start();
    const flags = { ...SHARED, ...store.flags };
    const options = { seed, flags, loadPauseMs: LOAD_PAUSE_MS, ...store.options };
    const verdict = await Scene.run(options, async (scene) => {
      const processes = new Processes(scene);
      try {
        await until("there are checkpoints", () => store.isWhole(PARTITIONS), scene.service);
        const second = await processes.join();
        await processes.settled();
        await until("it has restored what the first one wrote", () => RESTORED.test(second.log()));
        // Folding goes on meanwhile.
        await store.server.kill();
        await waitReady(second);
        // Nor does the group wait for it: one that has gone leaves its partitions to the others.
        await processes.kill(processes.running[0]!);
        await until(
          "the group goes on without the store",
          async () => (await clusterOf(second))?.processes.length === 1,
          second,
        );
        await store.server.restart();
        await processes.settled();
        await processes.join();
        await processes.settled();
        await processes.stopOthers();
      } catch (error) {
        for (const { log } of processes.running) console.log(log());
        await processes.end();
        throw error;
      }
    }).finally(() => store.remove());
    assertGood(seed, verdict);
    assert(verdict.inputs > 1000);
  },
  noServer,
);

faultTest(
  "a store that is not there is waited for at the start; one that refuses the token is exit 2",
  async () => {
    const server = await startKvServer();
    const scene = await stage.scene();
    const port = freePort();
    const start = (token: string) =>
      startJob(
        stage.broker.bootstrap,
        scene.folder,
        { ...scene.flags, ...SHARED, "state.kv": server.url, "http.port": String(port) },
        { DENO_KV_ACCESS_TOKEN: token },
      );
    try {
      const refused = String(await start("another-token").catch((error) => error));
      assertStringIncludes(refused, "exit 2");
      assertStringIncludes(refused, "Invalid access token");
      await server.kill();
      const waiting = start(server.token);
      const readiness = () =>
        fetch(`http://127.0.0.1:${port}/readyz`).then((response) => response.text(), () => "");
      const why = `The store of checkpoints at ${server.url} does not answer`;
      await until("it says what it waits for", async () => (await readiness()).includes(why));
      await server.restart();
      const service = await waiting;
      await waitReady(service);
      await stopInGoodOrder(service);
    } finally {
      await server.remove();
    }
  },
  noServer,
);
