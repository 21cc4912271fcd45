// Who answers at an address, over real connections of this machine.

import { assertEquals } from "@std/assert";
import { INSTANCE_HEADER } from "../../src/job/mod.ts";
import { askInstance } from "../../src/kafka/ask_instance.ts";

const never = new AbortController().signal;

/** What is told of a server that answers like this. */
async function askServer(answer: () => Response): Promise<unknown> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  const told = await askInstance(`127.0.0.1:${server.addr.port}`, never);
  await server.shutdown();
  return told;
}

Deno.test("an instance is told by its header, and nothing else is taken for one", async () => {
  const headers = { [INSTANCE_HEADER]: "a1" };
  assertEquals(await askServer(() => new Response("ok\n", { headers })), { instance: "a1" });
  assertEquals(await askServer(() => new Response("ok\n")), "unclear");
});

Deno.test("nobody who listens is told from somebody who is silent, or hangs up", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${listener.addr.port}`;
  assertEquals(await askInstance(address, never), "unclear");
  const asked = askInstance(address, never);
  for (let accepted = 0; accepted < 2; accepted++) (await listener.accept()).close();
  assertEquals(await asked, "unclear");
  listener.close();
  assertEquals(await askInstance(address, never), "refused");
  assertEquals(await askInstance("[::1]:1", never), "refused");
});

Deno.test({
  name: "an address that Deno does not allow is told as that",
  permissions: { net: ["127.0.0.1"] },
  fn: async () => assertEquals(await askInstance("10.0.0.1:8080", never), "denied"),
});

Deno.test("a question that is given up ends at once", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const over = new AbortController();
  const asked = askInstance(`127.0.0.1:${listener.addr.port}`, over.signal);
  over.abort();
  assertEquals(await asked, "unclear");
  listener.close();
});
