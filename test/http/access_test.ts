import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkAccess } from "../../src/http/mod.ts";
import { LIFE_HEADER } from "../../src/service/mod.ts";
import { ParameterError, type ParameterKey, Parameters } from "../../src/parameters/mod.ts";
import { Client, LIFE } from "./client.ts";

const TOKEN = "a-token.of_sixteen~characters";

Deno.test("with a token every request needs it, but those of probes", async () => {
  const client = await Client.open({}, TOKEN);
  const requests: [string, string][] = [
    ["GET", "/items/a"],
    ["GET", "/metrics"],
    ["GET", "/checkpoints"],
    ["GET", "/savepoints"],
    ["GET", "/summaries"],
    ["GET", "/logs"],
    ["GET", "/nothing"],
    ["GET", "/livez/"],
    ["POST", "/transactions"],
    ["POST", "/queries"],
    ["POST", "/savepoints"],
    ["DELETE", "/savepoints/a"],
  ];
  const wrong = [
    undefined,
    "",
    "Bearer",
    "Bearer ",
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(0, -1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Basic ${TOKEN}`,
    TOKEN,
    `Bearer ${TOKEN} ${TOKEN}`,
  ];
  for (const [method, path] of requests) {
    for (const authorization of wrong) {
      const answer = await client.request(method, path, {
        headers: authorization === undefined ? {} : { authorization },
      });
      assertEquals(answer.status, 401, `${method} ${path} ${authorization}`);
      assert(answer.headers.get("www-authenticate")!.startsWith('Bearer realm="stockflow"'));
      assertEquals(JSON.parse(answer.text).error.reason, "token");
      assert(!answer.text.includes(TOKEN));
    }
  }
  for (const path of ["/livez", "/readyz"]) {
    assertEquals((await client.request("GET", path)).status, 200);
  }
  const livez = await client.request("GET", "/livez");
  assertEquals(livez.headers.get(LIFE_HEADER), LIFE);
  for (const scheme of ["Bearer", "bearer", "BEARER "]) {
    const headers = { authorization: `${scheme} ${TOKEN}`, "content-type": "text/plain" };
    const posted = await client.request("POST", "/transactions", { body: "1\t5\ta\t1", headers });
    assertEquals(posted.status, 200);
    assertEquals((await client.request("GET", "/metrics", { headers })).status, 200);
  }
  // A token is not a pass for foreign web pages.
  const headers = { authorization: `Bearer ${TOKEN}`, origin: "https://evil.example" };
  assertEquals((await client.request("GET", "/items/a", { headers })).status, 403);
  await client.close();
});

Deno.test("the former token is taken beside the new one, and alone it is refused", async () => {
  const former = "the-token-before-this-one";
  const client = await Client.open({ "http.token.former": former }, TOKEN);
  const ask = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` };
    return (await client.request("GET", "/status", { headers })).status;
  };
  assertEquals(await ask(TOKEN), 200);
  assertEquals(await ask(former), 200);
  assertEquals(await ask(`${former}x`), 401);
  await client.close();
  const { message } = assertThrows(
    () => checkAccess(Parameters.of({ "http.token.former": former })),
    ParameterError,
  );
  assert(!message.includes(former), message);
});

Deno.test("an address that others can reach needs a token", () => {
  for (const host of ["127.0.0.1", "127.8.0.1", "localhost", "::1"]) {
    checkAccess(Parameters.of({ "http.host": host }));
  }
  for (const host of ["0.0.0.0", "::", "10.0.0.5", "example.org", "127.0.0.1.example.org"]) {
    const error = assertThrows(
      () => checkAccess(Parameters.of({ "http.host": host })),
      ParameterError,
    ) as Error;
    assert(error.message.includes(`http.host ${host} can be reached`), error.message);
    assert(error.message.includes("HTTP_TOKEN"));
    checkAccess(Parameters.of({ "http.host": host, "http.token": TOKEN }));
  }
});

Deno.test("a process that shares partitions needs an address that others can ask", () => {
  const of = (more: Record<string, string>) => ({
    "kafka.partitions.shared": "true",
    "http.token": TOKEN,
    ...more,
  });
  for (const host of ["0.0.0.0", "::"]) {
    for (const wrong of [{ "http.host": host }, { "http.advertised.host": host }]) {
      const { message } = assertThrows(
        () => checkAccess(Parameters.of(of(wrong))),
        ParameterError,
      );
      assert(message.startsWith(`${host} is not an address`), message);
      assert(message.includes("http.advertised.host"), message);
    }
    checkAccess(Parameters.of(of({ "http.host": host, "http.advertised.host": "10.0.0.1" })));
    checkAccess(Parameters.of(of({ "http.host": host, "kafka.partitions.shared": "false" })));
  }
});

