// Three real processes of one group share partitions under load, on a broker of their own.

import { assert, assertEquals } from "@std/assert";
import { PARTITIONS, Scene } from "../faults/scene.ts";
import { assertGood, faultTest } from "../faults/with_broker.ts";
import { TOPICS } from "../../tools/kit/job_process.ts";
import { Asker } from "./asker.ts";
import type { ClusterAnswer } from "../../src/http/cluster.ts";
import { Processes, SHARED } from "./processes.ts";

/** A light load: with the faults it is the moments that count. */
const LOAD_PAUSE_MS = 200;

/** By process: how many partitions of a topic it has. */
function partsOf({ processes }: ClusterAnswer, topic: string): number[] {
  return processes.map(({ partitions }) => partitions[topic]!.length).toSorted();
}

faultTest(
  "three processes share partitions: kills, joins and leaves lose nothing and double nothing, and no answer is older than one before",
  async (seed) => {
    let said = "";
    const verdict = await Scene.run(
      { seed, flags: SHARED, loadPauseMs: LOAD_PAUSE_MS },
      async (scene) => {
        const processes = new Processes(scene);
        const asker = await Asker.start(scene.broker.bootstrap, () => processes.running);
        try {
          await processes.join();
          await processes.join();
          const three = await processes.settled();
          for (const topic of [TOPICS["transaction.input.topic"], TOPICS["query.input.topic"]]) {
            const parts = partsOf(three, topic);
            assertEquals(parts.reduce((a, b) => a + b), PARTITIONS);
            assert(Math.max(...parts) - Math.min(...parts) <= 1, `${parts}`);
          }
          await asker.more(60);
          // The leader, and one that is not.
          for (const isLeader of [true, false]) {
            const { leader, processes: members } = await processes.settled();
            const victim = members.find(({ life }) => (life === leader) === isLeader)!;
            const service = processes.running.find(({ url }) =>
              new URL(url).host === victim.address
            )!;
            await processes.kill(service);
            await asker.more(30);
            await processes.join(service.folder);
            await processes.settled();
          }
          await processes.leave(processes.running[1]!);
          await asker.more(30);
          assertEquals((await processes.settled()).processes.length, 2);
          said = await asker.conclude();
          await processes.stopOthers();
        } catch (error) {
          await asker.stop().catch(() => {});
          for (const { log } of processes.running) console.log(log());
          await processes.end();
          throw error;
        }
      },
    );
    assertGood(seed, verdict, said);
  },
);
