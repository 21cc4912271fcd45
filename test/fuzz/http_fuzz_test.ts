import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { encodeUtf8, Format } from "../../src/types/mod.ts";
import { Client, NO_LENGTH } from "../http/client.ts";
import { recordValue } from "../model/arbitraries.ts";
import { seedOfTest, timesOfTest } from "../../tools/kit/random.ts";

const RUNS = timesOfTest(10_000);
const CUT_RUNS = timesOfTest(1000);
const TRANSACTION = '{"transactionId":1,"ts":1,"itemId":"item","quantity":1000}';
/** What may be answered: never 500. */
const STATUSES = [200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 416, 421];

const TYPES = ["text/plain", "application/json", "application/x-ndjson"] as const;

const type = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom<string>(...TYPES, "Application/JSON; charset=utf-8") },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", "text/html", "multipart/form-data", "application/json,x", ";"),
  },
);

const path = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("/transactions", "/queries", "/savepoints") },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      "/",
      "/items/item_1",
      "/items/",
      "/items/%00",
      "/items/%ff%fe",
      "/items/%",
      "/items?id=..",
      "/items?id=%ff",
      "/items",
      "/checkpoints?partition=1",
      "/checkpoints?partition=-1",
      "/items/a%2Fb",
      `/items/${"n".repeat(300)}`,
      "/logs",
      "/logs/transactions/0?offset=0&limit=3",
      "/logs/transactions/-1",
      "/logs/transactions/9999999",
      "/logs/transactions/0?offset=-1",
      "/logs/transactions/0?offset=9007199254740991",
      "/logs/transactions/0?offset=9007199254740993",
      "/logs/transactions/0?limit=0",
      "/logs/transactions/0?limit=1e9",
      "/logs/__proto__/0",
      "/logs/transactions/0x0",
      "/summaries?limit=5",
      "/summaries?limit=x",
      "/savepoints/..",
      "/savepoints/%2e%2e%2f",
      "/savepoints/a",
      "/checkpoints",
      "/metrics",
      "/livez",
      "/readyz",
    ),
  },
  { weight: 1, arbitrary: fc.webPath().map((p) => p.startsWith("/") ? p : `/${p}`) },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }).map((s) => `/items/${encode(s)}`) },
);

/** Percent-encoded bytes of any text, lone surrogates included. */
function encode(text: string): string {
  return Array.from(new TextEncoder().encode(text), (b) => `%${b.toString(16).padStart(2, "0")}`)
    .join("");
}

const lines = fc.constantFrom(Format.Text, Format.Json).chain((format) =>
  fc.tuple(
    fc.array(recordValue(format), { maxLength: 6 }),
    fc.constantFrom("\n", "\r\n", ",", ""),
    fc.boolean(),
  )
).map(([values, separator, array]) => {
  const decoder = new TextDecoder();
  const body = values.map((v) => v === null ? "null" : decoder.decode(v)).join(separator);
  return array ? `[${body}]` : body;
});

const body: fc.Arbitrary<string | Uint8Array<ArrayBuffer> | null> = fc.oneof(
  { weight: 8, arbitrary: lines },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 4 }).map((v) => JSON.stringify(v)) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 300 }).map((b) => Uint8Array.from(b)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "",
      "[",
      "[]",
      "[[]]",
      "{}",
      '{"name":"a"}',
      '{"name":"../a"}',
      '{"name":5}',
      '{"__proto__":{"name":"a"}}',
      "[".repeat(50_000),
      `${"[".repeat(40_000)}${"]".repeat(40_000)}`,
      `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`,
      "\n".repeat(500),
      "x".repeat(20_000),
      "x".repeat(100_001),
      "\ufeff1\t1\ta\t1",
      `[${"1,".repeat(2000)}1]`,
    ),
  },
  { weight: 1, arbitrary: fc.constant(null) },
);

/** Names under which the service is asked; some are not its own. */
const host = fc.oneof(
  { weight: 12, arbitrary: fc.constant("127.0.0.1:8080") },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "localhost",
      "LOCALHOST.:1",
      "[::1]:8080",
      "127.9.9.9",
      "2130706433",
    ),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.domain(),
      fc.ipV4().filter((address) => !address.startsWith("127.")),
      fc.constantFrom("localhost.evil.example", "127.0.0.1.nip.io", "[::2]", "0.0.0.0"),
    ),
  },
);

const request = fc.record({
  host,
  method: fc.oneof(
    { weight: 8, arbitrary: fc.constant("POST") },
    { weight: 3, arbitrary: fc.constant("GET") },
    { weight: 1, arbitrary: fc.constantFrom("PUT", "DELETE", "HEAD", "OPTIONS", "PATCH") },
  ),
  path,
  type,
  body,
  headers: fc.oneof(
    { weight: 8, arbitrary: fc.constant({}) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Record<string, string>>(
        { origin: "http://elsewhere" },
        { origin: "null" },
        { origin: "http://127.0.0.1:8080" },
        { origin: "https://127.0.0.1" },
        { origin: "http://127.0.0.1:8080", "access-control-request-method": "POST" },
        { host: "evil.example:8080", origin: "http://evil.example:8080" },
        { host: "localhost." },
        { host: "[::1" },
        { host: "a b" },
        { host: "127.0.0.1:8080, evil.example" },
        { authorization: "Bearer " },
        { "content-length": "5" },
        { "content-length": "-1" },
        { "content-length": "999999999999" },
        { "content-encoding": "gzip" },
        { "transfer-encoding": "chunked" },
      ),
    },
  ),
});

