import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { gunzipSync } from "node:zlib";
import { Conditions } from "../../src/engine/mod.ts";
import { createStartingApi } from "../../src/http/starting.ts";
import { ManualClock } from "../engine/manual_clock.ts";
import { Client } from "./client.ts";

const HTML = { accept: "text/html,application/xhtml+xml" };
const TOKEN = "secret-secret-secret";

Deno.test("the page is at /, for browsers; programs get the index of the API there", async () => {
  const client = await Client.open();
  const page = await client.request("GET", "/", { headers: HTML });
  assertEquals([page.status, page.type], [200, "text/html; charset=utf-8"]);
  assertStringIncludes(page.text, "/page/app.js");
  assertStringIncludes(page.headers.get("vary")!, "accept");
  const index = await client.request("GET", "/");
  assert(index.type!.startsWith("text/plain"));
  assertStringIncludes(index.text, "POST /transactions");
  // Everything that the page names is there.
  for (const [, path] of page.text.matchAll(/(?:src|href)="(\/[^"]*)"/g)) {
    const { status, text } = await client.request("GET", path!);
    assertEquals(status, 200, path);
    assert(text.length > 0);
  }
  await client.close();
});

Deno.test("the page loads nothing from elsewhere, runs nothing inline, and stands in no frame", async () => {
  const client = await Client.open();
  const { text, headers } = await client.request("GET", "/", { headers: HTML });
  const policy = new Map(
    headers.get("content-security-policy")!.split("; ").map((part) => {
      const [name, ...sources] = part.split(" ");
      return [name!, sources.join(" ")];
    }),
  );
  assertEquals(policy.get("default-src"), "'none'");
  for (const name of ["script-src", "style-src", "img-src", "connect-src"]) {
    assertEquals(policy.get(name), "'self'", name);
  }
  assertEquals(policy.get("frame-ancestors"), "'none'");
  assertEquals(policy.get("require-trusted-types-for"), "'script'");
  assertEquals(headers.get("x-content-type-options"), "nosniff");
  assert(!/<script(?![^>]* src=)|<style| style=| on\w+=|https?:/.test(text), text);
  for (const path of ["/page/app.js", "/page/app.css"]) {
    const { text } = await client.request("GET", path);
    const named = [...text.matchAll(/https?:\/\/[\w.-]+/g)].map(([url]) => url);
    // The namespace of SVG and the address of the charts' licence are names, not resources.
    assertEquals(named.filter((url) => !/w3\.org|github\.com/.test(url)), [], path);
  }
  await client.close();
});

Deno.test("the page is open where a token is needed, its data is not", async () => {
  const client = await Client.open({}, TOKEN);
  for (const path of ["/", "/page/app.js", "/page/app.css", "/page/icon.svg"]) {
    assertEquals((await client.request("GET", path, { headers: HTML })).status, 200, path);
  }
  const data = ["/status", "/status/stream", "/status/history", "/status/configuration"];
  for (const path of [...data, "/status/hot-items", "/checkpoints", "/logs", "/items/a"]) {
    assertEquals((await client.request("GET", path, { headers: HTML })).status, 401, path);
  }
  assertEquals((await client.request("POST", "/", { body: "x" })).status, 401);
  await client.close();
});

Deno.test("an asset is compressed for who takes that, and not sent again while it is the same", async () => {
  const client = await Client.open();
  const plain = await client.request("GET", "/page/app.js");
  assertEquals(plain.headers.get("cache-control"), "no-cache");
  const etag = plain.headers.get("etag")!;
  const request = (headers: Record<string, string>) =>
    client.app.fetch(new Request("http://127.0.0.1:8080/page/app.js", { headers }));
  const zipped = await request({ "accept-encoding": "br, gzip" });
  assertEquals(zipped.headers.get("content-encoding"), "gzip");
  const bytes = new Uint8Array(await zipped.arrayBuffer());
  assert(bytes.length < 150_000 && bytes.length < plain.text.length / 2);
  assertEquals(new TextDecoder().decode(gunzipSync(bytes)), plain.text);
  const refused = await request({ "accept-encoding": "gzip;q=0, identity" });
  assertEquals(refused.headers.get("content-encoding"), null);
  await refused.body!.cancel();
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`]) {
    const { status, body } = await request({ "if-none-match": known });
    assertEquals([status, body], [304, null], known);
  }
  const other = await request({ "if-none-match": '"other"' });
  assertEquals(other.status, 200);
  await other.body!.cancel();
  await client.close();
});

Deno.test("the page is there before the job has started", async () => {
  const app = createStartingApi({
    conditions: new Conditions(new ManualClock()),
    access: { token: TOKEN, formerToken: "", clusterToken: TOKEN, hosts: [], origins: [] },
    life: "1",
    stopping: new AbortController().signal,
  });
  const ask = (path: string, headers: Record<string, string>) =>
    app.fetch(new Request(`http://127.0.0.1:8080${path}`, { headers }));
  const page = await ask("/", HTML);
  assertEquals(page.status, 200);
  await page.body!.cancel();
  const status = await ask("/status", { authorization: `Bearer ${TOKEN}` });
  assertEquals([status.status, (await status.json()).error.reason], [503, "starting"]);
});
