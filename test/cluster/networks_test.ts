// Three real processes, each in a network of its own whose links are cut, before a cluster of three brokers of which two
// are killed: elections of leaders and of coordinators. Needs root.

import { assertEquals } from "@std/assert";
import { sharedBy } from "../../tools/kit/cluster_view.ts";
import { Networks } from "../../tools/kit/networks.ts";
import { headersOf, type Service } from "../../tools/kit/service.ts";
import { Scene } from "../faults/scene.ts";
import { assertGood, faultTest } from "../faults/with_broker.ts";
import { until } from "../kafka/until.ts";
import { Asker } from "./asker.ts";
import { Places, Processes, REPLICATED, SHARED } from "./processes.ts";

const LOAD_PAUSE_MS = 200;
const noNetworks = await Networks.whyNot();
if (noNetworks !== null && Deno.env.get("CI") !== undefined) throw new Error(noNetworks);

/** Why a process is not as it should be, in words. */
async function conditionsOf(service: Service): Promise<string> {
  const response = await fetch(`${service.url}/readyz`, { headers: headersOf(service) });
  return await response.text();
}

faultTest(
  "three processes before three brokers: cut links and elections lose nothing and double nothing, and no answer is older than one before",
  async (seed) => {
    const networks = await Networks.open();
    const places = new Places(networks);
    const options = {
      seed,
      flags: SHARED,
      loadPauseMs: LOAD_PAUSE_MS,
      followers: 2,
      brokerProperties: REPLICATED,
      ...places.options,
    };
    let said = "";
    const verdict = await Scene.run(options, async (scene) => {
      const processes = new Processes(scene);
      const asker = await Asker.start(scene.broker.bootstrap, () => processes.running);
      const { running } = processes;
      try {
        await processes.join();
        await processes.join();
        await processes.settled();
        await asker.more(30);
        // One is cut off from everything: the others share what it had, and it comes back.
        const lonely = running[1]!;
        const others = running.filter((service) => service !== lonely);
        const network = places.networkOf(lonely);
        await network.cut();
        await until("the others share all", async () => await sharedBy(others) !== null, ...others);
        await network.mend();
        await processes.settled();
        await asker.more(30);
        // All reach the brokers, and none another process: nobody is taken out for that.
        const { processes: before } = await processes.settled();
        await networks.part(true);
        const isCut = async () => (await conditionsOf(running[0]!)).includes("cannot be asked");
        await until("it is reported that others cannot be asked", isCut, ...running);
        await networks.part(false);
        const { processes: after } = await processes.settled();
        assertEquals(lives(after), lives(before));
        await asker.more(30);
        for (const follower of scene.followers) {
          await follower.kill();
          await asker.more(30);
          await follower.restart();
          await asker.more(30);
        }
        await processes.settled();
        said = await asker.conclude();
        await processes.stopOthers();
      } catch (error) {
        await networks.part(false).catch(() => {});
        await asker.stop().catch(() => {});
        for (const { log } of running) console.log(log());
        await processes.end();
        throw error;
      }
    }).finally(() => networks.remove());
    assertGood(seed, verdict, said);
  },
  noNetworks,
);

function lives(processes: readonly { readonly life: string }[]): string[] {
  return processes.map(({ life }) => life).toSorted();
}
