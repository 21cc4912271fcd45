// The bundle, with Deno alone: no checkout, an empty home, an empty cache, and no way to fill it.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { buildBundle, type Place, runBundle, startBundle } from "../../tools/kit/bundle.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";

/** A bundle, a home and a folder for data; they are removed at the end. */
async function withBundle(work: (place: Place) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-bundle-test-" });
  try {
    const place = { dist: `${folder}/opt`, cwd: `${folder}/srv`, home: `${folder}/home` };
    for (const path of Object.values(place)) await Deno.mkdir(path);
    await buildBundle(place.dist);
    await work(place);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) files.push(...await filesBelow(`${folder}/${name}`));
    else files.push(`${folder}/${name}`);
  }
  return files;
}

/** @returns the outcomes */
async function post(url: string, line: string): Promise<string> {
  const headers = { "content-type": "text/plain" };
  const response = await fetch(`${url}/transactions`, { method: "POST", headers, body: line });
  return await response.text();
}

const get = async (url: string) => await (await fetch(url)).text();

/** Generated transactions are folded in two threads, each a module of its own. */
async function generateInThreads(place: Place): Promise<void> {
  const flags = ["--generate", "--generate.count=20000", "--generate.rate=0", "--parallelism=2"];
  const service = await startBundle(place, ...flags);
  await waitReady(service);
  const folded = async () =>
    /^stockflow_records_in_total (\d+)$/m.exec(await get(`${service.url}/metrics`))![1];
  while (await folded() !== "20000") await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals(JSON.parse(await get(`${service.url}/status`)).workers.length, 2);
  await stopInGoodOrder(service);
}

Deno.test("the bundle starts, serves, folds in threads and starts again with Deno alone: no checkout, no download", async () => {
  await withBundle(async (place) => {
    const first = await startBundle(place);
    await waitReady(first);
    assertEquals(
      await post(first.url, "1\t1700000000000\titem_2\t100\n"),
      "1\t1700000000000\titem_2\t100\ttrue\n",
    );
    const page = await fetch(first.url, { headers: { accept: "text/html" } });
    assertStringIncludes(await page.text(), "<!DOCTYPE html>");
    assertEquals(JSON.parse(await get(`${first.url}/status`)).version, config.version);
    await stopInGoodOrder(first);
    // Nothing of Deno's own stands among the lines, which programs read.
    const lines = first.log().trim().split("\n");
    assert(lines.length > 0 && lines.every((line) => JSON.parse(line).level === "info"));

    const second = await startBundle(place);
    await waitReady(second);
    assertEquals(
      JSON.parse(await get(`${second.url}/items/item_2`)),
      { itemId: "item_2", quantity: 100 },
    );
    await stopInGoodOrder(second);

    const listed = await runBundle(place, "state", "list");
    assertEquals(listed.code, 0, listed.output);
    assertStringIncludes(listed.output, "retained by");
    const version = await runBundle(place, "start", "--version");
    assertStringIncludes(version.output, `stockflow ${config.version}`);
    await generateInThreads(place);
    // What was fetched would lie here.
    const fetched = (await filesBelow(place.home)).filter((f) => /\/(npm|remote)\//.test(f));
    assertEquals(fetched, []);
  });
});

Deno.test("a bundle that is built again replaces the program, and leaves the data that lies in it", async () => {
  await withBundle(async ({ dist }) => {
    const before = await filesBelow(dist);
    await Deno.mkdir(`${dist}/data`);
    await Deno.writeTextFile(`${dist}/data/log.kv`, "data");
    await Deno.writeTextFile(`${dist}/chunk-OLD.js`, "of an earlier build");
    await buildBundle(dist);
    assertEquals((await filesBelow(dist)).sort(), [...before, `${dist}/data/log.kv`].sort());
    assertEquals(await Deno.readTextFile(`${dist}/data/log.kv`), "data");
    // Built twice it is the same, and it names no path of the machine that built it.
    const texts = await Promise.all(
      before.filter((file) => file.endsWith(".js")).map((file) => Deno.readTextFile(file)),
    );
    const root = new URL("../../", import.meta.url).pathname;
    assert(texts.every((text) => !text.includes(root)));
  });
});
