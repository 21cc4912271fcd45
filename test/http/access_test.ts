import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkAccess } from "../../src/http/mod.ts";
import { INSTANCE_HEADER, ParameterError, Parameters } from "../../src/job/mod.ts";
import { Client, INSTANCE_ID } from "./client.ts";

const TOKEN = "a-token.of_sixteen~characters";

Deno.test("with a token every request needs it, but those of probes", async () => {
  const client = await Client.open({}, TOKEN);
  const requests: [string, string][] = [
    ["GET", "/"],
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
  assertEquals(livez.headers.get(INSTANCE_HEADER), INSTANCE_ID);
  for (const scheme of ["Bearer", "bearer", "BEARER "]) {
    const headers = { authorization: `${scheme} ${TOKEN}`, "content-type": "text/plain" };
    const posted = await client.request("POST", "/transactions", { body: "1\t5\ta\t1", headers });
    assertEquals(posted.status, 200);
    assertEquals((await client.request("GET", "/metrics", { headers })).status, 200);
  }
  // A token is no pass for foreign web pages.
  const headers = { authorization: `Bearer ${TOKEN}`, origin: "https://evil.example" };
  assertEquals((await client.request("GET", "/items/a", { headers })).status, 403);
  await client.close();
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
