// A savepoint's way through real processes: taken, exported, imported, restored, and gone on with.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Service, serviceArguments, startService, waitReady } from "./service.ts";

const ROOT = new URL("../../", import.meta.url);
const decoder = new TextDecoder();
const ITEMS = Array.from({ length: 200 }, (_, i) => `item_${i}`);
/** Two threads share four partitions. */
const FLAGS = { "log.partitions": "4", "parallelism": "2", "checkpoint.interval.millis": "1000" };

async function withFolders(test: (one: string, two: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-test-" });
  try {
    for (const name of ["one", "two"]) await Deno.mkdir(`${folder}/${name}`);
    await test(`${folder}/one`, `${folder}/two`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
  }).output();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

const state = (...args: string[]) => run(["run", "-A", "src/state_tool.ts", ...args]);

async function post(service: Service, path: string, type: string, body: string) {
  const headers = { "content-type": type };
  const response = await fetch(`${service.url}${path}`, { method: "POST", headers, body });
  return { status: response.status, text: await response.text() };
}

/** Adds a quantity to every item. */
async function add(service: Service, quantity: number): Promise<void> {
  const lines = ITEMS.map((item, i) => `${i}\t5\t${item}\t${quantity + i}`);
  const { status, text } = await post(service, "/transactions", "text/plain", lines.join("\n"));
  assertEquals(status, 200);
  assert(text.trimEnd().split("\n").every((line) => line.endsWith("\ttrue")), text);
}

/** The stock of every item, by one request. */
async function stocks(service: Service): Promise<string[]> {
  const lines = ITEMS.map((item, i) => `${i} ${item}`);
  const { text } = await post(service, "/queries", "text/plain", lines.join("\n"));
  return text.trimEnd().split("\n").map((line) => line.split("\t")[2]!);
}

const after = (quantities: number[]) =>
  ITEMS.map((_, i) => String(quantities.reduce((n, q) => n + q + i, 0)));

async function stop(service: Service): Promise<number> {
  service.signal("SIGTERM");
  return (await service.status).code;
}

Deno.test("a savepoint is taken, exported, imported and restored in another folder, where the job goes on", () =>
  withFolders(async (one, two) => {
    const first = await startService({ folder: one, flags: FLAGS });
    await waitReady(first);
    await add(first, 100);
    await add(first, 10);
    const taken = await post(first, "/savepoints", "application/json", '{"name":"before-sale"}');
    assertEquals(taken.status, 201, taken.text);
    assertEquals(JSON.parse(taken.text).partitions.length, 4);
    await add(first, -50);
    assertEquals(await stocks(first), after([100, 10, -50]));
    // Exported while the service runs.
    const from = `--state.kv=${one}/state.kv`;
    const file = `${one}/exported`;
    const listed = (await state("list", from)).out;
    assertStringIncludes(listed, "retained by");
    assertStringIncludes(listed, "savepoint before-sale: ");
    assertEquals(listed.split("\n").filter((l) => l.endsWith("  before-sale")).length, 4);
    const exported = await state("export", "--savepoint=before-sale", file, from);
    assertStringIncludes(exported.out, "4 checkpoints, savepoint before-sale");
    assertEquals((await state("export", "--savepoint=none", `${one}/none`, from)).code, 2);
    assertEquals(await stop(first), 0);

    const to = `--state.kv=${two}/state.kv`;
    assertStringIncludes(
      (await state("import", file, to)).out,
      "4 checkpoints, savepoint before-sale",
    );
    assertStringIncludes((await state("verify", to)).out, "savepoint before-sale: has all of");
    const restoring = { ...FLAGS, restore: "before-sale" };
    const second = await startService({ folder: two, flags: restoring });
    await waitReady(second);
    assertEquals(await stocks(second), after([100, 10]));
    assertStringIncludes(second.log(), "A new log begins with savepoint before-sale: 200 items");
    await add(second, 7);
    await second.kill();

    const again = await run(serviceArguments(two, restoring));
    assertEquals(again.code, 2);
    assertStringIncludes(again.err, `was restored from savepoint before-sale already`);
    assertStringIncludes(again.err, "start without --restore");
    const third = await startService({ folder: two, flags: FLAGS });
    await waitReady(third);
    assertEquals(await stocks(third), after([100, 10, 7]));
    await add(third, 1);
    assertEquals(await stop(third), 0);
    const fourth = await startService({ folder: two, flags: FLAGS });
    await waitReady(fourth);
    assertEquals(await stocks(fourth), after([100, 10, 7, 1]));
    const deleted = await fetch(`${fourth.url}/savepoints/before-sale`, { method: "DELETE" });
    assertEquals(deleted.status, 204);
    assertEquals(await stop(fourth), 0);
  }));

Deno.test("a restore that cannot be is exit 2, and leaves no file", () =>
  withFolders(async (one) => {
    const missing = await run(serviceArguments(one, { restore: "before-sale" }));
    assertEquals(missing.code, 2);
    assertStringIncludes(missing.err, `Cannot open ${one}/state.kv`);
    assertStringIncludes(missing.err, "deno task state import");
    assertEquals(await Array.fromAsync(Deno.readDir(one)), []);
    const wrong = await run(serviceArguments(one, { restore: "a b" }));
    assertEquals(wrong.code, 2);
    assertStringIncludes(wrong.err, '--restore must be the name of a savepoint, not "a b"');
    // A log without the savepoint is not touched.
    const service = await startService({ folder: one });
    await add(service, 1);
    assertEquals(await stop(service), 0);
    const unknown = await run(serviceArguments(one, { restore: "before-sale" }));
    assertEquals(unknown.code, 2);
    assertStringIncludes(unknown.err, "There is no savepoint before-sale");
  }));

Deno.test("with a token the service may listen for other machines; without one it does not start", () =>
  withFolders(async (one) => {
    const open = await run(serviceArguments(one, { "http.host": "0.0.0.0" }));
    assertEquals(open.code, 2);
    assertStringIncludes(open.err, "http.host 0.0.0.0 can be reached from other machines");
    const token = "a-token-that-nobody-knows";
    // The permissions of deno task start are enough for it.
    const args = serviceArguments(one, { "http.host": "0.0.0.0" })
      .map((arg) => arg === "--allow-all" ? "-P=start" : arg);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...args.slice(1)],
      cwd: ROOT,
      env: { HTTP_TOKEN: token },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let out = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      out += text;
      if (out.includes("Ctrl-C")) break;
    }
    const port = /0\.0\.0\.0:(\d+)/.exec(out)![1];
    const url = `http://127.0.0.1:${port}`;
    const refused = await fetch(`${url}/metrics`);
    assertEquals(refused.status, 401);
    assert(!(await refused.text()).includes(token));
    const headers = { authorization: `Bearer ${token}` };
    const metrics = await fetch(`${url}/metrics`, { headers });
    assertEquals(metrics.status, 200);
    assert(!(await metrics.text()).includes(token));
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0);
    const err = await new Response(child.stderr).text();
    assert(!out.includes(token) && !err.includes(token));
  }));
