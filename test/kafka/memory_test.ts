// The memory of the state is full: reading stops before the record that would need more, and goes on once the
// bound is raised. Starts a broker of its own (tools/kit/test_broker.ts).

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { compare, detailLine, isGood, verdictLine } from "../faults/verdict.ts";
import {
  EVERY_SUMMARY,
  type Service,
  stopInGoodOrder,
  waitReady,
} from "../../tools/kit/service.ts";
import { GROUP, startJob, TOPICS } from "../../tools/kit/job_process.ts";
import { Loader } from "../../tools/kit/load.ts";
import { Stage } from "./scene.ts";
import { stockOf, until, untilAnswered } from "./until.ts";

const PARTITIONS = 2;
const BOUND = 2 ** 20;
/** Each brings an item; a third of them has room. */
const NEW_ITEMS = 80_000;
/** Records of items that are known by then, behind them. */
const KNOWN = 1000;
const AT_ONCE = 10_000;

const stage = await Stage.open();

async function read(url: string): Promise<{ status: number; text: string }> {
  const response = await fetch(url);
  return { status: response.status, text: await response.text() };
}

/** Waits until it stands still; what it says then, and that look-ups go on. */
async function assertStandsStill(service: Service, answeredBefore: number): Promise<string> {
  const { url } = service;
  await until("both partitions stand still", async () => {
    const { text } = await read(`${url}/readyz?for=writes`);
    return text.includes("stands still");
  }, service);
  const writes = await read(`${url}/readyz?for=writes`);
  assertEquals(writes.status, 503);
  const lookups = await read(`${url}/readyz`);
  assertEquals(lookups.status, 200, lookups.text);
  assertStringIncludes(lookups.text, "raise state.bytes.max");
  const { text } = await read(`${url}/metrics`);
  assertStringIncludes(text, 'stockflow_unavailable{what="memory"} 1');
  assertEquals(await stockOf(service, "item_0"), 5);
  assertEquals((await read(`${url}/items/item_${NEW_ITEMS - 1}`)).status, 404);
  // Queries in their topic go on as well.
  const producer = stage.kafka().producer();
  await producer.connect();
  const value = `${answeredBefore + 1} item_0`;
  await producer.send({ topic: TOPICS["query.input.topic"], messages: [{ value }] });
  await producer.disconnect();
  await untilAnswered(service, 1);
  return /stands still at offset \d+/.exec(writes.text)![0];
}

stage.test("full memory: reading stops before the record, look-ups go on, and it goes on once the bound is raised", async () => {
  const { bootstrap } = stage.broker;
  await stage.broker.createTopics(Object.values(TOPICS), PARTITIONS);
  const loader = await Loader.open(bootstrap, TOPICS["transaction.input.topic"]);
  const append = async (count: number, from: number, items: number) => {
    for (let at = from; at < from + count; at += AT_ONCE) {
      const n = Math.min(AT_ONCE, from + count - at);
      const record = (id: number) => loader.recordOf(`${id}\t${id}\titem_${id % items}\t5`, id);
      await loader.append(Array.from({ length: n }, (_, i) => record(at + i)));
    }
  };
  const folder = await stage.newFolder();
  const start = (bytesMax: number) =>
    startJob(bootstrap, folder, { ...EVERY_SUMMARY, "state.bytes.max": String(bytesMax) });
  const committed = async () => {
    let sum = 0;
    await stage.withAdmin(async (admin) => {
      const topic = TOPICS["transaction.input.topic"];
      for (const { partitions } of await admin.fetchOffsets({ groupId: GROUP, topics: [topic] })) {
        sum = partitions.reduce((n, { offset }) => n + Math.max(0, Number(offset)), 0);
      }
    });
    return sum;
  };

  const first = await start(BOUND);
  await waitReady(first);
  await append(NEW_ITEMS, 0, NEW_ITEMS);
  await append(KNOWN, NEW_ITEMS, 1000);
  await assertStandsStill(first, 0);
  await first.kill();

  // With the same bound it stands where it stood, whatever it has to fold again.
  const second = await start(BOUND);
  await waitReady(second);
  await assertStandsStill(second, 1);
  const stood = await committed();
  assert(stood > 1000 && stood < NEW_ITEMS, `${stood} are committed`);
  await stopInGoodOrder(second);

  const third = await start(2 ** 30);
  await waitReady(third);
  await until("all is committed", async () => await committed() === NEW_ITEMS + KNOWN, third);
  assertEquals((await read(`${third.url}/readyz?for=writes`)).status, 200);
  assertEquals(await stockOf(third, "item_0"), 10);
  assertEquals(await stockOf(third, `item_${NEW_ITEMS - 1}`), 5);
  await stopInGoodOrder(third);
  await loader.close();
  const verdict = await compare(bootstrap, folder);
  console.log(`${verdictLine(verdict)}; ${detailLine(verdict)}`);
  assert(isGood(verdict), verdict.differences.join("\n"));
  assertEquals(verdict.inputs, NEW_ITEMS + KNOWN);
});
