import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Client } from "./client.ts";

const FLAGS = { "idempotency.window.ms": "600000", "enable.summaries": "false" } as const;

const json = (id: number | string, quantity: number, ts = 1) =>
  `{"transactionId":${id},"ts":${ts},"itemId":"cup","quantity":${quantity}}`;

const stockOf = async (client: Client) =>
  JSON.parse((await client.request("GET", "/items/cup")).text).quantity;

Deno.test("retries over HTTP: a repetition is answered as the first, and says so", async () => {
  const client = await Client.open(FLAGS);
  const post = (body: string, type = "application/json") =>
    client.post("/transactions", type, body);
  const first = await post(json(1, 5));
  assertEquals(first.text, `{"transaction":${json(1, 5)},"success":true}\n`);
  const again = await post(json(1, 5));
  assertEquals([again.status, again.text], [
    200,
    `{"transaction":${json(1, 5)},"success":true,"duplicate":true}\n`,
  ]);
  // What was rejected stays so: a late repetition must not buy after a restock.
  assertEquals((await post(json(2, -9))).text, `{"transaction":${json(2, -9)},"success":false}\n`);
  await post(json(3, 100));
  const late = await post(json(2, -9));
  assertEquals(late.text, `{"transaction":${json(2, -9)},"success":false,"duplicate":true}\n`);
  assertEquals(await stockOf(client), 105);
  // Text has no members: the header counts.
  const lines = "1\t1\tcup\t5\n4\t1\tcup\t1\n3\t1\tcup\t100";
  const text = await post(lines, "text/plain");
  assertEquals(text.text, "1\t1\tcup\t5\ttrue\n4\t1\tcup\t1\ttrue\n3\t1\tcup\t100\ttrue\n");
  assertEquals(text.headers.get("stockflow-duplicates"), "2");
  const fresh = await post("5\t1\tcup\t1", "text/plain");
  assertEquals(fresh.headers.get("stockflow-duplicates"), null);
  // One id for several items of an order.
  const other = await post('{"transactionId":1,"ts":1,"itemId":"saucer","quantity":5}');
  assertEquals(other.text.includes("duplicate"), false);
  await client.close();
});

Deno.test("retries over HTTP: another transaction under an id is a conflict: 422 alone, an outcome of its own in a batch", async () => {
  const client = await Client.open(FLAGS);
  const post = (body: string, type = "application/json") =>
    client.post("/transactions", type, body);
  await post(json(1, 5));
  for (const other of [json(1, 6), json(1, 5, 2)]) {
    const { status, text, headers } = await post(other);
    assertEquals([status, headers.get("retry-after")], [422, null]);
    const { error } = JSON.parse(text);
    assertEquals(error.reason, "id_conflict");
    assertStringIncludes(error.message, "cup with the transactionId 1");
  }
  const batch = await post(`[${json(1, 6)},${json(2, 1)},${json(1, 5)}]`);
  assertEquals(batch.status, 200);
  const outcomes = JSON.parse(batch.text);
  assertEquals(outcomes[0].error.reason, "id_conflict");
  assertEquals([outcomes[1].success, outcomes[1].duplicate], [true, undefined]);
  assertEquals([outcomes[2].success, outcomes[2].duplicate], [true, true]);
  const lines = await post("1\t1\tcup\t7\n9\t1\tcup\tx", "text/plain");
  assertEquals(lines.status, 422);
  const [conflict, malformed] = lines.text.split("\n");
  assert(conflict!.startsWith("ERROR\tid_conflict\t"), conflict);
  assert(malformed!.startsWith("ERROR\tmalformed\t"), malformed);
  assertEquals(await stockOf(client), 6);
  const { text } = await client.request("GET", "/metrics");
  assertStringIncludes(text, "stockflow_duplicates_total 1\n");
  assertStringIncludes(text, 'stockflow_invalid_records_total{reason="id_conflict"} 4\n');
  const status = JSON.parse((await client.request("GET", "/status")).text);
  const consumed = status.partitions.map((p: Record<string, number>) =>
    p.accepted! + p.rejected! + p.invalid! + p.duplicates!
  );
  assertEquals(
    consumed.map(String),
    status.partitions.map(({ conservation }: { conservation: { records: { right: string } } }) =>
      conservation.records.right
    ),
  );
  assertEquals(status.totals.duplicates, 1);
  await client.close();
});

