import { assert, assertEquals, assertRejects } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { decodeUtf8 } from "../../src/types/mod.ts";
import { Client } from "./client.ts";

const TOKEN = "secret-secret-secret";

Deno.test("GET /status, /status/history and /status/hot-items answer what the job says of itself", async () => {
  const client = await Client.open();
  const lines = Array.from({ length: 300 }, (_, i) => `${i}\t5\titem_2\t1`).join("\n");
  await client.post("/transactions", "text/plain", lines);
  for (let i = 0; i < 4; i++) await client.world.clock.advance(1000);
  const { status, body } = await client.getJson("/status");
  assertEquals([status, body.totals.accepted, body.verdict.level], [200, 300, "ok"]);
  assertEquals(body.version, config.version);
  assertEquals(body.partitions.length, 2);
  const history = await client.getJson("/status/history");
  assert(history.body.seconds.length >= 2);
  const { body: hot } = await client.getJson("/status/hot-items");
  assertEquals(hot.items.map(({ itemId }: { itemId: string }) => itemId), ["item_2"]);
  assert(hot.samples >= 2 && hot.samples < 20, String(hot.samples));
  // Where partitions are not shared, the one process is all of them.
  const { body: own } = await client.getJson("/status?of=process");
  assertEquals(own.totals, body.totals);
  assertEquals((await client.getJson("/status?of=others")).status, 400);
  await client.close();
});

Deno.test("GET /status/configuration has all parameters, and no secret", async () => {
  const client = await Client.open({ "http.token": TOKEN, "num.items": "77" }, TOKEN);
  const { text } = await client.request("GET", "/status/configuration", {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  assert(!text.includes(TOKEN));
  const { parameters } = JSON.parse(text) as {
    parameters: { key: string; value: string | null; default: string }[];
  };
  const byKey = new Map(parameters.map((p) => [p.key, p]));
  assertEquals(byKey.get("http.token")!.value, null);
  assertEquals(byKey.get("kafka.sasl.password")!.value, "");
  assertEquals([byKey.get("num.items")!.value, byKey.get("log.partitions")!.value], ["77", "2"]);
  assertEquals((await client.request("GET", "/status")).status, 401);
  await client.close();
});

/** Reads lines of a stream. */
async function* linesOf(client: Client, response: Response): AsyncGenerator<string> {
  const reader = response.body!.getReader();
  let text = "";
  try {
    while (true) {
      const { done, value } = await client.world.clock.run(reader.read(), "the next line");
      if (done) return;
      text += decodeUtf8(value);
      const lines = text.split("\n");
      text = lines.pop()!;
      yield* lines;
    }
  } finally {
    await reader.cancel();
  }
}

const openStream = (client: Client) =>
  Promise.resolve(client.app.fetch(new Request("http://127.0.0.1:8080/status/stream")));

Deno.test("GET /status/stream has a line at once and one a second, ends with its reader and when the job stops", async () => {
  const client = await Client.open();
  const response = await openStream(client);
  assertEquals(response.headers.get("content-type"), "application/x-ndjson");
  const seen: number[] = [];
  for await (const line of linesOf(client, response)) {
    const { status } = JSON.parse(line);
    seen.push(status.at);
    if (seen.length === 3) break;
  }
  assert(seen[1]! - seen[0]! >= 1000 && seen[2]! - seen[1]! >= 1000, String(seen));
  const second = linesOf(client, await openStream(client));
  assert(!(await second.next()).done);
  client.stopping.abort();
  while (!(await second.next()).done);
  await client.close();
});

Deno.test("streams are bounded by http.streams.max; one that ended makes room", async () => {
  const client = await Client.open({ "http.streams.max": "2" });
  const [first, second] = [await openStream(client), await openStream(client)];
  const refused = await openStream(client);
  assertEquals([refused.status, refused.headers.get("retry-after")], [503, "1"]);
  assertEquals((await refused.json()).error.reason, "busy");
  await first.body!.cancel();
  // HEAD takes none, and ends.
  assertEquals((await client.request("HEAD", "/status/stream")).status, 200);
  const { text } = await client.request("GET", "/metrics");
  assert(text.includes("stockflow_http_status_streams 1"));
  assert(text.includes("stockflow_http_status_streams_refused_total 1"));
  const third = await openStream(client);
  assertEquals(third.status, 200);
  for (const open of [second, third]) await open.body!.cancel();
  await client.close();
});

Deno.test("a stream whose status cannot be read ends, and makes room", async () => {
  const client = await Client.open({ "http.streams.max": "1" });
  client.life.job.statusOfAll = () => Promise.reject(new Error("it is gone"));
  const broken = await openStream(client);
  await assertRejects(() => broken.text(), Error, "it is gone");
  const next = await openStream(client);
  assertEquals(next.status, 200);
  await next.body!.cancel();
  await client.close();
});
