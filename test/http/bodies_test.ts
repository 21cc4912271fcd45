import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { gzipSync } from "node:zlib";
import { ByteBudget } from "../../src/http/byte_budget.ts";
import { ByteCollector } from "../../src/http/byte_collector.ts";
import { encodeUtf8 } from "../../src/types/mod.ts";
import { type Answer, Client } from "./client.ts";

const TEXT = "text/plain";
const LINE = "1\t5\titem_1\t1\n";

/** A body whose pieces a test gives one by one. */
class Tap {
  pulls = 0;
  #controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  readonly stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => void (this.#controller = controller),
    pull: () => void this.pulls++,
  }, { highWaterMark: 0 });

  give(text: string): void {
    this.#controller.enqueue(encodeUtf8(text));
  }

  end(): void {
    this.#controller.close();
  }
}

async function metric(client: Client, name: string): Promise<number> {
  const { text } = await client.request("GET", "/metrics");
  return Number(text.split("\n").find((line) => line.startsWith(`${name} `))?.split(" ")[1]);
}

Deno.test("a body of more records than are allowed is refused, in every form, and nothing of it is executed", async () => {
  const client = await Client.open({ "http.body.records.max": "3" });
  const json = '{"transactionId":1,"ts":5,"itemId":"item_1","quantity":1}';
  const bodies: [string, (records: number) => string][] = [
    [TEXT, (n) => LINE.repeat(n)],
    ["application/x-ndjson", (n) => `${json}\n`.repeat(n)],
    ["application/json", (n) => `[${Array(n).fill(json).join(",")}]`],
  ];
  for (const [type, body] of bodies) {
    const refused = await client.post("/transactions", type, body(4));
    assertEquals(refused.status, 413);
    assertStringIncludes(refused.text, "at most 3 records (http.body.records.max)");
    // Whatever the records are: they are counted before they are parsed.
    assertEquals((await client.post("/queries", type, body(4))).status, 413);
  }
  assertEquals((await client.request("GET", "/items/item_1")).status, 404);
  for (const [type, body] of bodies) {
    assertEquals((await client.post("/transactions", type, body(3))).status, 200);
  }
  assertEquals(await metric(client, 'stockflow_http_refused_total{reason="too_many_records"}'), 6);
  await client.close();
});

Deno.test("other requests are answered between the slices of a long one", async () => {
  const client = await Client.open({ "http.body.bytes.max": "1000000" });
  let isAnswered = false;
  const answered = client.post("/transactions", TEXT, "\n".repeat(100_000)).then((answer) => {
    isAnswered = true;
    return answer;
  });
  let between = 0;
  while (!isAnswered) {
    assertEquals((await client.request("GET", "/livez")).status, 200);
    if (!isAnswered) between++;
  }
  const { status, text } = await answered;
  assertEquals(status, 400);
  assertEquals(text.split("\n").length, 100_001);
  assert(between >= 5, `${between} answers between the slices`);
  await client.close();
});

Deno.test("nothing of a body is read before its request is allowed", async () => {
  const token = "a-token-of-tests-01";
  const client = await Client.open({}, token);
  const authorization = `Bearer ${token}`;
  const cases: [string, Record<string, string>, number][] = [
    ["/transactions", { "content-type": TEXT }, 401],
    ["/savepoints", { "content-type": "application/json" }, 401],
    ["/livez", { "content-type": TEXT }, 401],
    ["/readyz", { "content-type": TEXT }, 401],
    ["/transactions", { "content-type": TEXT, origin: "https://evil.example" }, 403],
    ["/transactions", { "content-type": "text/html", authorization }, 415],
    ["/transactions", { "content-type": TEXT, authorization, "content-encoding": "br" }, 415],
    ["/transactions", { "content-type": TEXT, authorization, "content-length": "100001" }, 413],
    ["/nowhere", { "content-type": TEXT, authorization }, 404],
  ];
  for (const [path, headers, status] of cases) {
    const tap = new Tap();
    const answer = await client.request("POST", path, { body: tap.stream, headers });
    assertEquals([path, answer.status, tap.pulls], [path, status, 0]);
  }
  for (const path of ["/livez", "/readyz"]) {
    assert((await client.request("POST", path, { headers: { authorization } })).status >= 404);
  }
  await client.close();
});

