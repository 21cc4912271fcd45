// Processes that share partitions have their checkpoints in one store, the server denokv: whoever gets a partition goes
// on from those that another process made.

import { assert, assertStringIncludes } from "@std/assert";
import { openRemoteKv } from "../../src/kv/mod.ts";
import { groupStore } from "../../src/service/remote_store.ts";
import { JOB_NAME } from "../../src/service/mod.ts";
import { CheckpointStore } from "../../src/state/mod.ts";
import { systemChance, systemClock } from "../../src/types/mod.ts";
import { GROUP, startJob } from "../../tools/kit/job_process.ts";
import { startKvServer, whyNoKvServer } from "../../tools/kit/kv_server.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Scene } from "../faults/scene.ts";
import { assertGood, faultTest } from "../faults/with_broker.ts";
import { Stage } from "../kafka/scene.ts";
import { until } from "../kafka/until.ts";
import { Processes, SHARED } from "./processes.ts";

const stage = await Stage.shared();
const LOAD_PAUSE_MS = 200;
const RESTORED = /"message":"Recovered \d+ items in \d+ ms: [1-9]\d* from checkpoints/;

/** Whether a store has a checkpoint of each partition. */
async function isWhole(open: () => Promise<CheckpointStore>, partitions: number): Promise<boolean> {
  const store = await open();
  const found = await store.partitions();
  store.close();
  return found.length === partitions;
}

faultTest(
  "processes that share partitions go on from each other's checkpoints in one store, which may be away for a while",
  async (seed) => {
    const server = await startKvServer();
    const before = Deno.env.get("DENO_KV_ACCESS_TOKEN");
    Deno.env.set("DENO_KV_ACCESS_TOKEN", server.token);
    const openStore = async () =>
      await CheckpointStore.open(groupStore(await openRemoteKv(server.url), GROUP), {
        job: JOB_NAME,
        clock: systemClock,
        chance: systemChance,
      });
    try {
      const options = {
        seed,
        flags: { ...SHARED, "state.kv": server.url },
        env: { DENO_KV_ACCESS_TOKEN: server.token },
        loadPauseMs: LOAD_PAUSE_MS,
        openStore,
      };
      const verdict = await Scene.run(options, async (scene) => {
        const processes = new Processes(scene);
        try {
          await until("there are checkpoints", () => isWhole(openStore, 4), scene.service);
          const second = await processes.join();
          await processes.settled();
          await until(
            "it has restored what the first one wrote",
            () => RESTORED.test(second.log()),
          );
          // Folding goes on meanwhile.
          await server.kill();
          await waitReady(second);
          await server.restart();
          await processes.kill(processes.running[0]!);
          await processes.settled();
          await processes.join();
          await processes.settled();
          await processes.stopOthers();
        } catch (error) {
          for (const { log } of processes.running) console.log(log());
          await processes.end();
          throw error;
        }
      });
      assertGood(seed, verdict);
      assert(verdict.inputs > 1000);
    } finally {
      if (before === undefined) Deno.env.delete("DENO_KV_ACCESS_TOKEN");
      else Deno.env.set("DENO_KV_ACCESS_TOKEN", before);
      await server.remove();
    }
  },
  await whyNoKvServer(),
);

faultTest(
  "a store that is not there is waited for at the start; one that refuses the token is exit 2",
  async () => {
    const server = await startKvServer();
    const scene = await stage.scene();
    const start = (token: string) =>
      startJob(
        stage.broker.bootstrap,
        scene.folder,
        { ...scene.flags, ...SHARED, "state.kv": server.url },
        { DENO_KV_ACCESS_TOKEN: token },
      );
    try {
      const refused = String(await start("another-token").catch((error) => error));
      assertStringIncludes(refused, "exit 2");
      assertStringIncludes(refused, "Invalid access token");
      await server.kill();
      const waiting = start(server.token);
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await server.restart();
      const service = await waiting;
      await waitReady(service);
      assertStringIncludes(service.log(), "does not answer");
      await stopInGoodOrder(service);
    } finally {
      await server.remove();
    }
  },
  await whyNoKvServer(),
);
