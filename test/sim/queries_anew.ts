// A topic of queries that is created anew while no process runs, and whose offsets the brokers forget with it. It comes
// behind the checks of a run, and is drawn apart, so that runs are what they were without it.
//
// P2, as queries go: the process that starts on a machine that has read the topic before stops and says so, until that
// is accepted.

import { LostError, StopError } from "../../src/log/mod.ts";
import { Random } from "../../tools/kit/random.ts";
import type { Cluster } from "./cluster.ts";
import { QUERIES } from "./kafka_port.ts";
import type { Machine, Member } from "./member.ts";
import type { Sim } from "./sim.ts";
import type { World } from "./world.ts";

const SALT = 0x90e5;
/** Share of the runs that may have it. */
const SHARE = 0.06;
/** Sessions are lost where a process joins; a claim that is lost is tried again. */
const CLAIMS_MAX = 20;

/** @param machine of the last process, which has stopped */
export async function playQueriesAnew(
  sim: Sim,
  world: World,
  cluster: Cluster,
  machine: Machine,
): Promise<void> {
  const { kafka } = world;
  const random = new Random(sim.seed ^ SALT);
  if (!kafka || sim.plan.kafka.topicIds === "none" || random.below(100) >= 100 * SHARE) return;
  const begin = async () => {
    const member = cluster.startOn(machine);
    const error = await claimQueries(member, cluster);
    member.stop();
    while (!member.ended) await cluster.sleep(50);
    return error;
  };
  const mustGoOn = (error: Error | null) => {
    if (error) sim.violate("P2", `Queries are not read: ${error.message}`);
  };
  mustGoOn(await begin());
  kafka.createQueriesAnew();
  sim.count("queries created anew");
  for (let start = 0; start < 2; start++) {
    const error = await begin();
    const isRefused = error instanceof StopError && error.message.includes("created anew");
    if (!isRefused) {
      sim.violate("P2", `It goes on with queries of another topic: ${error?.message}`);
    }
  }
  kafka.acceptsOffset = true;
  mustGoOn(await begin());
  kafka.acceptsOffset = false;
  mustGoOn(await begin());
}

/** Claims the queries in a process, as it does when it starts; answers why it may not. */
async function claimQueries(member: Member, cluster: Cluster): Promise<Error | null> {
  for (let claim = 1;; claim++) {
    while (!member.kafka && member.isLive) await cluster.sleep(50);
    try {
      const session = await member.kafka!.claim(QUERIES);
      session.close();
      return null;
    } catch (error) {
      if (!(error instanceof LostError) || claim === CLAIMS_MAX) return error as Error;
      await cluster.sleep(50);
    }
  }
}
