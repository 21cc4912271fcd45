// Rights that are withdrawn and given back at any moment of a job under load: it stops with exit 2 and names what is
// missing, or notices nothing; no result is lost or doubled. Starts a broker of its own (tools/kit/test_broker.ts).

import { assertEquals, assertMatch } from "@std/assert";
import { Random, seedOfTest, timesOfTest } from "../../tools/kit/random.ts";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { openWithRights, PASSWORD, type Right, setRight, takeBack, USER } from "./rights.ts";
import type { Scene } from "./scene.ts";
import { exitCode } from "./until.ts";
import { witness } from "./witness.ts";

const stage = await openWithRights();
const { broker } = stage;
const INPUT = "transaction.input.topic";

/** What the last line of a job without the right says. */
interface Needed {
  readonly right: Right;
  readonly says: RegExp;
}

function neededBy({ topics, group }: Scene): Needed[] {
  const of = (operation: Right["operation"], role: keyof typeof topics): Needed => ({
    right: { operation, resource: { topic: topics[role] } },
    says: new RegExp(topics[role]),
  });
  return [
    of("Read", INPUT),
    of("Describe", INPUT),
    of("Read", "query.input.topic"),
    of("Write", "transaction.output.topic"),
    of("Write", "query.output.topic"),
    { right: { operation: "Read", resource: { group } }, says: new RegExp(group) },
    {
      right: { operation: "Write", resource: { transactionalIds: group } },
      says: /transactional/,
    },
  ];
}

function start(scene: Scene): Promise<Service> {
  return scene.start({
    "kafka.bootstrap.servers": broker.addressOf("SASL_PLAINTEXT"),
    "kafka.sasl.mechanism": "scram-sha-256",
    "kafka.sasl.username": USER,
    "kafka.sasl.password": PASSWORD,
    "kafka.partition.discovery.interval.ms": "300",
    "commit.interval.ms": "20",
    "checkpoint.interval.millis": "200",
  });
}

/** Transactions and queries, a few at a time, until they are stopped; answers how many transactions there were. */
async function load({ topics }: Scene, stop: AbortSignal): Promise<number> {
  const loader = await Loader.open(broker.bootstrap, topics[INPUT]);
  const queries = await Loader.open(broker.bootstrap, topics["query.input.topic"]);
  let sent = 0;
  while (!stop.aborted) {
    const ids = Array.from({ length: 10 }, () => ++sent);
    await loader.append(ids.map((id) => loader.recordOf(`${id}\t1\titem_${id % 7}\t1`, id)));
    await queries.append([queries.recordOf(`${sent} item_${sent % 7}`, sent)]);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await Promise.all([loader.close(), queries.close()]);
  return sent;
}

stage.test("rights that are withdrawn and given back at any moment: exit 2 naming what is missing, and nothing is lost or doubled", async () => {
  const random = new Random(seedOfTest());
  const scene = await stage.scene(1);
  const give = (right: Right) => setRight(broker.bootstrap, USER, "allow", right);
  for (const operation of ["Read", "Write", "Describe", "DescribeConfigs"] as const) {
    await give({ operation, resource: { topic: "*" } });
  }
  await give({ operation: "Read", resource: { group: scene.group } });
  for (const operation of ["Write", "Describe"] as const) {
    await give({ operation, resource: { transactionalIds: scene.group } });
  }
  let service = await start(scene);
  await waitReady(service);
  const over = new AbortController();
  const loading = load(scene, over.signal);
  const ends: string[] = [];
  try {
    for (let round = 0; round < timesOfTest(1); round++) {
      for (const [i, { right, says }] of neededBy(scene).entries()) {
        // Long enough to be noticed, or perhaps not.
        for (const withdrawnMs of [(i + round) % 2 === 0 ? null : random.below(60)]) {
          await new Promise((resolve) => setTimeout(resolve, random.below(300)));
          await setRight(broker.bootstrap, USER, "deny", right);
          let ended = withdrawnMs === null ? await exitCode(service) : null;
          if (withdrawnMs !== null) {
            const wait = new Promise<null>((resolve) =>
              setTimeout(() => resolve(null), withdrawnMs)
            );
            ended = await Promise.race([service.status.then(({ code }) => code), wait]);
          }
          await takeBack(broker.bootstrap, USER, "deny", right);
          // What was answered while it was withdrawn may be heard of a moment later.
          ended ??= await Promise.race([
            service.status.then(({ code }) => code),
            waitReady(service).then(() => null, () => service.status.then(({ code }) => code)),
          ]);
          if (ended === null) continue;
          ends.push(`${right.operation} ${JSON.stringify(right.resource)}`);
          assertEquals(ended, 2, service.log());
          const [line = ""] = service.log().split("\n").filter((l) => l.startsWith("stockflow: "));
          assertMatch(line, says, service.log());
          service = await start(scene);
          await waitReady(service);
        }
      }
    }
  } finally {
    over.abort();
    console.log(`It ended ${ends.length} times: ${ends.join(", ")}`);
  }
  const sent = await loading;
  await stage.untilCommitted(scene, sent, service);
  await stopInGoodOrder(service);
  const results = await witness(broker.bootstrap, scene.topics["transaction.output.topic"]);
  const ids = results.flat().map(({ value }) => Number(value!.split("\t")[0]));
  assertEquals(ids, Array.from({ length: sent }, (_, i) => i + 1));
});
