// Names and paths as they stand on the wire, which a client library would put in order first.

import { connect as connectHttp2 } from "node:http2";
import { assertEquals } from "@std/assert";
import { startService, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";

const BODY = "1\t1\ta\t1";

/** Sends a request's head and body as they are; answers the status, 0 if the connection was closed. */
async function raw(port: number, request: string): Promise<number> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    await connection.write(new TextEncoder().encode(request));
    const bytes = new Uint8Array(4096);
    const length = await connection.read(bytes) ?? 0;
    const text = new TextDecoder().decode(bytes.subarray(0, length));
    return Number(/^HTTP\/1\.\d (\d+)/.exec(text)?.[1] ?? 0);
  } finally {
    connection.close();
  }
}

/** Posts a transaction over HTTP/2 under a name; answers the status. */
function postHttp2(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(url);
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":path": "/transactions",
      "content-type": "text/plain",
      "content-length": String(BODY.length),
      ...headers,
    });
    stream.on("error", reject);
    stream.on("response", (answer) => {
      resolve(Number(answer[":status"]));
      session.destroy();
    });
    stream.end(BODY);
  });
}

Deno.test("the service is served under its own names alone, over HTTP/1 and HTTP/2", async () => {
  const service = await startService({ flags: { "http.allowed.hosts": "shop.example" } });
  try {
    await waitReady(service);
    const port = Number(new URL(service.url).port);
    const head = `content-type: text/plain\r\ncontent-length: ${BODY.length}\r\n`;
    const post = (target: string, hosts: string, version = "1.1") =>
      raw(port, `POST ${target} HTTP/${version}\r\n${hosts}${head}\r\n${BODY}`);
    const cases: [number, string, string][] = [
      [421, "/transactions", "Host: evil.example\r\n"],
      [421, "/transactions", `HOST: Evil.Example.:${port}\r\n`],
      [200, "/transactions", `Host: 127.0.0.1:${port}\r\n`],
      [200, "/transactions", "Host: LOCALHOST.\r\n"],
      [200, "/transactions", "Host: [::1]:9\r\n"],
      [200, "/transactions", "Host: Shop.example.:443\r\n"],
      // The target's own name counts before that of Host; here both must be known.
      [421, "http://evil.example/transactions", "Host: localhost\r\n"],
      [421, "http://localhost/transactions", "Host: evil.example\r\n"],
      [200, "http://localhost/transactions", "Host: shop.example\r\n"],
    ];
    for (const [status, target, hosts] of cases) {
      assertEquals(await post(target, hosts), status, `${target} ${hosts}`);
    }
    assertEquals(await post("/transactions", "Host: localhost\r\nHost: evil.example\r\n"), 400);
    // Who gives no name came by the address.
    assertEquals(await post("/transactions", "", "1.0"), 200);
    assertEquals(await raw(port, "GET /livez HTTP/1.1\r\nHost: 10.1.2.3:8080\r\n\r\n"), 200);
    // Not the path above: an id that nobody has posted.
    assertEquals(await raw(port, "GET /items/.. HTTP/1.1\r\nHost: localhost\r\n\r\n"), 404);
    assertEquals(await raw(port, "GET /items/%ff HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400);
    assertEquals(await raw(port, "DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405);
    assertEquals(await raw(port, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"), 404);
    assertEquals(await raw(port, "OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 421);
    assertEquals(await postHttp2(service.url, {}), 200);
    assertEquals(await postHttp2(service.url, { ":authority": "shop.example" }), 200);
    assertEquals(await postHttp2(service.url, { ":authority": "evil.example:8080" }), 421);
    assertEquals(
      await postHttp2(service.url, { ":authority": "localhost", "host": "evil.example" }),
      421,
    );
    await stopInGoodOrder(service);
  } finally {
    await service.kill();
    await Deno.remove(service.folder, { recursive: true });
  }
});
