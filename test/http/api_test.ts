import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { capturingLogs } from "../engine/captured_logs.ts";
import { type Plan, World } from "../engine/world.ts";
import { type Answer, Client } from "./client.ts";
import { encodeUtf8 } from "../../src/types/mod.ts";

Deno.test("POST /transactions answers in the form and order of the request, in every form", async () => {
  const client = await Client.open();
  const text = await client.post(
    "/transactions",
    "text/plain",
    "1\t5\titem_2\t100\n2\t6\titem_2\t-500",
  );
  assertEquals(text, {
    ...text,
    status: 200,
    type: "text/plain",
    text: "1\t5\titem_2\t100\ttrue\n2\t6\titem_2\t-500\tfalse\n",
  });
  const t = (id: string, quantity: number) =>
    `{"transactionId":${id},"ts":1,"itemId":"item_2","quantity":${quantity}}`;
  const r = (id: string, quantity: number, success: boolean) =>
    `{"transaction":${t(id, quantity)},"success":${success}}`;
  const one = await client.post(
    "/transactions",
    "application/json; charset=utf-8",
    ` ${t("9223372036854775807", -1)} `,
  );
  assertEquals([one.status, one.type, one.text], [
    200,
    "application/json",
    r("9223372036854775807", -1, true) + "\n",
  ]);
  const array = await client.post(
    "/transactions",
    "application/json",
    `[${t("-9223372036854775808", -100)} , ${t("4", 1)}]`,
  );
  assertEquals(array.text, `[${r("-9223372036854775808", -100, false)},${r("4", 1, true)}]\n`);
  const lines = await client.post(
    "/transactions",
    "application/x-ndjson",
    `${t("5", 0)}\n${t("6", -100)}\n`,
  );
  assertEquals([lines.type, lines.text], [
    "application/x-ndjson",
    `${r("5", 0, true)}\n${r("6", -100, true)}\n`,
  ]);
  assertEquals(
    (await client.request("GET", "/items/item_2")).text,
    '{"itemId":"item_2","quantity":0}\n',
  );
  await client.close();
});

Deno.test("a bad record gets its own error and does not stop its neighbours", async () => {
  const client = await Client.open();
  const bad = [
    "1\t2\ta\t5",
    "",
    "1\t2\ta\t+5",
    "1\t2\ta\t5\r\r",
    "1\t2\ta\t5 ",
    "9223372036854775808\t2\ta\t5",
    "1\t2\ta\t2147483648",
    `1\t2\t${"x".repeat(250)}\t5`,
    "2\t2\ta\t6",
  ].join("\n");
  const answer = await client.post("/transactions", "text/plain", bad);
  assertEquals(answer.status, 200);
  const lines = answer.text.trimEnd().split("\n");
  assertEquals(
    lines.map((l) =>
      l.split("\t")[0]!.startsWith("ERROR") ? l.split("\t")[1] : l.split("\t").at(-1)
    ),
    [
      "true",
      "malformed",
      "malformed",
      "malformed",
      "malformed",
      "id_range",
      "quantity_range",
      "item_id_too_long",
      "true",
    ],
  );
  const json = await client.post(
    "/transactions",
    "application/json",
    '[1,{"transactionId":1,"ts":2,"itemId":"\\ud800","quantity":5},{"transactionId":1,"ts":2,"itemId":"b","quantity":5}]',
  );
  const [first, second, third] = JSON.parse(json.text);
  assertEquals(first.error.reason, "malformed");
  assertEquals(second.error.reason, "item_id_character");
  assertEquals(third.success, true);
  const notUtf8 = Uint8Array.from([
    ...new TextEncoder().encode("7\t2\ta\t1\n8\t2\t"),
    0xff,
    9,
    49,
    10,
  ]);
  const bytes = await client.post("/transactions", "text/plain", notUtf8);
  assertStringIncludes(bytes.text, "7\t2\ta\t1\ttrue\nERROR\titem_id_character\t");
  // Nothing of what was refused reached the log.
  assertEquals(await client.world.values("dead-letters", 0), []);
  await client.close();
});

