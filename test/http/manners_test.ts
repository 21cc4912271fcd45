import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { formatJsonLine } from "../../src/engine/logging.ts";
import { showQueryResult } from "../../src/types/mod.ts";
import { Client } from "./client.ts";

const reasonOf = (text: string) => JSON.parse(text).error.reason;

Deno.test("a method that a path does not take is answered 405 with Allow, HEAD as GET, OPTIONS with what there is", async () => {
  const client = await Client.open();
  const paths: [string, string][] = [
    ["/transactions", "OPTIONS, POST"],
    ["/queries", "OPTIONS, POST"],
    ["/items/a", "GET, HEAD, OPTIONS"],
    ["/savepoints", "GET, HEAD, OPTIONS, POST"],
    ["/savepoints/a", "DELETE, GET, HEAD, OPTIONS"],
    ["/logs/transactions/0", "GET, HEAD, OPTIONS"],
    ["/checkpoints", "GET, HEAD, OPTIONS"],
    ["/livez", "GET, HEAD, OPTIONS"],
    ["/", "GET, HEAD, OPTIONS"],
  ];
  for (const [path, allow] of paths) {
    const options = await client.request("OPTIONS", path);
    assertEquals([options.status, options.headers.get("allow"), options.text], [204, allow, ""]);
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
      if (allow.includes(method)) continue;
      const answer = await client.request(method, path);
      assertEquals([answer.status, answer.headers.get("allow")], [405, allow], `${method} ${path}`);
      assertEquals(reasonOf(answer.text), "method");
    }
  }
  const head = await client.request("HEAD", "/livez");
  assertEquals([head.status, head.text], [200, ""]);
  assertEquals((await client.request("HEAD", "/items/a")).status, 404);
  assertEquals((await client.request("OPTIONS", "/nowhere")).status, 404);
  await client.close();
});

Deno.test("HEAD says how long the answer to GET is", async () => {
  const client = await Client.open();
  for (const path of ["/livez", "/", "/items/a", "/logs", "/checkpoints"]) {
    const [head, get] = [await client.request("HEAD", path), await client.request("GET", path)];
    const bytes = new TextEncoder().encode(get.text).length;
    assertEquals([head.status, head.text], [get.status, ""]);
    assertEquals(head.headers.get("content-length"), String(bytes), path);
  }
  await client.close();
});

Deno.test("one fault has one reason, in a path, in a query and in a body", async () => {
  const client = await Client.open();
  const cases: [string, string, string][] = [
    ["", "", "item_id_empty"],
    ["%00", "\0", "item_id_character"],
    ["x".repeat(250), "x".repeat(250), "item_id_too_long"],
  ];
  for (const [inPath, inBody, reason] of cases) {
    for (const path of [`/items/${inPath}`, `/items?id=${inPath}`]) {
      const got = await client.request("GET", path);
      assertEquals([got.status, reasonOf(got.text)], [400, reason], path);
    }
    const body = JSON.stringify({ queryId: 1, itemId: inBody });
    const posted = await client.post("/queries", "application/json", body);
    assertEquals([posted.status, reasonOf(posted.text)], [400, reason]);
  }
  for (const path of ["/items/%", "/items/%ff", "/items/a%2", "/items?id=%ff", "/savepoints/%c3"]) {
    const answer = await client.request("GET", path);
    assertEquals([answer.status, reasonOf(answer.text)], [400, "path"], path);
  }
  await client.post("/transactions", "text/plain", "1\t5\t.\t3\n2\t5\t..\t4\n3\t5\ta/b%\t5");
  const ids: [string, number][] = [[".", 3], ["..", 4], ["a/b%", 5]];
  for (const [id, quantity] of ids) {
    const answer = await client.getJson(`/items?id=${encodeURIComponent(id)}`);
    assertEquals(answer, { status: 200, body: { itemId: id, quantity } });
  }
  assertEquals((await client.request("GET", "/items")).status, 400);
  await client.close();
});

