// Bytes on the socket that are not requests, or lie about themselves, to the real process.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { FastRandom, seedOfTest } from "../../tools/kit/random.ts";
import { startService, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";

const CONNECTIONS = 400;
/** Queries of one request. */
const BIG_ANSWER = 40_000;
/** Chunks of one byte. */
const TINY_CHUNKS = 100_000;

const REQUESTS = [
  "POST /transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 500\r\n\r\n1\t1\ta\t1",
  "POST /transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: -1\r\n\r\n1\t1\ta\t1",
  "POST /transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\n1\t1\ta\t1",
  "POST /transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 99999999999999\r\n\r\n",
  "POST /transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n1",
  "POST /transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n1",
  "POST /queries HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n[]",
  "GET /items/%zz HTTP/1.1\r\nhost: localhost\r\n\r\n",
  "GET http://elsewhere/livez HTTP/1.1\r\nhost: \r\n\r\n",
  "GET / HTTP/9.9\r\n\r\n",
  `GET /${"a".repeat(100_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`,
  `GET / HTTP/1.1\r\n${"a: b\r\n".repeat(20_000)}\r\n`,
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0",
].map((text) => new TextEncoder().encode(text));

/** Writes bytes to the service, reads a little of what comes, and closes the connection or breaks it off. */
async function send(port: number, bytes: Uint8Array, random: FastRandom): Promise<void> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    await connection.write(bytes);
    if (random.oneIn(2)) await connection.closeWrite();
    if (random.oneIn(2)) await connection.read(new Uint8Array(1000));
  } catch {
    // It was closed on the other side, which is an answer too.
  } finally {
    connection.close();
  }
}

/** The beginning of what comes on a connection; empty when it ends. */
async function readText(connection: Deno.Conn): Promise<string> {
  const bytes = new Uint8Array(1000);
  return new TextDecoder().decode(bytes.subarray(0, await connection.read(bytes) ?? 0));
}

Deno.test("service survives bytes that are not requests, and requests that lie about their length", async () => {
  const seed = seedOfTest();
  const random = new FastRandom(seed);
  console.log(`${CONNECTIONS} connections, seed ${seed}`);
  const service = await startService({ flags: { "log.partitions": "1" } });
  try {
    await waitReady(service);
    const port = Number(new URL(service.url).port);
    for (let n = 0; n < CONNECTIONS; n++) {
      const bytes = random.pick(REQUESTS).slice();
      for (let k = random.below(6); k > 0; k--) {
        bytes[random.below(bytes.length)] = random.below(256);
      }
      // A request whose body does not come is waited for: those who wait are many.
      const waiting = send(port, bytes.subarray(0, random.below(bytes.length + 1)), random);
      await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 20))]);
    }
    for (const host of ["[", "a b", "a:99999", "%"]) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      const request = `GET /livez HTTP/1.1\r\nhost: ${host}\r\norigin: http://a\r\n\r\n`;
      await connection.write(new TextEncoder().encode(request));
      assertStringIncludes(await readText(connection), "HTTP/1.1 403");
      connection.close();
    }
    assertEquals(await (await fetch(`${service.url}/livez`)).text(), "ok\n");
    const answer = await fetch(`${service.url}/transactions`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: "1\t1\titem_1\t5\n",
    });
    assertEquals(await answer.text(), "1\t1\titem_1\t5\ttrue\n");
    assert(!service.log().includes("was answered 500"), service.log());
    await stopInGoodOrder(service);
  } finally {
    await service.kill();
    await Deno.remove(service.folder, { recursive: true });
  }
});

Deno.test("clients that neither send nor read do not hold up a stop in good order", async () => {
  const service = await startService({ flags: { "log.partitions": "1" } });
  const connections: Deno.Conn[] = [];
  try {
    await waitReady(service);
    const send = async (text: string) => {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      connections.push(connection);
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
      return connection;
    };
    const port = Number(new URL(service.url).port);
    const silent = await send("");
    const half = await send("GET /livez HTT");
    const chunked = await send(
      "POST /queries HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n7\r\n1 item_",
    );
    const short = await send(
      "POST /transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 500\r\n\r\n1\t1\ta\t1",
    );
    // An answer of more bytes than a connection holds, which nobody reads.
    const queries = `1 ${"a".repeat(200)}\n`.repeat(BIG_ANSWER);
    await send(
      `POST /queries HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: ${queries.length}\r\n\r\n${queries}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await stopInGoodOrder(service);
    for (const connection of [chunked, short]) {
      const text = await readText(connection);
      assertStringIncludes(text, "HTTP/1.1 503");
      assertStringIncludes(text, "stopping");
    }
    assertEquals(await silent.read(new Uint8Array(1)), null);
    assertEquals(await half.read(new Uint8Array(1)), null);
  } finally {
    await service.kill();
    for (const connection of connections) connection.close();
    await Deno.remove(service.folder, { recursive: true });
  }
});

Deno.test("a chunked body that breaks off ends its connection: its chunks hold nobody up", async () => {
  const service = await startService({ flags: { "log.partitions": "1" } });
  try {
    await waitReady(service);
    const port = Number(new URL(service.url).port);
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const bytes = new TextEncoder().encode(
      "POST /transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n" +
        `transfer-encoding: chunked\r\n\r\n${"1\r\nx\r\n".repeat(TINY_CHUNKS)}`,
    );
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    await connection.closeWrite();
    // An answer would let Deno go through all of these chunks in one go, seconds long.
    assertEquals(await readText(connection), "");
    connection.close();
    assertEquals(await (await fetch(`${service.url}/livez`)).text(), "ok\n");
    await stopInGoodOrder(service);
  } finally {
    await service.kill();
    await Deno.remove(service.folder, { recursive: true });
  }
});

Deno.test("more connections than the process may have open end neither it nor what is under way", async () => {
  const openFilesMax = 300;
  const service = await startService({ flags: { "log.partitions": "1" }, openFilesMax });
  const connections: Deno.Conn[] = [];
  try {
    await waitReady(service);
    const port = Number(new URL(service.url).port);
    const connect = async () => {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      connections.push(connection);
      return connection;
    };
    const write = (connection: Deno.Conn, text: string) =>
      connection.write(new TextEncoder().encode(text));
    const underWay = await connect();
    await write(
      underWay,
      "POST /transactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\n",
    );
    for (let n = 0; n < 2 * openFilesMax; n++) await connect().catch(() => {}); // some are refused
    await write(underWay, "1\t1\ta\t1\n");
    assertStringIncludes(await readText(underWay), "1\t1\ta\t1\ttrue\n");
    // While those who are idle are still there.
    let answered: Response | null = null;
    for (let n = 0; n < 100 && !answered; n++) {
      answered = await fetch(`${service.url}/livez`).catch(() => null);
      if (!answered) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assertEquals(await answered?.text(), "ok\n");
    assertStringIncludes(service.log(), "Cannot take connections");
    await stopInGoodOrder(service);
  } finally {
    await service.kill();
    for (const connection of connections) connection.close();
    await Deno.remove(service.folder, { recursive: true });
  }
});
