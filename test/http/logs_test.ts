import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Partitioner, partitionOf } from "../../src/types/mod.ts";
import { PARTITIONS } from "../engine/world.ts";
import { Client } from "./client.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const partitionOfItem = (item: string) =>
  partitionOf(Partitioner.Murmur2, encode(item), PARTITIONS);

Deno.test("GET /logs reads a topic from any offset, page by page", async () => {
  const client = await Client.open();
  const lines = Array.from({ length: 25 }, (_, i) => `${i}\t5\titem_2\t1`);
  for (const line of lines) await client.post("/transactions", "text/plain", line);
  const p = partitionOfItem("item_2");
  const { body } = await client.getJson("/logs");
  const topic = body.topics.find((t: { topic: string }) => t.topic === "transactions");
  assertEquals(topic.partitions[p], { start: 0, end: 25 });
  assertEquals(topic.partitions[1 - p], { start: 0, end: 0 });
  const values: string[] = [];
  for (let offset = 0; offset < 25;) {
    const page = (await client.getJson(`/logs/transactions/${p}?offset=${offset}&limit=10`)).body;
    assertEquals([page.topic, page.partition, page.start, page.end], ["transactions", p, 0, 25]);
    assertEquals(page.records[0].offset, offset);
    values.push(...page.records.map((r: { value: string }) => r.value));
    offset = page.next;
  }
  assertEquals(values, lines);
  const all = (await client.getJson(`/logs/transactions/${p}`)).body;
  assertEquals(all.records.length, 25);
  assertEquals(all.records[3], {
    offset: 3,
    timestamp: all.records[3].timestamp,
    key: "item_2",
    value: "3\t5\titem_2\t1",
    headers: [],
  });
  const atEnd = (await client.getJson(`/logs/transactions/${p}?offset=25`)).body;
  assertEquals([atEnd.next, atEnd.records], [25, []]);
  await client.close();
});

Deno.test("GET /logs shows bytes that are not text as base64, and headers", async () => {
  const client = await Client.open();
  const p = partitionOfItem("item_2");
  await client.life.log.append("transactions", p, [{
    timestamp: 9,
    key: Uint8Array.of(0xff, 0),
    value: encode("käse"),
    headers: [{ key: "trace", value: Uint8Array.of(0x80) }, { key: "none", value: null }],
  }, { timestamp: -1, key: null, value: null }]);
  const { records } = (await client.getJson(`/logs/transactions/${p}`)).body;
  assertEquals(records, [{
    offset: 0,
    timestamp: 9,
    key: { base64: "/wA=" },
    value: "käse",
    headers: [{ key: "trace", value: { base64: "gA==" } }, { key: "none", value: null }],
  }, { offset: 1, timestamp: -1, key: null, value: null, headers: [] }]);
  await client.close();
});

Deno.test("GET /logs bounds a page by its bytes", async () => {
  const client = await Client.open();
  const p = partitionOfItem("item_2");
  const record = { timestamp: 1, key: null, value: new Uint8Array(60_000).fill(65) };
  for (let i = 0; i < 40; i++) await client.life.log.append("transactions", p, [record]);
  const seen: number[] = [];
  let pages = 0;
  for (let next = 0; next < 40; pages++) {
    const page = (await client.getJson(`/logs/transactions/${p}?offset=${next}&limit=1000`)).body;
    seen.push(...page.records.map((r: { offset: number }) => r.offset));
    next = page.next;
  }
  assertEquals(seen, Array.from({ length: 40 }, (_, i) => i));
  assertEquals(pages, 2);
  await client.close();
});

Deno.test("GET /logs refuses what is not there, and says what is", async () => {
  const client = await Client.open();
  const p = partitionOfItem("item_2");
  await client.post("/transactions", "text/plain", "1\t5\titem_2\t1");
  const cases: [string, number, string][] = [
    ["/logs/nothing/0", 404, 'no partition "0" of a topic "nothing"'],
    ["/logs/transactions/2", 404, 'no partition "2" of a topic "transactions"'],
    ["/logs/transactions/-1", 404, "no partition"],
    ["/logs/transactions/01", 404, "no partition"],
    ["/logs/transactions/constructor", 404, "no partition"],
    [`/logs/transactions/${p}?offset=2`, 416, `Offset 2 of transactions-${p} is outside 0..1`],
    [`/logs/transactions/${p}?offset=-1`, 400, "offset must be an integer from 0"],
    [`/logs/transactions/${p}?offset=x`, 400, 'not "x"'],
    [`/logs/transactions/${p}?limit=0`, 400, "limit must be an integer from 1 to 1000"],
    [`/logs/transactions/${p}?limit=1001`, 400, "limit must be an integer from 1 to 1000"],
    ["/summaries?limit=5000", 400, "limit must be an integer from 1 to 1000"],
  ];
  for (const [path, status, message] of cases) {
    const answer = await client.request("GET", path);
    assertEquals(answer.status, status, path);
    assertStringIncludes(JSON.parse(answer.text).error.message, message);
  }
  await client.close();
});

Deno.test("GET /summaries answers the latest alerts, newest first, over restarts and in either format", async () => {
  const client = await Client.open();
  const { world } = client;
  assertEquals((await client.request("GET", "/summaries")).text, '{"summaries":[]}\n');
  // Two windows of two items, one of each partition, of which some transactions fail.
  const items = ["item_2", "item_3", "item_5", "item_7"].filter((item, i, all) =>
    all.findIndex((other) => partitionOfItem(other) === partitionOfItem(item)) === i
  );
  assertEquals(items.length, 2);
  const fail = (item: string) => `1\t5\t${item}\t-2147483648`;
  for (let window = 0; window < 3; window++) {
    await client.post("/transactions", "text/plain", items.map(fail).join("\n"));
    await world.clock.advance(60_000);
  }
  await client.post("/transactions", "text/plain", items.map(fail).join("\n"));
  await world.clock.advance(1000);
  const { body } = await client.getJson("/summaries");
  assertEquals(body.summaries.length, 6);
  const starts = body.summaries.map((s: { windowStart: number }) => s.windowStart);
  assertEquals(starts, starts.toSorted((a: number, b: number) => b - a));
  const [newest] = body.summaries;
  assertEquals(newest, {
    itemId: newest.itemId,
    windowStart: starts[0],
    windowEnd: starts[0] + 60_000,
    numSuccessfulTransactions: 0,
    numFailedTransactions: 1,
    totalVolume: 2147483648,
  });
  const two = (await client.getJson("/summaries?limit=2")).body.summaries;
  assertEquals(two, body.summaries.slice(0, 2));
  await world.stop(client.life);
  // The format of the log's values changes; what was written before is still read.
  const again = new Client(world, await world.start(() => null, { flags: { format: "json" } }));
  for (let window = 0; window < 4; window++) {
    await again.post("/transactions", "text/plain", items.map(fail).join("\n"));
    await world.clock.advance(120_000);
  }
  await world.clock.advance(1000);
  const after = (await again.getJson("/summaries")).body.summaries;
  const texts = (summaries: unknown[]) => summaries.map((s) => JSON.stringify(s)).toSorted();
  const before = texts(body.summaries);
  assertEquals(texts(after).filter((text) => before.includes(text)), before);
  assert(after.length > 8, `${after.length}`);
  const { records } = (await again.getJson("/logs/summaries/0")).body;
  assertEquals([records[0].value, records.at(-1).value].map((v) => v.startsWith("{")), [
    false,
    true,
  ]);
  await world.stop(again.life);
  world.close();
});
