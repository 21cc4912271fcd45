// A job of one's own as docs/jobs.md says it, in a folder of its own, with nothing but what stands there.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);
const DOCUMENT = Deno.readTextFileSync(new URL("docs/jobs.md", ROOT));

/** The first block of a language in the document. */
function blockOf(language: string): string {
  return new RegExp("```" + language + "\\n([\\s\\S]*?)```").exec(DOCUMENT)![1]!;
}

/** Makes the folder; the only change is where the package is. */
async function makeFolder(): Promise<{ folder: string; command: string[] }> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-shop-" });
  const config = JSON.parse(blockOf("json"));
  config.links = [ROOT.pathname];
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
  await Deno.writeTextFile(`${folder}/shop.ts`, blockOf("ts"));
  // What deno task would run; a signal to it would not be one to the job.
  const [deno, ...command] = (config.tasks.start as string).split(" ");
  assertEquals(deno, "deno");
  return { folder, command };
}

interface Shop {
  readonly url: string;
  readonly process: Deno.ChildProcess;
}

async function start(
  { folder, command }: { folder: string; command: readonly string[] },
  ...flags: string[]
): Promise<Shop> {
  const process = new Deno.Command(Deno.execPath(), {
    args: [...command, "--http.port=0", ...flags],
    cwd: folder,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let said = "";
  for await (const text of process.stdout.values({ preventCancel: true })) {
    said += new TextDecoder().decode(text);
    const url = /listens on (http:\S+)/.exec(said)?.[1];
    if (url) return { url, process };
  }
  throw new Error(`It did not start, exit ${(await process.status).code}: ${said}`);
}

async function stop({ process }: Shop, signal: Deno.Signal): Promise<number> {
  process.kill(signal);
  const { code } = await process.status;
  await process.stdout.cancel();
  return code;
}

async function post({ url }: Shop, lines: string): Promise<string> {
  const headers = { "content-type": "text/plain" };
  return await (await fetch(`${url}/transactions`, { method: "POST", headers, body: lines }))
    .text();
}

/** Runs the state tool on the data of a folder. */
async function state(folder: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "-P=state", "src/cli/state.ts", `--folder=${folder}`, ...args],
    cwd: ROOT,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** Waits until a file has a text, which a sink writes behind the commit. */
async function untilNoted(folder: string, text: string): Promise<string> {
  for (let i = 0; i < 300; i++) {
    const noted = await Deno.readTextFile(`${folder}/shortages.txt`).catch(() => "");
    if (noted.includes(text)) return noted;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`shortages.txt never had ${text}`);
}

Deno.test("a job of one's own runs from docs/jobs.md alone, outside of the repository, over kill -9", async () => {
  const place = await makeFolder();
  const { folder } = place;
  try {
    const lines = blockOf("ts").trim().split("\n");
    assert(lines.filter((line) => line.trim() !== "").length <= 30, `${lines.length} lines`);
    let shop = await start(place, "--shop.shortage.min=10");
    assertEquals(
      await post(shop, "1\t5\tapple\t100\n2\t6\tapple\t-500\n3\t7\tapple\t-1\n4\t8\tpear\t-9\n"),
      "1\t5\tapple\t100\ttrue\n2\t6\tapple\t-500\tfalse\n3\t7\tapple\t-1\ttrue\n4\t8\tpear\t-9\tfalse\n",
    );
    // The file names the place of the value in its topic, and nothing below the bound.
    const noted = await untilNoted(folder, "apple 500\n");
    assert(/^\d+\/\d+ apple 500\n$/.test(noted), noted);
    const [, partition, offset] = /^(\d+)\/(\d+) /.exec(noted)!;
    const { topics } = await (await fetch(`${shop.url}/logs`)).json();
    assert(topics.some(({ topic }: { topic: string }) => topic === "orders"));
    const page = await (await fetch(`${shop.url}/logs/outcomes/${partition}?offset=${offset}`))
      .json();
    assertEquals(page.records[0].value, "2\t6\tapple\t-500\tfalse");
    const metrics = await (await fetch(`${shop.url}/metrics`)).text();
    assert(/stockflow_sink_values_total\{sink="transaction-results"\} 4/.test(metrics), metrics);
    assertStringIncludes(metrics, 'stockflow_sink_lag_records{sink="transaction-results"');

    await stop(shop, "SIGKILL");
    shop = await start(place, "--shop.shortage.min=10");
    assertEquals(await post(shop, "5\t9\tapple\t-100\n"), "5\t9\tapple\t-100\tfalse\n");
    const again = await untilNoted(folder, "apple 100\n");
    // At least once, each at the place that it had before.
    const places = new Map(
      again.trim().split("\n").map((line) => line.split(" ") as [string, string]),
    );
    assertEquals([...places.values()], ["apple", "apple"]);
    assertEquals(await stop(shop, "SIGTERM"), 0);
    // Its checkpoints are found by its name, as docs/jobs.md says.
    const listed = await state(folder, "list", "--job=ShopJob");
    assertEquals(listed.code, 0, listed.err);
    assert(/^ *\d+ +\d+ /m.test(listed.out), listed.out);
    const unknown = await state(folder, "list", "--job=ShopJop");
    assertEquals(unknown.code, 2);
    assertStringIncludes(unknown.err, '(ShopJob), not "ShopJop"');
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a job's own parameters are shown by --help, and a wrong one is refused by name, value and what is allowed", async () => {
  const { folder, command } = await makeFolder();
  try {
    const run = async (...flags: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [...command, ...flags],
        cwd: folder,
        stdin: "null",
        env: { SHOP_SHORTAGE_MIN: "7" },
      }).output();
      const decoder = new TextDecoder();
      return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
    };
    const help = await run("--help");
    assertEquals(help.code, 0);
    assertStringIncludes(help.out, "--shop.shortage.min=1 ");
    assertStringIncludes(help.out, "--http.port=8080");
    const wrong = await run("--shop.shortage.min=0");
    assertEquals(wrong.code, 2);
    assertStringIncludes(
      wrong.err,
      '--shop.shortage.min must be an integer from 1 to 1000, not "0"',
    );
    const unknown = await run("--shop.shortage.mn=1");
    assertEquals(unknown.code, 2);
    assertStringIncludes(unknown.err, "did you mean shop.shortage.min?");
    assertEquals((await run("--check", "--http.port=0")).code, 0);
    assertEquals([...Deno.readDirSync(folder)].some(({ name }) => name === "data"), false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