/** How the bytes of a body come, and what is said of them. */
interface Sending {
  /** Sizes of its pieces, over and over. */
  readonly pieces: readonly number[];
  readonly gzip: boolean;
  /** Of its bytes, from 0 to 1, how many come. */
  readonly cutAt: number;
  /** How the cut reads: over HTTP/2 a reset may look like an end. */
  readonly cut: "end" | "error";
  /** What the head says of the end of the body. */
  readonly announced: "length" | "chunked" | "nothing";
}

const sending: fc.Arbitrary<Sending> = fc.record({
  pieces: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
  gzip: fc.boolean(),
  cutAt: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
  cut: fc.constantFrom("end", "error"),
  announced: fc.constantFrom("length", "chunked", "nothing"),
});

async function gzipped(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}

function piecesOf(
  bytes: Uint8Array<ArrayBuffer>,
  sizes: readonly number[],
  cut: Sending["cut"] | null,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  let n = 0;
  return new ReadableStream({
    pull(controller) {
      if (at < bytes.length) {
        const size = sizes[n++ % sizes.length]!;
        controller.enqueue(bytes.slice(at, at += size));
      } else if (cut === "error") controller.error(new Error("connection reset"));
      else controller.close();
    },
  }, { highWaterMark: 0 });
}

Deno.test("a body that was cut is never executed, however it is sent and whatever its end looks like", async () => {
  const seed = seedOfTest() | 0;
  console.log(`${CUT_RUNS} bodies, seed ${seed}`);
  const client = await Client.open();
  const outcomes = { whole: 0, refused: 0 };
  let expectedStock = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...TYPES),
      fc.integer({ min: 1, max: 5 }),
      sending,
      async (type, records, { pieces, gzip, cutAt, cut, announced }) => {
        const plain = encodeUtf8(
          type === "text/plain"
            ? "1\t1\titem\t1000\n".repeat(records)
            : type === "application/x-ndjson"
            ? `${TRANSACTION}\n`.repeat(records)
            : `[${Array(records).fill(TRANSACTION).join(" , ")}]`,
        );
        const bytes = gzip ? await gzipped(plain) : plain;
        const come = bytes.slice(0, Math.floor(bytes.length * cutAt));
        const isCut = come.length < bytes.length;
        // A chunked body that is cut is an error of the connection, which HTTP/1.1 shows.
        const end = isCut ? (announced === "chunked" ? "error" : cut) : null;
        const answer = await client.request("POST", "/transactions", {
          body: piecesOf(come, pieces, end),
          headers: {
            "content-type": type,
            ...(gzip ? { "content-encoding": "gzip" } : {}),
            ...(announced === "length" ? { "content-length": String(bytes.length) } : {}),
            ...(announced === "chunked" ? { "transfer-encoding": "chunked" } : {}),
            ...(announced === "nothing" ? { [NO_LENGTH]: "1" } : {}),
          },
        });
        const isEndKnown = gzip || announced !== "nothing" || type === "application/json";
        const expected = !isEndKnown ? 411 : isCut ? 400 : 200;
        assertEquals(answer.status, expected, answer.text);
        outcomes[expected === 200 ? "whole" : "refused"]++;
        if (expected === 200) expectedStock += 1000 * records;
        const item = await client.request("GET", "/items/item");
        const stock = item.status === 404 ? 0 : JSON.parse(item.text).quantity;
        assertEquals(stock, expectedStock);
      },
    ),
    { seed, numRuns: CUT_RUNS },
  );
  assert(outcomes.whole > 0 && outcomes.refused > 0);
  await client.close();
});

Deno.test("any request is answered below 500, an error by its reason, and no record is lost or doubled", async () => {
  const seed = seedOfTest() | 0;
  console.log(`${RUNS} requests, seed ${seed}`);
  const client = await Client.open();
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(request, async ({ host, method, path, type, body, headers }) => {
      const hasBody = method !== "GET" && method !== "HEAD";
      const answer = await client.request(method, path, {
        body: hasBody ? body : null,
        headers: { "content-type": type, ...headers },
      }, host);
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      assert(STATUSES.includes(answer.status), `${answer.status}: ${answer.text}`);
      if (answer.status < 400 || method === "HEAD") return;
      // A text body's error is a line of text; all others are JSON.
      if (answer.type === "text/plain" || answer.type === "application/x-ndjson") {
        for (const line of answer.text.trimEnd().split("\n")) {
          const announced = line.startsWith("ERROR\t") || line.startsWith('{"error":{"reason":');
          assert(announced, line);
        }
        return;
      }
      const errors = [JSON.parse(answer.text)].flat();
      for (const { error } of errors) {
        assert(typeof error.reason === "string" && error.reason !== "", answer.text);
        assert(typeof error.message === "string" && error.message !== "", answer.text);
      }
    }),
    { seed, numRuns: RUNS },
  );
  console.log([...statuses].toSorted(([a], [b]) => a - b).map((s) => s.join(": ")).join(", "));
  for (const status of [200, 400, 404, 405, 413, 415, 421]) {
    assert((statuses.get(status) ?? 0) > 0, `${status} was never answered`);
  }
  assertEquals((await client.request("GET", "/livez")).status, 200);
  await client.close();
});
