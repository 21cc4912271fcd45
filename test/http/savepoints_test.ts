import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { World } from "../engine/world.ts";
import { Client } from "./client.ts";

const JSON_TYPE = "application/json";

Deno.test("savepoints are taken, listed, shown and given up", async () => {
  const client = await Client.open({ "checkpoint.retained": "1" });
  await client.post("/transactions", "text/plain", "1\t5\titem_2\t100\n2\t5\titem_4\t7\n");
  const taken = await client.post("/savepoints", JSON_TYPE, '{"name":"before-sale"}');
  assertEquals([taken.status, taken.headers.get("location")], [201, "/savepoints/before-sale"]);
  const savepoint = JSON.parse(taken.text);
  assertEquals(savepoint.name, "before-sale");
  const items = (s: typeof savepoint) =>
    s.partitions.reduce((n: number, m: { items: number } | null) => n + (m?.items ?? 0), 0);
  assertEquals(items(savepoint), 2);
  await client.post("/transactions", "text/plain", "3\t5\titem_5\t1\n");
  await client.post("/savepoints", JSON_TYPE, '{"name":"later"}');
  const { body } = await client.getJson("/savepoints");
  assertEquals(body.savepoints.map((s: typeof savepoint) => [s.name, items(s)]), [
    ["later", 3],
    ["before-sale", 2],
  ]);
  assertEquals((await client.getJson("/savepoints/before-sale")).body, savepoint);
  const { checkpoints } = (await client.getJson("/checkpoints")).body;
  assert(
    checkpoints.some((c: { savepoints: string[] }) => c.savepoints.includes("before-sale")),
  );
  const gone = await client.request("DELETE", "/savepoints/before-sale");
  assertEquals([gone.status, gone.text], [204, ""]);
  for (const method of ["GET", "DELETE"]) {
    const again = await client.request(method, "/savepoints/before-sale");
    assertEquals([again.status, JSON.parse(again.text).error], [404, {
      reason: "not_found",
      message: 'There is no savepoint "before-sale"',
    }]);
  }
  await client.close();
});

Deno.test("a savepoint that cannot be taken is refused with the reason", async () => {
  const client = await Client.open();
  const ok = await client.post("/savepoints", JSON_TYPE, '{"name":"a"}');
  assertEquals(ok.status, 201);
  const cases: [string, string, number, string][] = [
    [JSON_TYPE, '{"name":"a"}', 409, "There is a savepoint a already"],
    ["text/plain", "a", 415, 'Content-Type must be application/json, not "text/plain"'],
    [JSON_TYPE, "", 400, "The body is not JSON"],
    [JSON_TYPE, "{", 400, "The body is not JSON"],
    [JSON_TYPE, "[]", 400, "expected object"],
    [JSON_TYPE, "{}", 400, "name: "],
    [JSON_TYPE, '{"name":1}', 400, "name: "],
    [JSON_TYPE, '{"name":"a/b"}', 400, "name: A name has 1 to 100 characters of A-Z"],
    [JSON_TYPE, '{"name":".."}', 400, "name: A name has 1 to 100 characters of A-Z"],
    [JSON_TYPE, `{"name":"${"x".repeat(101)}"}`, 400, "1 to 100 characters"],
    [JSON_TYPE, '{"name":"b","overwrite":true}', 400, "overwrite"],
    [JSON_TYPE, `{"name":"${"x".repeat(100_000)}"}`, 413, "at most 100000 bytes"],
  ];
  for (const [type, body, status, message] of cases) {
    const answer = await client.post("/savepoints", type, body);
    assertEquals(answer.status, status, `${body.slice(0, 50)}: ${answer.text}`);
    assertStringIncludes(JSON.parse(answer.text).error.message, message);
  }
  assertEquals((await client.getJson("/savepoints")).body.savepoints.length, 1);
  await client.close();
});

Deno.test("while partitions are recovered a savepoint is to be asked for again", async () => {
  const world = await World.open();
  let refused = true;
  const life = await world.start((file) => file === "state" && refused ? "fails" : null, {
    wait: false,
  });
  const client = new Client(world, life);
  const request = new Request("http://127.0.0.1:8080/savepoints", {
    method: "POST",
    body: '{"name":"a"}',
    headers: { "content-type": JSON_TYPE },
  });
  const early = await client.app.fetch(request);
  assertEquals([early.status, early.headers.get("retry-after")], [503, "1"]);
  assertStringIncludes(await early.text(), "being recovered");
  refused = false;
  await world.clock.until(() => life.job.isReady, "ready");
  assertEquals((await client.post("/savepoints", JSON_TYPE, '{"name":"a"}')).status, 201);
  await client.post("/transactions", "text/plain", "1\t5\titem_2\t100\n");
  refused = true;
  const unwritten = await client.post("/savepoints", JSON_TYPE, '{"name":"b"}');
  assertEquals([unwritten.status, unwritten.headers.get("retry-after")], [503, "1"]);
  assertStringIncludes(unwritten.text, "database is locked");
  refused = false;
  assertEquals((await client.post("/savepoints", JSON_TYPE, '{"name":"b"}')).status, 201);
  await client.close();
});

Deno.test("a name that no savepoint can have is not found, however long it is", async () => {
  const client = await Client.open();
  for (const method of ["GET", "DELETE"]) {
    for (const name of ["a".repeat(5000), "%00", "a%2Fb"]) {
      assertEquals((await client.request(method, `/savepoints/${name}`)).status, 404);
    }
  }
  await client.close();
});

Deno.test("checkpoints and savepoints that a store does not answer for are 503 with the reason, within ten seconds", async () => {
  const client = await Client.open();
  const { clock } = client.world;
  const { kv } = client.life.job.store;
  const real = { list: kv.list, get: kv.get };
  const never = new Promise<never>(() => {});
  kv.list =
    (() => ({ next: () => never, [Symbol.asyncIterator]: () => ({ next: () => never }) })) as never;
  kv.get = (() => never) as never;
  const from = clock.monotonic();
  for (
    const [method, path] of [
      ["GET", "/checkpoints"],
      ["GET", "/savepoints"],
      ["GET", "/savepoints/a"],
      ["DELETE", "/savepoints/a"],
      ["POST", "/savepoints"],
    ] as const
  ) {
    const { status, text } = method === "POST"
      ? await client.post(path, JSON_TYPE, '{"name":"a"}')
      : await client.request(method, path);
    assertEquals([status, JSON.parse(text).error], [503, {
      reason: "unavailable",
      message: "The store of checkpoints does not answer within 10000 ms",
    }], `${method} ${path}`);
  }
  assert(clock.monotonic() - from <= 60_000);
  Object.assign(kv, real);
  assertEquals((await client.request("GET", "/checkpoints")).status, 200);
  await client.close();
});