Deno.test("lines end with LF or CRLF, a byte order mark is passed over, and a charset is UTF-8", async () => {
  const client = await Client.open();
  const text = await client.post(
    "/transactions",
    "text/plain; charset=UTF-8",
    "\ufeff1\t5\ta\t1\r\n2\t5\ta\t1\n3\t5\ta\t1\r\n",
  );
  assertEquals(text.text, "1\t5\ta\t1\ttrue\n2\t5\ta\t1\ttrue\n3\t5\ta\t1\ttrue\n");
  const json = '{"queryId":1,"itemId":"a"}';
  const answered = '{"queryId":1,"itemInfo":{"itemId":"a","quantity":3}}';
  const forms: [string, string, string][] = [
    ["application/x-ndjson", `\ufeff${json}\r\n${json}\r\n`, `${answered}\n${answered}\n`],
    ["application/json", `\ufeff${json}`, `${answered}\n`],
    ['application/json; charset="utf-8"', `\ufeff [${json}]`, `[${answered}]\n`],
  ];
  for (const [type, body, expected] of forms) {
    assertEquals((await client.post("/queries", type, body)).text, expected);
  }
  for (const charset of ["iso-8859-1", "utf-16", '"latin1"']) {
    for (
      const [path, type] of [["/transactions", "text/plain"], ["/savepoints", "application/json"]]
    ) {
      const answer = await client.post(path!, `${type}; charset=${charset}`, "x");
      assertEquals([answer.status, reasonOf(answer.text)], [415, "charset"]);
    }
  }
  await client.close();
});

Deno.test("U+007F to U+009F come raw neither in answers, errors and logs, nor in what is printed", async () => {
  const client = await Client.open();
  const raw = /[\x7f-\x9f]/;
  const json = `{"transactionId":1,"ts":1,"itemId":"a\u009bb","quantity":0}`;
  const shown = [
    (await client.post("/transactions", "application/json", json)).text,
    (await client.post("/transactions", "text/plain", "1\t5\ta\u009bb\t1")).text,
    (await client.post("/queries", "text/plain", "1 a\u009bb")).text,
    (await client.request("GET", `/items/${encodeURIComponent("a\u009bb")}`)).text,
    (await client.request("GET", `/items/${encodeURIComponent("none\u0085")}`)).text,
    (await client.request("GET", `/items/${encodeURIComponent("\u0080".repeat(200))}`)).text,
    (await client.post("/transactions", "text/plain", "x\u009b31m")).text,
    (await client.post("/transactions", "application/json", '"\u009b31m"')).text,
    showQueryResult({ queryId: 1n, itemInfo: { itemId: "a\u009bb", quantity: 1n } }),
    formatJsonLine({
      timestamp: 0,
      level: "info",
      category: ["a"],
      message: ["an id: ", "a\u009bb", ""],
      rawMessage: "",
      properties: { id: "a\u009bb" },
    }),
  ];
  for (const partition of [0, 1]) {
    shown.push((await client.request("GET", `/logs/transactions/${partition}`)).text);
  }
  for (const text of shown) assert(!raw.test(text), JSON.stringify(text));
  // The value stays what it was.
  assertEquals(JSON.parse(shown[0]!).transaction.itemId, "a\u009bb");
  await client.close();
});

Deno.test("savepoints are bounded by savepoints.max, and GET /checkpoints by partitions", async () => {
  const client = await Client.open({ "savepoints.max": "2" });
  const take = (name: string) =>
    client.post("/savepoints", "application/json", `{"name":"${name}"}`);
  assertEquals([(await take("a")).status, (await take("b")).status], [201, 201]);
  const third = await take("c");
  assertEquals([third.status, reasonOf(third.text)], [409, "too_many"]);
  assertStringIncludes(third.text, "savepoints.max");
  assertEquals((await client.request("DELETE", "/savepoints/a")).status, 204);
  assertEquals((await take("c")).status, 201);
  await client.post(
    "/transactions",
    "text/plain",
    "1\t5\titem_2\t1\n2\t5\titem_3\t1\n3\t5\titem_4\t1",
  );
  await client.request("DELETE", "/savepoints/b");
  assertEquals((await take("d")).status, 201);
  const { checkpoints, next } = (await client.getJson("/checkpoints")).body;
  assertEquals(next, null);
  const later = (await client.getJson("/checkpoints?partition=1")).body.checkpoints;
  const ofSecond = checkpoints.filter((c: { partition: number }) => c.partition >= 1);
  assert(ofSecond.length > 0 && ofSecond.length < checkpoints.length);
  assertEquals(later, ofSecond);
  assertEquals((await client.request("GET", "/checkpoints?partition=x")).status, 400);
  await client.close();
});
