// Bodies that are cut over HTTP/2, to the real process: a reset with NO_ERROR or CANCEL reads as an end.

import { assert, assertEquals } from "@std/assert";
import http2 from "node:http2";
import { gzipSync } from "node:zlib";
import { encodeUtf8 } from "../../src/types/mod.ts";
import { startService, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";

const { NGHTTP2_NO_ERROR, NGHTTP2_CANCEL } = http2.constants;
const TEXT = "1\t1\tk\t5\n2\t1\tk\t1000\n";
const CUT_TEXT = "1\t1\tk\t5\n2\t1\tk\t1";
const transaction = (quantity: number) =>
  `{"transactionId":1,"ts":1,"itemId":"k","quantity":${quantity}}`;
const JSON_TEXT = `[${transaction(5)},${transaction(1000)}]`;
const NDJSON = `${transaction(5)}\n${transaction(1000)}\n`;

interface Post {
  readonly type: string;
  readonly body: Uint8Array | string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Posts; with a code the stream is reset instead of ended. Returns the status, or null without an answer. */
async function post(
  session: http2.ClientHttp2Session,
  { type, body, headers = {} }: Post,
  reset: number | null,
): Promise<number | null> {
  const stream = session.request({
    ":method": "POST",
    ":path": "/transactions",
    "content-type": type,
    ...headers,
  });
  const { promise, resolve } = Promise.withResolvers<number | null>();
  let status: number | null = null;
  stream.on("response", (answer) => status = Number(answer[":status"]));
  stream.on("error", () => {});
  stream.on("close", () => resolve(status));
  stream.resume();
  await new Promise<void>((done) => stream.write(body, () => done()));
  if (reset === null) stream.end();
  else {
    // The data is to be there before the reset: what is reset at once never begins.
    await new Promise((done) => setTimeout(done, 100));
    stream.close(reset);
  }
  return await promise;
}

Deno.test("over HTTP/2 a body that a reset cuts is not executed, whatever its form and the code of the reset", async () => {
  const service = await startService({
    flags: { "log.partitions": "1", "idempotency.window.ms": "0" },
  });
  const session = http2.connect(service.url);
  try {
    await waitReady(service);
    const gzip = new Uint8Array(gzipSync(encodeUtf8(TEXT)));
    const twice = new Uint8Array([...gzip, ...gzip]);
    const coding = { "content-encoding": "gzip" };
    const cut: Post[] = [
      { type: "text/plain", body: CUT_TEXT },
      { type: "text/plain", body: CUT_TEXT, headers: { "content-length": String(TEXT.length) } },
      { type: "application/x-ndjson", body: NDJSON.slice(0, -8) },
      { type: "application/x-ndjson", body: `${transaction(5)}\n` },
      { type: "application/json", body: JSON_TEXT.slice(0, -1) },
      { type: "application/json", body: JSON_TEXT.slice(0, -8) },
      { type: "text/plain", body: gzip.subarray(0, -1), headers: coding },
      { type: "text/plain", body: gzip.subarray(0, -8), headers: coding },
      // Cut between two members, it would look whole: more than one is refused.
      { type: "text/plain", body: twice, headers: coding },
    ];
    for (const reset of [NGHTTP2_NO_ERROR, NGHTTP2_CANCEL]) {
      for (const bomb of cut) await post(session, bomb, reset);
    }
    const whole: [Post, number][] = [
      [{ type: "text/plain", body: TEXT }, 411],
      [{ type: "application/x-ndjson", body: NDJSON }, 411],
      [{ type: "text/plain", body: CUT_TEXT, headers: { "content-length": "23" } }, 400],
      [{ type: "text/plain", body: twice, headers: coding }, 400],
      [{ type: "text/plain", body: TEXT, headers: { "content-encoding": "br" } }, 415],
    ];
    for (const [body, expected] of whole) {
      const status = await post(session, body, null);
      // A length that is wrong may be refused by the protocol.
      assert(status === expected || (expected === 400 && status === null), `${status}`);
    }
    const item = await fetch(`${service.url}/items/k`);
    assertEquals([item.status, (await item.json()).error.reason], [404, "not_found"]);
    const length = { "content-length": String(TEXT.length) };
    const taken: Post[] = [
      { type: "text/plain", body: TEXT, headers: length },
      { type: "application/json", body: JSON_TEXT },
      { type: "text/plain", body: gzip, headers: coding },
    ];
    for (const body of taken) assertEquals(await post(session, body, null), 200);
    assertEquals((await (await fetch(`${service.url}/items/k`)).json()).quantity, 3 * 1005);
    // A client that breaks off is not an error of the service.
    assert(!/"level":"(WARN|ERROR)|was answered 500|error/i.test(service.log()), service.log());
    session.destroy();
    await stopInGoodOrder(service);
  } finally {
    session.destroy();
    await service.kill();
    await Deno.remove(service.folder, { recursive: true });
  }
});
