// A process asks another one for stocks, over real connections.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Peer, PEER_IDS_MAX, type PeerRequest } from "../../src/service/peer.ts";
import { PEER_PATHS, peerAgent } from "../../src/service/peer_request.ts";
import { Conditions } from "../../src/engine/conditions.ts";
import { LostError } from "../../src/log/mod.ts";
import { type Clock, encodeUtf8, SHARED_TURN_MS, systemClock } from "../../src/types/mod.ts";

/** A process that answers as the test says, and the one that asks it. */
function pair(
  answer: (asked: PeerRequest) => Response | Promise<Response>,
  clock: Clock = systemClock,
) {
  const requests: { asked: PeerRequest; token: string | null; connection: string }[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request, { remoteAddr }) => {
      assertEquals([request.method, new URL(request.url).pathname], ["POST", PEER_PATHS.lookups]);
      const asked = await request.json();
      const token = request.headers.get("authorization");
      requests.push({ asked, token, connection: String((remoteAddr as Deno.NetAddr).port) });
      return await answer(asked);
    },
  );
  const { agent, ...asker } = askerOf(`127.0.0.1:${server.addr.port}`, clock);
  const close = async () => {
    agent.destroy();
    await server.shutdown();
  };
  return { requests, ...asker, close };
}

/** The process that asks. */
function askerOf(address: string, clock: Clock) {
  const over = new AbortController();
  const agent = peerAgent();
  const conditions = new Conditions(clock);
  const peer = new Peer({
    address,
    life: "life",
    generation: 3,
    nonce: 4,
    token: "token",
    agent,
    clock,
    conditions,
    over: over.signal,
  });
  const ask = (partition: number, ...ids: string[]) =>
    peer.ownerOf(partition).lookUp(ids.map((id) => encodeUtf8(id)));
  return { ask, over, agent, conditions, peer };
}

const stocksOf = ({ lookups }: PeerRequest) =>
  Response.json({ stocks: lookups.map(({ ids }) => ids.map((id) => id === "none" ? null : "7")) });

Deno.test("what is asked in one turn goes in one request, over a connection that is kept", async () => {
  const { requests, ask, close } = pair(stocksOf);
  assertEquals(await Promise.all([ask(0, "ä", "none"), ask(1, "b")]), [[7n, null], [7n]]);
  assertEquals(requests.map(({ asked, token }) => [asked, token]), [[
    {
      life: "life",
      generation: 3,
      nonce: 4,
      lookups: [{ partition: 0, ids: ["ä", "none"] }, { partition: 1, ids: ["b"] }],
    },
    "Bearer token",
  ]]);
  await ask(0, "c");
  assertEquals(new Set(requests.map(({ connection }) => connection)).size, 1);
  await close();
});