Deno.test("bodies that cannot be taken are refused whole, with reason and limit", async () => {
  const client = await Client.open();
  const cases: [string, BodyInit, number, string][] = [
    [
      "text/html",
      "x",
      415,
      "Content-Type must be one of application/json, application/x-ndjson, text/plain",
    ],
    ["", "x", 415, "Content-Type must be one of"],
    ["application/json", "{", 400, "The body is not JSON"],
    ["application/json", Uint8Array.of(0xff), 400, "not well-formed UTF-8"],
    ["application/json", "[]", 400, "The body has no record"],
    ["application/x-ndjson", "", 400, "The body has no record"],
    ["application/json", "[".repeat(60_000) + "]".repeat(60_000), 413, "at most 100000 bytes"],
    // Its one element is too long; nesting counts when it is read.
    ["application/json", "[".repeat(40_000) + "]".repeat(40_000), 413, "Line 1 has more than"],
    ["application/json", `[${"[".repeat(600)}${"]".repeat(600)}]`, 400, "malformed"],
    ["application/json", "", 400, "The body is not JSON"],
    ["application/json", "1,2", 400, "The body is not JSON"],
    ["application/json", '{"a":1}{"b":2}', 400, "The body is not JSON"],
    ["application/json", "[1,]", 400, "nothing where element 2 should be"],
    ["application/json", "[,1]", 400, "nothing where element 1 should be"],
    ["application/json", "[1]]", 400, "something stands behind the array"],
    ["application/json", "[1][2]", 400, "something stands behind the array"],
    ["application/json", "[{]", 400, "the array has no end"],
    ["application/json", "[{]}]", 400, "The body is not JSON"],
    ["application/json", '["]', 400, "the array has no end"],
    ["application/json", '["\\"]', 400, "malformed"],
    ["text/plain", "x".repeat(100_001), 413, "at most 100000 bytes"],
    [
      "text/plain",
      "1\t2\ta\t5\n" + "x".repeat(16_385),
      413,
      "Line 2 has more than 16384 bytes: 16385",
    ],
    // Characters of three bytes each: the limit is one of bytes.
    ["text/plain", "€".repeat(5462), 413, "Line 1 has more than 16384 bytes: 16386"],
    ["application/json", `["${"€".repeat(5461)}"]`, 413, "more than 16384 bytes: 16385"],
    ["text/plain", "€".repeat(5461), 400, "ERROR\tmalformed"],
    ["text/plain", "broken", 400, "ERROR\tmalformed"],
  ];
  for (const [type, body, status, message] of cases) {
    const answer = await client.post("/transactions", type, body);
    assertEquals(answer.status, status, `${type} ${message}`);
    assertStringIncludes(answer.text, message);
  }
  assertEquals(await client.world.values("transactions", 0), []);
  assertEquals(await client.world.values("transactions", 1), []);
  await client.close();
});

Deno.test("POST /queries answers stocks, and null or MISSING for what was never seen", async () => {
  const client = await Client.open();
  await client.post(
    "/transactions",
    "text/plain",
    "1\t5\titem_2\t100\n2\t5\ta b\t0\n3\t5\tfailed\t-1\n",
  );
  const text = await client.post("/queries", "text/plain", "123 item_2\n4\ta b\n5 failed\nx\n");
  assertEquals(text.text.split("\n").slice(0, 3), ["123\titem_2\t100", "4\ta b\t0", "5\tMISSING"]);
  assertStringIncludes(text.text, "ERROR\tmalformed");
  const json = await client.post(
    "/queries",
    "application/json",
    '{"queryId":1,"itemId":"item_2","ts":7}',
  );
  assertEquals(json.text, '{"queryId":1,"itemInfo":{"itemId":"item_2","quantity":100}}\n');
  await client.close();
});

Deno.test("GET /items answers one stock; odd ids are percent-encoded", async () => {
  const client = await Client.open();
  await client.post("/transactions", "text/plain", "1\t5\tkäse/ 1?\t7\n");
  const found = await client.request("GET", `/items/${encodeURIComponent("käse/ 1?")}`);
  assertEquals([found.status, found.text], [200, '{"itemId":"käse/ 1?","quantity":7}\n']);
  const missing = await client.request("GET", "/items/item_9");
  assertEquals(missing.status, 404);
  assertEquals(JSON.parse(missing.text).error.reason, "not_found");
  assertEquals((await client.request("GET", `/items/${"x".repeat(250)}`)).status, 400);
  assertEquals((await client.request("GET", "/items/%00")).status, 400);
  await client.close();
});