Deno.test("processes that share partitions ask each other beyond loopback with a token alone", () => {
  const shared = { "kafka.partitions.shared": "true" };
  // A proxy of the same machine hands on what comes for that address.
  const proxied = { "http.host": "127.0.0.1", "http.advertised.host": "10.0.0.1" };
  const { message } = assertThrows(
    () => checkAccess(Parameters.of({ ...shared, ...proxied })),
    ParameterError,
  );
  assert(message.includes("10.0.0.1") && message.includes("set cluster.token"), message);
  checkAccess(Parameters.of({ ...shared, ...proxied, "cluster.token": TOKEN }));
  checkAccess(Parameters.of({ ...shared, ...proxied, "http.token": TOKEN }));
  checkAccess(Parameters.of(proxied));
  checkAccess(Parameters.of(shared));
});

Deno.test("a token that is refused is not shown", () => {
  for (const token of ["short", "with blanks in its middle", "ümlaute-sind-keine-token"]) {
    const error = assertThrows(
      () => Parameters.of({ "http.token": token }),
      ParameterError,
    ) as Error;
    assert(!error.message.includes(token), error.message);
    assert(error.message.includes("--http.token must be 16 to 512 characters"), error.message);
    assert(error.message.includes(`not ${token.length} characters that are not shown`));
  }
  const environment = (name: string) => name === "HTTP_TOKEN" ? TOKEN : undefined;
  assertEquals(Parameters.from({ environment }).get("http.token"), TOKEN);
});

const TEXT = { "content-type": "text/plain" };

/** Posts a transaction with these headers; answers the status, and the reason of an error. */
async function post(
  client: Client,
  headers: Record<string, string>,
  host?: string,
): Promise<[number, string]> {
  const { status, text } = await client.request("POST", "/transactions", {
    body: "1\t5\ta\t1",
    headers: { ...TEXT, ...headers },
  }, host);
  return [status, status === 200 ? "" : JSON.parse(text).error.reason];
}

const SHOP = "https://shop.example";
const RULES = {
  "http.advertised.host": "Inventory.internal",
  "http.allowed.hosts": "shop.example, 10.0.0.5,fd00::1",
  "http.allowed.origins": `${SHOP},http://localhost:3000`,
} as const;

Deno.test("without a token only known names are served, whatever their port, case and dots", async () => {
  const plain = await Client.open();
  for (
    const host of [
      "evil.example:8080",
      "evil.example",
      "localhost.evil.example",
      "127.0.0.1.nip.io",
    ]
  ) {
    const answer = await plain.request("POST", "/transactions", {
      body: "1\t5\ta\t1",
      // A page of that name asks its own origin, as it seems to the browser.
      headers: { ...TEXT, host, origin: `http://${host}` },
    });
    assertEquals(answer.status, 421, host);
    const { reason, message } = JSON.parse(answer.text).error;
    assertEquals(reason, "host");
    assert(message.includes("http.allowed.hosts"), message);
    // What only reads is refused as well.
    assertEquals((await plain.request("GET", "/items/a", { headers: { host } })).status, 421);
    for (const probe of ["/livez", "/readyz"]) {
      assertEquals((await plain.request("GET", probe, { headers: { host } })).status, 200);
    }
  }
  const loopback = [
    "localhost",
    "LocalHost.:8080",
    "127.0.0.1:1",
    "127.8.0.1",
    "[::1]:8080",
    "[0:0::1]",
    "[::ffff:127.0.0.1]",
  ];
  for (const host of loopback) assertEquals(await post(plain, { host }), [200, ""], host);
  for (const host of ["inventory.internal", "shop.example", "10.0.0.5", "[fd00::1]"]) {
    assertEquals(await post(plain, { host }), [421, "host"], host);
  }
  for (const host of ["", "a b", "a@localhost", "localhost/", "[::1", "localhost:99999", "a, b"]) {
    assertEquals((await post(plain, { host }))[1], "host", host);
  }
  await plain.close();
  const strict = await Client.open(RULES);
  const names = ["INVENTORY.internal:80", "shop.example.", "10.0.0.5:8080", "[FD00:0::1]:8080"];
  for (const host of names) assertEquals(await post(strict, { host }), [200, ""], host);
  for (const host of ["a.shop.example", "10.0.0.50"]) {
    assertEquals(await post(strict, { host }), [421, "host"], host);
  }
  await strict.close();
  // Where a token is needed, a page that has another name for this machine does not have it.
  const guarded = await Client.open({}, TOKEN);
  const authorization = `Bearer ${TOKEN}`;
  assertEquals(await post(guarded, { host: "any.example", authorization }), [200, ""]);
  assertEquals(await post(guarded, { host: "any.example" }), [401, "token"]);
  await guarded.close();
});

