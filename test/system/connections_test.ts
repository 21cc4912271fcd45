// Connections on which nothing happens, over real sockets.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Answer, Connections, type ConnectionsOptions } from "../../src/http/connections.ts";
import { encodeUtf8, systemClock } from "../../src/types/mod.ts";

const GET = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";

function open(
  options: Partial<ConnectionsOptions> = {},
  answer: Answer = async (request) => new Response(`read ${(await request.bytes()).length}`),
): Connections {
  return new Connections({
    hostname: "127.0.0.1",
    port: 0,
    headTimeoutMs: 250,
    idleTimeoutMs: 500,
    connectionsMax: 1000,
    clock: systemClock,
    ...options,
  }, answer);
}

async function connect({ port }: Connections, text: string): Promise<Deno.Conn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(encodeUtf8(text));
  return connection;
}

/** Everything that comes until the other side closes. */
async function readAll(connection: Deno.Conn): Promise<string> {
  let text = "";
  const bytes = new Uint8Array(4096);
  try {
    for (let n = await connection.read(bytes); n !== null; n = await connection.read(bytes)) {
      text += new TextDecoder().decode(bytes.subarray(0, n));
    }
  } catch {
    // It was reset, which is an end too.
  }
  connection.close();
  return text;
}

Deno.test("connections that are silent, end within a head, or are idle are closed after their deadline", async () => {
  const connections = open();
  const silent = await connect(connections, "");
  const half = await connect(connections, GET.slice(0, 20));
  const idle = await connect(connections, GET);
  const halfOfSecond = await connect(connections, GET + GET.slice(0, 20));
  const http2 = await connect(connections, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
  // Its body is refused by nobody, and does not come: that is the body's affair, and others' deadline passes first.
  const body = await connect(
    connections,
    "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n1",
  );
  assertEquals(await readAll(silent), "");
  assertEquals(await readAll(half), "");
  for (const connection of [idle, halfOfSecond]) {
    const answers = (await readAll(connection)).split("HTTP/1.1 200 OK");
    assertEquals(answers.length, 2);
    assertStringIncludes(answers[1]!, "read 0");
  }
  await readAll(http2);
  assertEquals(connections.closed, { head: 3, idle: 2, room: 0 });
  assertEquals(connections.count, 1);
  await body.write(encodeUtf8("2"));
  assertStringIncludes(await readAll(body), "read 2");
  await connections.stop();
});

Deno.test("an answer that is read slowly keeps its connection, however short the deadline", async () => {
  const pieces = 6;
  const connections = open({ headTimeoutMs: 100, idleTimeoutMs: 100 }, () => {
    let n = 0;
    const body = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        await systemClock.sleep(300);
        if (n++ === pieces) controller.close();
        else controller.enqueue(encodeUtf8("piece "));
      },
    }, { highWaterMark: 0 });
    return new Response(body);
  });
  const answer = await fetch(`http://127.0.0.1:${connections.port}/`);
  assertEquals(await answer.text(), "piece ".repeat(pieces));
  await connections.stop();
});

Deno.test("when there is no room, connections on which nothing happens make it, and none is lost that asks", async () => {
  const connectionsMax = 20;
  const connections = open({ headTimeoutMs: 60_000, idleTimeoutMs: 60_000, connectionsMax });
  const idle = [];
  for (let n = 0; n < 3 * connectionsMax; n++) idle.push(await connect(connections, ""));
  const answer = await fetch(`http://127.0.0.1:${connections.port}/`);
  assertEquals(await answer.text(), "read 0");
  assertEquals(connections.closed.room >= 2 * connectionsMax, true);
  await connections.stop();
  for (const connection of idle) connection.close();
});

Deno.test("of connections that come in one burst the first ones stay: what they ask may be on its way", async () => {
  // Nothing is looked at meanwhile, so all have been quiet for equally long.
  const sleep = (_: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
  const connections = open({ connectionsMax: 3, clock: { ...systemClock, sleep } });
  const first = await connect(connections, GET.slice(0, 20));
  const others = [];
  for (let n = 0; n < 6; n++) others.push(await connect(connections, ""));
  while (connections.closed.room < 4) await new Promise((resolve) => setTimeout(resolve, 1));
  await first.write(encodeUtf8(GET.slice(20)));
  const answer = new Uint8Array(4096);
  const length = await first.read(answer) ?? 0;
  assertStringIncludes(new TextDecoder().decode(answer.subarray(0, length)), "200 OK");
  await connections.stop();
  for (const connection of [first, ...others]) connection.close();
});