Deno.test("requests of foreign web pages are refused", async () => {
  const client = await Client.open();
  const headers = { "content-type": "text/plain", "origin": "https://evil.example" };
  const answer = await client.request("POST", "/transactions", { body: "1\t5\ta\t1", headers });
  assertEquals(answer.status, 403);
  const own = { "content-type": "text/plain", "origin": "http://127.0.0.1:8080" };
  assertEquals(
    (await client.request("POST", "/transactions", { body: "1\t5\ta\t1", headers: own })).status,
    200,
  );
  await client.close();
});

Deno.test("what the log refuses is answered with 503, and nothing was executed", async () => {
  const client = await Client.open();
  client.life.logKv.plan = () => "fails";
  const answer = await client.post("/transactions", "text/plain", "1\t5\ta\t1\n2\t5\tb\t1\n");
  assertEquals(answer.status, 503);
  assertEquals(answer.headers.get("retry-after"), "1");
  assertStringIncludes(
    answer.text,
    "ERROR\tunavailable\tCannot write to the log: database is locked",
  );
  client.life.logKv.plan = () => null;
  assertEquals((await client.post("/transactions", "text/plain", "3\t5\ta\t1")).status, 200);
  await client.close();
});

Deno.test("requests that fail on the service's side are logged", () =>
  capturingLogs(async (logged) => {
    const client = await Client.open();
    client.life.logKv.plan = () => "fails";
    await client.post("/transactions", "text/plain", "1\t5\ta\t1\nbad");
    client.life.logKv.plan = () => null;
    client.life.job.lookUp = () => Promise.reject(new Error("no owner"));
    assertEquals((await client.request("GET", "/items/a")).status, 500);
    assertEquals((await client.request("GET", "/nowhere")).status, 404);
    assertEquals(logged.filter((line) => line.includes(" was answered ")), [
      "warning POST /transactions was answered 503: Cannot write to the log: database is locked",
      "error GET /items/a was answered 500: no owner",
    ]);
    await client.close();
  }));

Deno.test("readyz reports recovering, ready, stopping and failed; livez lives", async () => {
  const world = await World.open();
  let refused = true;
  const plan: Plan = (file) => file === "state" && refused ? "fails" : null;
  const life = await world.start(plan, { wait: false });
  const client = new Client(world, life);
  const early = await client.app.fetch(new Request("http://127.0.0.1:8080/readyz"));
  assertEquals(early.status, 503);
  assertStringIncludes(await early.text(), "recovering");
  refused = false;
  await world.clock.until(() => life.job.isReady, "ready");
  assertEquals((await client.request("GET", "/readyz")).text, "ready\n");
  assertEquals((await client.request("GET", "/livez")).status, 200);
  client.stopping.abort();
  assertStringIncludes((await client.request("GET", "/readyz")).text, "stopping");
  const late = await client.request("GET", "/items/a");
  assertEquals(late.status, 503);
  assertStringIncludes(late.text, "stopping");
  assertEquals((await client.request("GET", "/livez")).status, 200);
  await client.close();
});

