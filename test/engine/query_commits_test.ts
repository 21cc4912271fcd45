import { assertEquals } from "@std/assert";
import { encodeUtf8 } from "../../src/types/mod.ts";
import { World } from "./world.ts";

const ITEM = "item_0";

/** How often each topic was committed while a transaction and a query came every 100 ms, ten times. */
async function commitsWith(flags: Readonly<Record<string, string>>) {
  const world = await World.open({ "commit.interval.ms": "60000", ...flags });
  const counts: Record<string, number> = { transactions: 0, queries: 0 };
  const life = await world.start(undefined, {
    wrapLog: (log) => {
      const claim = log.claim.bind(log);
      log.claim = async (input, ...rest) => {
        const session = await claim(input, ...rest);
        const commit = session.commit.bind(session);
        session.commit = (c, signal) => {
          counts[input]!++;
          return commit(c, signal);
        };
        return session;
      };
      return log;
    },
  });
  const append = async (topic: string, value: string) => {
    const record = {
      timestamp: world.clock.now(),
      key: encodeUtf8(ITEM),
      value: encodeUtf8(value),
    };
    const partition = life.job.context.owners.partitionOf(ITEM);
    await world.clock.run(life.log.append(topic, partition, [record]), "append");
  };
  for (let i = 0; i < 10; i++) {
    await append("transactions", `${i}\t1\t${ITEM}\t1`);
    await append("queries", `${i} ${ITEM}`);
    await world.clock.advance(100);
  }
  const running = { ...counts };
  await world.stop(life);
  world.close();
  return running;
}

Deno.test("answers to queries are committed in an interval of their own, if there is one", async () => {
  assertEquals(await commitsWith({}), { transactions: 0, queries: 0 });
  assertEquals(await commitsWith({ "query.commit.interval.ms": "50" }), {
    transactions: 0,
    queries: 10,
  });
});