Deno.test("pages of the same name and port may ask, also behind a proxy that speaks TLS", async () => {
  const client = await Client.open({ "http.allowed.hosts": "shop.example" });
  const own: [string, string][] = [
    ["127.0.0.1:8080", "http://127.0.0.1:8080"],
    ["[::1]:8080", "http://[::1]:8080"],
    ["localhost:80", "http://localhost"],
    ["shop.example", SHOP],
    ["shop.example:443", SHOP],
    ["SHOP.example", SHOP],
    ["shop.example:8443", `${SHOP}:8443`],
  ];
  const foreign: [string, string][] = [
    ["127.0.0.1:8080", "http://127.0.0.1:8081"],
    ["127.0.0.1:8080", "http://localhost:8080"],
    ["shop.example", `${SHOP}:8443`],
    ["shop.example", "https://evil.example"],
    ["shop.example", `${SHOP}.evil.example`],
    ["shop.example", "null"],
    ["shop.example", `${SHOP}/`],
    ["shop.example", "shop.example"],
    ["shop.example", "chrome-extension://shop.example"],
  ];
  for (const [host, origin] of own) {
    assertEquals(await post(client, { origin }, host), [200, ""], `${origin} at ${host}`);
  }
  for (const [host, origin] of foreign) {
    assertEquals(await post(client, { origin }, host), [403, "origin"], `${origin} at ${host}`);
  }
  await client.close();
});

Deno.test("http.allowed.origins opens the API to the pages that it names, and to no others", async () => {
  for (const token of ["", TOKEN]) {
    const client = await Client.open(RULES, token);
    const ask = (method: string, path: string, headers: Record<string, string>) =>
      client.request(method, path, { headers });
    const preflight = {
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    };
    for (const origin of [SHOP, "http://localhost:3000"]) {
      // Without a token: a browser brings none before it may.
      const allowed = await ask("OPTIONS", "/transactions", { origin, ...preflight });
      assertEquals([allowed.status, allowed.text], [204, ""]);
      assertEquals(allowed.headers.get("access-control-allow-origin"), origin);
      assertEquals(allowed.headers.get("vary"), "Origin");
      assert(allowed.headers.get("access-control-allow-methods")!.includes("POST"));
      assert(allowed.headers.get("access-control-allow-headers")!.includes("authorization"));
      const authorization = token && `Bearer ${token}`;
      assertEquals(await post(client, { origin, authorization }), [200, ""]);
      // A page may read errors too.
      const missing = await ask("GET", "/items/none", { origin, authorization });
      assertEquals(missing.status, 404);
      assertEquals(missing.headers.get("access-control-allow-origin"), origin);
      assertEquals(missing.headers.get("vary"), "Origin");
    }
    for (const origin of ["https://evil.example", "http://shop.example", "null"]) {
      const refused = await ask("OPTIONS", "/transactions", { origin, ...preflight });
      assertEquals(refused.status, 403);
      assertEquals(refused.headers.get("access-control-allow-origin"), null);
      assertEquals(refused.headers.get("vary"), "Origin");
      assert(JSON.parse(refused.text).error.message.includes("http.allowed.origins"));
    }
    const plain = await ask("GET", "/livez", {});
    assertEquals(plain.headers.get("access-control-allow-origin"), null);
    assertEquals(plain.headers.get("vary"), "Origin");
    await client.close();
  }
});

Deno.test("a token is needed by all but GET and HEAD of probes", async () => {
  const client = await Client.open({}, TOKEN);
  for (const method of ["GET", "HEAD"]) {
    assertEquals((await client.request(method, "/livez")).status, 200);
  }
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    assertEquals((await client.request(method, "/livez")).status, 401);
  }
  await client.close();
});

Deno.test("hosts and origins that are not valid are refused at the start", () => {
  const wrong: [ParameterKey, string][] = [
    ["http.allowed.hosts", "shop.example:80"],
    ["http.allowed.hosts", "https://shop.example"],
    ["http.allowed.hosts", "a,,b"],
    ["http.allowed.hosts", "*"],
    ["http.allowed.origins", "shop.example"],
    ["http.allowed.origins", "https://shop.example/"],
    ["http.allowed.origins", "https://Shop.example"],
    ["http.allowed.origins", "https://shop.example:443"],
    ["http.allowed.origins", "*"],
    ["http.allowed.origins", "null"],
  ];
  for (const [key, value] of wrong) {
    const error = assertThrows(() => Parameters.of({ [key]: value }), ParameterError) as Error;
    assert(error.message.includes(`--${key} must be`), error.message);
    assert(error.message.includes(JSON.stringify(value)), error.message);
  }
});