Deno.test("a body that stalls is answered 408, and gives back what it held", async () => {
  const client = await Client.open();
  const tap = new Tap();
  const waiting = client.post("/transactions", TEXT, tap.stream);
  tap.give(LINE.repeat(2000));
  const answer = await waiting;
  assertEquals(answer.status, 408);
  assertStringIncludes(answer.text, "less than 1024 bytes a second over 10 s (http.body.rate.min)");
  assertEquals(await metric(client, "stockflow_http_bytes"), 0);
  assertEquals(await metric(client, 'stockflow_http_refused_total{reason="too_slow"}'), 1);
  // One that is slow, but fast enough, is not hurried.
  const slow = new Tap();
  const answered = client.post("/transactions", TEXT, slow.stream);
  for (let n = 0; n < 15; n++) {
    slow.give(LINE.repeat(200));
    await client.world.clock.advance(2000);
  }
  slow.end();
  assertEquals((await answered).status, 200);
  await client.close();
});

Deno.test("large bodies share http.bodies.bytes.max, and leave room for small ones", async () => {
  const client = await Client.open({
    "http.bodies.bytes.max": String(2 ** 20),
    "http.body.bytes.max": String(2 ** 20),
  });
  const first = new Tap();
  const waiting = client.post("/transactions", TEXT, first.stream);
  first.give(`${"x".repeat(16_000)}\n`.repeat(50));
  await client.world.clock.settle();
  assert(await metric(client, "stockflow_http_bytes") > 800_000);
  const refused = await client.post("/transactions", TEXT, `${"x".repeat(16_000)}\n`.repeat(20));
  assertEquals([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  assertStringIncludes(refused.text, "of 1048576 (http.bodies.bytes.max)");
  assertEquals((await client.post("/transactions", TEXT, LINE.repeat(200))).status, 200);
  first.end();
  assertEquals((await waiting).status, 400);
  assertEquals(await metric(client, "stockflow_http_bytes"), 0);
  await client.close();
});

Deno.test("a budget refuses what exceeds it, keeps a share for small ones, and always has room for one large one", () => {
  const budget = new ByteBudget(1_000_000);
  const [first, second, small] = [budget.open(), budget.open(), budget.open()];
  assert(first.add(5_000_000));
  assert(!second.add(70_000));
  assert(small.add(60_000));
  assert(small.addOverhead(60_000));
  assert(!small.addOverhead(10_000)); // an eighth is kept for small ones
  assertEquals(budget.usedBytes, 5_120_000);
  first.release();
  first.release();
  assert(!first.add(1));
  assert(second.add(70_000));
  assert(small.add(10_000)); // now it is a large one
  second.release();
  small.release();
  assertEquals(budget.usedBytes, 0);
});

Deno.test("a large answer comes in pieces, and is cut if nobody reads it", async () => {
  const client = await Client.open();
  const lines = Array.from({ length: 4000 }, (_, n) => `${n} item_${n}`);
  const read = await client.post("/queries", TEXT, lines.join("\n"));
  assertEquals(read.text, lines.map((line) => `${line.split(" ")[0]}\tMISSING\n`).join(""));
  const longer = Array.from({ length: 4000 }, (_, n) => `${n} ${"é".repeat(40)}\x01`);
  const body = longer.join("\n");
  const ask = (): Promise<Response> =>
    client.world.clock.run(
      Promise.resolve(client.app.fetch(
        new Request("http://127.0.0.1:8080/queries", {
          method: "POST",
          headers: { "content-type": TEXT, "transfer-encoding": "chunked" },
          body: body.slice(0, 50_000),
        }),
      )),
      "it is answered",
    );
  const unread = await ask();
  assert(await metric(client, "stockflow_http_bytes") > 50_000);
  await client.world.clock.advance(1000);
  for (let n = 0; n < 100; n++) await client.world.clock.advance(1000);
  assertEquals(await metric(client, "stockflow_http_bytes"), 0);
  assertEquals(await metric(client, 'stockflow_http_refused_total{reason="unread"}'), 1);
  assertEquals(await unread.text().then(() => "whole", () => "cut"), "cut");
  // A client that goes away gives back what its answer held.
  const left = await ask();
  await left.body!.cancel();
  assertEquals(await metric(client, "stockflow_http_bytes"), 0);
  await client.close();
});

Deno.test("gzip is read if it is whole, within the limits of what it inflates to; other codings are not", async () => {
  const client = await Client.open({ "http.body.records.max": "1000000" });
  const gzip = (text: string) => new Uint8Array(gzipSync(encodeUtf8(text)));
  const post = (body: Uint8Array<ArrayBuffer>, coding = "gzip"): Promise<Answer> =>
    client.request("POST", "/transactions", {
      body,
      headers: { "content-type": TEXT, "content-encoding": coding },
    });
  const whole = gzip(LINE);
  for (const coding of ["gzip", "GZIP", "x-gzip"]) {
    assertEquals((await post(whole, coding)).text, "1\t5\titem_1\t1\ttrue\n");
  }
  assertEquals((await post(gzip(LINE.repeat(5000)))).text, "1\t5\titem_1\t1\ttrue\n".repeat(5000));
  for (const coding of ["br", "deflate", "zstd", "gzip, gzip", "identity, gzip"]) {
    const refused = await post(whole, coding);
    assertEquals(refused.status, 415);
    assertStringIncludes(refused.text, "Content-Encoding must be gzip or absent");
  }
  for (const text of ["\n".repeat(100_001), "x".repeat(50_000_000)]) {
    assertEquals((await post(gzip(text))).status, 413);
  }
  const flipped = whole.slice();
  flipped[flipped.length - 6]! ^= 1;
  const broken = [
    ...Array.from(whole.keys(), (end) => whole.slice(0, end)),
    flipped,
    new Uint8Array([...whole, ...whole]),
    new Uint8Array([...whole, 0]),
    encodeUtf8(LINE),
  ];
  for (const body of broken) {
    const refused = await post(body);
    assertEquals(refused.status, 400);
    assertStringIncludes(refused.text, "not one whole gzip member");
  }
  assertEquals(await metric(client, "stockflow_http_bytes"), 0);
  assertEquals(JSON.parse((await client.request("GET", "/items/item_1")).text).quantity, 5003);
  await client.close();
});

Deno.test("a transfer coding beside chunked, which is not undone, is refused with 501, and nothing is executed", async () => {
  const client = await Client.open();
  const post = (coding: string) =>
    client.request("POST", "/transactions", {
      body: LINE,
      headers: { "content-type": TEXT, "transfer-encoding": coding },
    });
  for (const coding of ["gzip, chunked", "deflate,chunked", "identity"]) {
    const { status, text } = await post(coding);
    assertEquals([coding, status], [coding, 501]);
    assertStringIncludes(text, '"reason":"transfer_encoding"');
  }
  assertEquals((await client.request("GET", "/items/item_1")).status, 404);
  assertEquals((await post("Chunked")).status, 200);
  await client.close();
});

Deno.test("pieces of any size make the same bytes", () => {
  const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i * 7);
  for (const size of [1, 3, 4095, 4096, 4097, 100_000, 300_000]) {
    const collector = new ByteCollector();
    for (let at = 0; at < bytes.length; at += size) collector.add(bytes.subarray(at, at + size));
    assertEquals(collector.length, bytes.length);
    assertEquals(collector.take(), bytes);
  }
  assertEquals(new ByteCollector().take().length, 0);
});
