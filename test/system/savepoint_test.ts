// A savepoint's way through real processes: taken, exported, imported, restored, and gone on with.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  type Service,
  serviceArguments,
  startService,
  waitReady,
} from "../../tools/kit/service.ts";

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

const state = (...args: string[]) => run(["run", "-A", "src/cli/state.ts", ...args]);

async function post(service: Service, path: string, type: string, body: string) {
  const headers = { "content-type": type };
  const response = await fetch(`${service.url}${path}`, { method: "POST", headers, body });
  return { status: response.status, text: await response.text() };
}

/** Transactions so far: each has an id of its own. */
let added = 0;

/** Adds a quantity to every item. */
async function add(service: Service, quantity: number): Promise<void> {
  const lines = ITEMS.map((item, i) => `${++added}\t5\t${item}\t${quantity + i}`);
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

    // Started again with the same flags, it goes on.
    const again = await startService({ folder: two, flags: restoring });
    await waitReady(again);
    assertEquals(await stocks(again), after([100, 10, 7]));
    assertStringIncludes(again.log(), "The log began with savepoint before-sale, and goes on");
    assertEquals(await stop(again), 0);
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
    for (const more of [[], ["--check"]]) {
      const missing = await run([...serviceArguments(one, { restore: "before-sale" }), ...more]);
      assertEquals(missing.code, 2);
      assertStringIncludes(missing.err, `Cannot open ${one}/state.kv`);
      assertStringIncludes(missing.err, "deno task state import");
      assertEquals(await Array.fromAsync(Deno.readDir(one)), []);
    }
    const wrong = await run(serviceArguments(one, { restore: "a b" }));
    assertEquals(wrong.code, 2);
    assertStringIncludes(wrong.err, '--restore must be the name of a savepoint, not "a b"');
    // A log without the savepoint is not touched.
    const service = await startService({ folder: one });
    await add(service, 1);
    assertEquals(await stop(service), 0);
    for (const more of [[], ["--check"]]) {
      const unknown = await run([...serviceArguments(one, { restore: "before-sale" }), ...more]);
      assertEquals(unknown.code, 2);
      assertStringIncludes(unknown.err, "There is no savepoint before-sale");
    }
  }));

Deno.test("a backup without a savepoint can be restored, in place of another log by --replace-log", () =>
  withFolders(async (one, two) => {
    const nothing = await state("export", `${one}/none`, `--state.kv=${one}/state.kv`);
    assertEquals(nothing.code, 2);
    const first = await startService({ folder: one, flags: FLAGS });
    await waitReady(first);
    await add(first, 100);
    assertEquals(await stop(first), 0);
    const exported = await state("export", `${one}/backup`, `--state.kv=${one}/state.kv`);
    const name = /savepoint (backup-\d{8}T\d{6}Z), /.exec(exported.out)![1]!;
    assertStringIncludes(exported.out, `start with --restore=${name}`);
    // Only the file has that savepoint.
    assert(!(await state("list", `--state.kv=${one}/state.kv`)).out.includes(name));

    const other = await startService({ folder: two, flags: FLAGS });
    await add(other, 1);
    await other.kill();
    await Deno.remove(`${two}/state.kv`);
    assertEquals((await state("import", `${one}/backup`, `--state.kv=${two}/state.kv`)).code, 0);
    const restoring = { ...FLAGS, restore: name };
    const refused = await run(serviceArguments(two, restoring));
    assertEquals(refused.code, 2);
    assertStringIncludes(refused.err, `There is a log in ${two}/log.kv already`);
    assertStringIncludes(refused.err, "--replace-log");
    for (const start of ["replaced", "goes on"]) {
      const flags = { ...restoring, "replace.log": "true" };
      const service = await startService({ folder: two, flags });
      await waitReady(service);
      assertEquals(await stocks(service), after([100]), start);
      assertEquals(await stop(service), 0);
      const moved = [...Deno.readDirSync(two)].map((f) => f.name)
        .filter((f) => f.startsWith("log.kv.replaced-"));
      assertEquals(moved.length, 1);
      assertEquals(service.log().includes(`was moved to ${two}/${moved[0]}`), start === "replaced");
    }
    // What was moved is whole: the records that were answered before the kill are in it.
    const moved = [...Deno.readDirSync(two)].find((f) => f.name.startsWith("log.kv.replaced-"))!;
    const flags = { ...FLAGS, "log.kv": `${two}/${moved.name}`, "state.kv": `${two}/new.kv` };
    const old = await startService({ folder: two, flags });
    await waitReady(old);
    assertEquals(await stocks(old), after([1]));
    assertEquals(await stop(old), 0);
  }));

Deno.test("a restored log serves the generator, and another kind of job, in the same folder", () =>
  withFolders(async (one) => {
    const flags = { "log.partitions": "4" };
    const first = await startService({ folder: one, flags });
    await add(first, 100);
    await post(first, "/savepoints", "application/json", '{"name":"base"}');
    assertEquals(await stop(first), 0);
    const restoring = { ...flags, restore: "base", "replace.log": "true" };
    const second = await startService({ folder: one, flags: restoring });
    await waitReady(second);
    await add(second, 7);
    assertEquals(await stop(second), 0);
    // As in a container whose flags for the restore stay.
    const generating = await startService({
      folder: one,
      flags: { ...restoring, "generate.transactions": "true", "generate.count": "1000" },
    });
    await waitReady(generating);
    assertEquals(await stop(generating), 0);
    const socket = await startService({
      folder: one,
      flags: { ...flags, job: "socket", "generate.transactions": "false" },
    });
    await waitReady(socket);
    assertEquals(await stocks(socket), after([100, 7]));
    assertEquals(await stop(socket), 0);
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