Deno.test("what is asked while a request is under way does not wait for its answer; while two are, it goes with the next one, within its bound", async () => {
  const first = Promise.withResolvers<void>();
  const { requests, ask, close } = pair(async (asked) => {
    if (requests.length <= 2) await first.promise;
    return stocksOf(asked);
  });
  const until = async (count: number) => {
    while (requests.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const many = Array.from({ length: PEER_IDS_MAX - 1 }, (_, n) => `item_${n}`);
  const asked = [ask(0, "a")];
  await until(1);
  asked.push(ask(0, "b"));
  await until(2);
  asked.push(ask(0, ...many), ask(1, "b"), ask(1, "c", "d"));
  await new Promise((resolve) => setTimeout(resolve, 2 * SHARED_TURN_MS));
  assertEquals(requests.length, 2);
  first.resolve();
  const counted = (await Promise.all(asked)).map((stocks) => stocks.length);
  assertEquals(counted, [1, 1, many.length, 1, 2]);
  const counts = requests.map(({ asked }) => asked.lookups.map(({ ids }) => ids.length));
  assertEquals(counts, [[1], [1], [many.length, 1], [2]]);
  // More than one request takes goes in several, and comes back whole.
  const more = Array.from(
    { length: 2 * PEER_IDS_MAX + 1 },
    (_, n) => n === PEER_IDS_MAX ? "none" : "a",
  );
  const stocks = await ask(0, ...more);
  assertEquals(stocks.map((stock) => stock === null), more.map((id) => id === "none"));
  await close();
});

Deno.test("an answer that is not one of stocks, an error, and the end of the generation are losses", async () => {
  const answers = [
    () => Response.json({ error: { reason: "unavailable" } }, { status: 503 }),
    () => Response.json({ stocks: [] }),
    () => new Response("no JSON"),
    () => Response.json({ stocks: [["1", "2"]] }),
  ];
  const { ask, close } = pair(() => answers.shift()!());
  for (const why of ["503", "undefined stocks came for 1 items", "JSON", "2 stocks came for 1"]) {
    const error = await assertRejects(() => ask(0, "a"), LostError);
    assertStringIncludes(error.message, why);
  }
  await close();
  await assertRejects(() => ask(0, "a"), LostError, "does not answer");
  const hanging = pair(() => new Promise<Response>(() => {}));
  const asked = hanging.ask(0, "a");
  while (hanging.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  hanging.over.abort("over");
  await assertRejects(() => asked, LostError);
});

Deno.test("who hangs on a connection that was kept is not waited for beyond the generation, nor asked again", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const { ask, over, agent } = askerOf(`127.0.0.1:${port}`, systemClock);
  const hangs = Promise.withResolvers<void>();
  let requests = 0;
  const serve = async (connection: Deno.Conn) => {
    while (await connection.read(new Uint8Array(4096)) !== null) {
      requests++;
      if (requests > 1) hangs.resolve();
      else {await connection.write(
          encodeUtf8('HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{"stocks":[["7"]]}'),
        );}
    }
    connection.close();
  };
  const serving = (async () => {
    const served: Promise<void>[] = [];
    for await (const connection of listener) served.push(serve(connection).catch(() => {}));
    await Promise.all(served);
  })();
  assertEquals(await ask(0, "a"), [7n]);
  const [asked, behind] = [ask(0, "b"), hangs.promise.then(() => ask(0, "c"))];
  await hangs.promise;
  over.abort("over");
  await assertRejects(() => asked, LostError);
  await assertRejects(() => behind, LostError);
  agent.destroy();
  listener.close();
  await serving; // all connections are closed
  assertEquals(requests, 2);
});

Deno.test("a process that refuses what it is asked is reported, until it answers; one that cannot answer yet is not", async () => {
  // Each look at the clock is later than a moment.
  let now = 0;
  const clock: Clock = { ...systemClock, monotonic: () => now += 3000 };
  const later = () => Response.json({ error: { reason: "unavailable" } }, { status: 503 });
  const refused = () => new Response("another token", { status: 401 });
  const answers = [later, later, refused, refused, later, refused, stocksOf];
  const { ask, conditions, peer, close } = pair((asked) => answers.shift()!(asked), clock);
  const seen: (string | null)[] = [];
  while (answers.length > 0) {
    await ask(0, "a").catch((error) => assert(error instanceof LostError));
    seen.push(peer.unreachable && peer.unreachable.slice(-17));
    assertEquals(conditions.list().map(({ what }) => what), peer.unreachable ? ["cluster"] : []);
  }
  assertEquals(seen, [
    null,
    null,
    "401 another token",
    "401 another token",
    null,
    "401 another token",
    null,
  ]);
  await close();
});

Deno.test("an answer is read however it is cut and whatever its length is said by; what is not HTTP, and what ends before its length, is a loss", async () => {
  const body = '{"stocks":[["7"]]}';
  const length = `Content-Length: ${body.length}`;
  const answers = [
    [`HTTP/1.1 200 OK\r\n${length}\r\n\r\n${body}`, true],
    [
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
      `4;a=b\r\n${body.slice(0, 4)}\r\ne\r\n${body.slice(4)}\r\n0\r\nfield: a\r\n\r\n`,
      true,
    ],
    [`HTTP/1.0 200 OK\r\n\r\n${body}`, true],
    [`HTTP/1.1 200 OK\r\nconnection: close\r\n${length}\r\n\r\n${body}`, true],
    ["SSH-2.0\r\n\r\n", false],
    [`HTTP/1.1 200 OK\r\n${length}\r\n\r\n${body.slice(1)}`, false],
  ] as const;
  for (const [answer, isOne] of answers) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const { ask, agent } = askerOf(`127.0.0.1:${port}`, systemClock);
    const serve = async (connection: Deno.Conn) => {
      if (await connection.read(new Uint8Array(4096)) !== null) {
        for (const byte of encodeUtf8(answer)) await connection.write(new Uint8Array([byte]));
      }
      connection.close();
    };
    const serving = (async () => {
      for await (const connection of listener) await serve(connection).catch(() => {});
    })();
    for (let n = 0; n < 2; n++) {
      if (isOne) assertEquals(await ask(0, "a"), [7n]);
      else await assertRejects(() => ask(0, "a"), LostError, "does not answer");
    }
    agent.destroy();
    listener.close();
    await serving;
  }
});

Deno.test("an answer larger than what is read at a time is read whole", async () => {
  const { ask, close } = pair(stocksOf);
  const ids = Array.from({ length: PEER_IDS_MAX }, (_, n) => `item_${"x".repeat(200)}_${n}`);
  assertEquals((await ask(0, ...ids)).length, ids.length);
  const text = "7".repeat(40);
  const long = pair(({ lookups }) =>
    Response.json({ stocks: lookups.map(({ ids }) => ids.map(() => text)) })
  );
  assertEquals(new Set(await long.ask(0, ...ids)), new Set([BigInt(text)]));
  await close();
  await long.close();
});

Deno.test("a request on a connection that was closed while nothing was asked is sent once more, on a new one", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { ask, agent } = askerOf(
    `127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    systemClock,
  );
  let opened = 0;
  const serving = (async () => {
    for await (const connection of listener) {
      opened++;
      await connection.read(new Uint8Array(4096));
      await connection.write(
        encodeUtf8('HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{"stocks":[["7"]]}'),
      );
      connection.close();
    }
  })();
  for (let n = 0; n < 3; n++) assertEquals(await ask(0, "a"), [7n]);
  assertEquals(opened, 3);
  agent.destroy();
  listener.close();
  await serving;
});
