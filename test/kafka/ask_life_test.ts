// Who answers at an address, over real connections of this machine.

import { assertEquals, assertRejects } from "@std/assert";
import { LIFE_HEADER } from "../../src/service/mod.ts";
import { askLife } from "../../src/kafka/ask_life.ts";

const never = new AbortController().signal;

/** What is known of a server that answers like this. */
async function askServer(answer: () => Response): Promise<unknown> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  const known = await askLife(`127.0.0.1:${server.addr.port}`, never);
  await server.shutdown();
  return known;
}

Deno.test("a life of a process is known by its header, and nothing else is taken for one", async () => {
  const headers = { [LIFE_HEADER]: "a1" };
  assertEquals(await askServer(() => new Response("ok\n", { headers })), { life: "a1" });
  assertEquals(await askServer(() => new Response("ok\n")), "unclear");
});

Deno.test("nobody who listens is distinguished from somebody who is silent, or hangs up", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${listener.addr.port}`;
  assertEquals(await askLife(address, never), "unclear");
  const asked = askLife(address, never);
  for (let accepted = 0; accepted < 2; accepted++) (await listener.accept()).close();
  assertEquals(await asked, "unclear");
  listener.close();
  assertEquals(await askLife(address, never), "refused");
  assertEquals(await askLife("[::1]:1", never), "refused");
});

Deno.test("what is not an address proves nothing: a question never fails", async () => {
  for (const address of ["[10.0.0.1:9090]:8080", "10.0.0.256:8080", "node.1:8080"]) {
    assertEquals(await askLife(address, never), "unclear");
  }
});

const HEAD = "HTTP/1.1 200 OK\r\nstockflow-instance: a1\r\n";

for (
  const [part, start, more, state] of [
    ["body", `${HEAD}transfer-encoding: chunked\r\n\r\n`, "1\r\na\r\n", { life: "a1" }],
    ["head", HEAD, "a: b\r\n", "unclear"],
  ] as const
) {
  Deno.test(`an answer whose ${part} never ends is not read on for ever`, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const asked = askLife(`127.0.0.1:${listener.addr.port}`, never);
    const connection = await listener.accept();
    const write = (text: string) => connection.write(new TextEncoder().encode(text));
    await write(start);
    // Until who asked hangs up, which takes a second at the most.
    await assertRejects(async () => {
      for (let n = 0; n < 500; n++) {
        await write(more);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    assertEquals(await asked, state);
    connection.close();
    listener.close();
  });
}

Deno.test({
  name: "an address that Deno does not allow is reported as that",
  permissions: { net: ["127.0.0.1"] },
  fn: async () => assertEquals(await askLife("10.0.0.1:8080", never), "denied"),
});

Deno.test("a question that is given up ends at once", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const over = new AbortController();
  const asked = askLife(`127.0.0.1:${listener.addr.port}`, over.signal);
  over.abort();
  assertEquals(await asked, "unclear");
  listener.close();
});