Deno.test("readyz is 200 with the reasons while look-ups can be answered, and 503 for writes that are refused", async () => {
  const client = await Client.open();
  const { conditions } = client.life.job.context;
  conditions.set("disk", { reason: "3 MB are left", blocks: "writes" });
  const ready = await client.request("GET", "/readyz");
  assertEquals([ready.status, ready.text], [
    200,
    "ready\ndisk: 3 MB are left; it blocks writes\n",
  ]);
  assertEquals((await client.request("GET", "/readyz?for=lookups")).status, 200);
  const writes = await client.request("GET", "/readyz?for=writes");
  assertEquals([writes.status, writes.headers.get("retry-after")], [503, "1"]);
  assertEquals(JSON.parse(writes.text), { error: { reason: "disk", message: "3 MB are left" } });
  assertStringIncludes(
    (await client.request("GET", "/metrics")).text,
    'unavailable{what="disk"} 1',
  );
  conditions.set("topic", { reason: "it is gone", blocks: "lookups" });
  const neither = await client.request("GET", "/readyz");
  assertEquals(neither.status, 503);
  assertStringIncludes(neither.text, "it is gone; disk: 3 MB are left");
  for (const what of ["disk", "topic"]) conditions.clear(what);
  assertEquals((await client.request("GET", "/readyz?for=writes")).text, "ready\n");
  assertStringIncludes(
    (await client.request("GET", "/metrics")).text,
    'unavailable{what="disk"} 0',
  );
  const wrong = await client.request("GET", "/readyz?for=tea");
  assertEquals(wrong.status, 400);
  assertStringIncludes(wrong.text, "lookups or writes");
  await client.close();
});

Deno.test("a request whose body does not come is answered when the job stops, and holds nothing up", async () => {
  const client = await Client.open();
  let reading = Promise.withResolvers<void>();
  const endless = () =>
    new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(encodeUtf8("1\t5\titem_1\t1\n")),
      pull: () => reading.resolve(),
      // Never more than that.
    }, { highWaterMark: 0 });
  const waiting: Promise<Answer>[] = [];
  for (const path of ["/transactions", "/queries", "/savepoints"]) {
    reading = Promise.withResolvers();
    waiting.push(
      client.post(path, path === "/savepoints" ? "application/json" : "text/plain", endless()),
    );
    await reading.promise;
  }
  client.stopping.abort();
  for (const answer of await Promise.all(waiting)) {
    assertEquals(answer.status, 503);
    assertStringIncludes(answer.text, "stopping");
  }
  await client.close();
});

Deno.test("a look-up that waits for the log ends when its client has gone", async () => {
  const client = await Client.open();
  Object.defineProperty(client.life.log, "isAvailable", { value: false });
  const gone = new AbortController();
  const asked = client.request("GET", "/items/a", { signal: gone.signal });
  gone.abort();
  assertEquals((await asked).status, 503);
  await client.close();
});

Deno.test("metrics and checkpoints report what happened, over a restart", async () => {
  const client = await Client.open();
  await client.post(
    "/transactions",
    "text/plain",
    "1\t5\titem_1\t100\n2\t5\titem_1\t-500\n3\t5\tb\t1\n",
  );
  const scrape = async (c: Client) => (await c.request("GET", "/metrics")).text;
  const before = await scrape(client);
  for (
    const line of [
      "stockflow_records_in_total 3",
      'stockflow_transactions_total{outcome="accepted"} 2',
      'stockflow_transactions_total{outcome="rejected"} 1',
      'stockflow_invalid_records_total{reason="malformed"} 0',
      "stockflow_items 2",
    ]
  ) assertStringIncludes(before, line + "\n");
  assert(/stockflow_state_bytes [1-9]/.test(before));
  await client.world.stop(client.life);
  const again = new Client(client.world, await client.world.start());
  const after = await scrape(again);
  assertStringIncludes(after, "stockflow_records_in_total 0\n");
  assertStringIncludes(after, 'stockflow_transactions_total{outcome="accepted"} 2\n');
  const { checkpoints, events } = JSON.parse((await again.request("GET", "/checkpoints")).text);
  assert(checkpoints.length >= 1);
  assertEquals(checkpoints.reduce((n: number, c: { items: number }) => n + c.items, 0), 2);
  assertEquals(
    new Set(events.map((e: { kind: string }) => e.kind)),
    new Set(["restored", "completed", "triggered"]),
  );
  await again.close();
});

Deno.test("unknown paths and the index", async () => {
  const client = await Client.open();
  assertStringIncludes((await client.request("GET", "/")).text, "POST /transactions");
  const missing = await client.request("DELETE", "/nowhere");
  assertEquals([missing.status, JSON.parse(missing.text).error.message], [
    404,
    "There is no DELETE /nowhere",
  ]);
  await client.close();
});