Deno.test("retries over HTTP: a JSON post without transactionId gets one, below 2^53, in its answer", async () => {
  const client = await Client.open(FLAGS);
  const body = '[{"ts":1,"itemId":"cup","quantity":2},{"ts":1,"itemId":"cup","quantity":2}]';
  const { status, text } = await client.post("/transactions", "application/json", body);
  assertEquals(status, 200);
  const ids = JSON.parse(text).map((r: { transaction: { transactionId: number } }) =>
    r.transaction.transactionId
  );
  assert(ids.every((id: number) => Number.isSafeInteger(id) && id >= 0), `${ids}`);
  assert(ids[0] !== ids[1]);
  assertEquals(await stockOf(client), 4);
  // Whoever repeats it says the id that it was given.
  const repeated = await client.post("/transactions", "application/json", json(ids[0], 2));
  assertEquals(JSON.parse(repeated.text).duplicate, true);
  for (
    const bad of [
      '{"transactionId":null,"ts":1,"itemId":"cup","quantity":2}',
      '{"itemId":"cup","quantity":2}',
      '{"transactionId":"1","ts":1,"itemId":"cup","quantity":2}',
    ]
  ) assertEquals((await client.post("/transactions", "application/json", bad)).status, 400, bad);
  assertEquals((await client.post("/transactions", "text/plain", "1\tcup\t2")).status, 400);
  await client.close();
});

Deno.test("retries over HTTP: where nothing is known of a transaction that was given its id, the answer names that id", async () => {
  const client = await Client.open(FLAGS);
  const noId = '{"ts":1,"itemId":"cup","quantity":2}';
  // It is in the log, but the process stops before its outcome is known.
  const waiters = client.life.job.gateway!.transactionWaiters;
  waiters.deliver = () => waiters.end(new Error("The job stops"));
  const body = `[${noId},${json(7, 1)}]`;
  const lost = await client.post("/transactions", "application/json", body);
  assertEquals(lost.status, 503);
  const [{ error }, own] = JSON.parse(lost.text);
  assertEquals([error.reason, own.error.reason], ["unavailable", "unavailable"]);
  assertEquals(own.error.transactionId, undefined);
  await client.world.stop(client.life);
  const next = new Client(client.world, await client.world.start());
  const again = await next.post("/transactions", "application/json", json(error.transactionId, 2));
  assertEquals(JSON.parse(again.text).duplicate, true);
  assertEquals(await stockOf(next), 3);
  await next.close();
});

Deno.test("retries over HTTP: Idempotency-Key is refused, by a word on what is there instead", async () => {
  const client = await Client.open(FLAGS);
  const { status, text } = await client.request("POST", "/transactions", {
    headers: { "content-type": "application/json", "idempotency-key": "abc" },
    body: json(1, 5),
  });
  assertEquals(status, 400);
  const { error } = JSON.parse(text);
  assertEquals(error.reason, "idempotency_key_unsupported");
  assertStringIncludes(error.message, "transactionId");
  assertEquals((await client.request("GET", "/items/cup")).status, 404);
  await client.close();
});

Deno.test("retries over HTTP: new transactions are refused while repetitions of less than idempotency.window.min.ms are recognised", async () => {
  const client = await Client.open({
    ...FLAGS,
    "log.partitions": "1",
    "idempotency.transactions.max": "1024",
    "idempotency.window.min.ms": "60000",
  });
  const many = (from: number) =>
    Array.from({ length: 600 }, (_, i) => `${from + i}\t1\tcup\t1`).join("\n");
  const post = (from: number) => client.post("/transactions", "text/plain", many(from));
  assertEquals((await post(0)).status, 200);
  assertEquals((await post(600)).status, 200);
  await client.world.clock.advance(2000);
  const refused = await post(1200);
  assertEquals([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  assertStringIncludes(refused.text, "idempotency.window.min.ms");
  const ready = await client.request("GET", "/readyz?for=writes");
  assertEquals(ready.status, 503);
  assertStringIncludes(ready.text, "idempotency");
  const metrics = (await client.request("GET", "/metrics")).text;
  assertStringIncludes(metrics, 'stockflow_unavailable{what="idempotency"} 1');
  // Time alone makes it well again, also for those who go by /readyz and so post nothing meanwhile.
  await client.world.clock.advance(61_000);
  assertEquals((await client.request("GET", "/readyz?for=writes")).status, 200);
  assertEquals((await post(1200)).status, 200);
  await client.close();
});
