// What a first start costs: from a checkout, and from the bundle. Each starts with an empty home, so it downloads and
// checks all that it needs; the second start finds what the first one left.
//
//   deno task bench:bundle

import { buildBundle } from "../tools/kit/bundle.ts";
import { stopInGoodOrder, waitReady, whenListening } from "../tools/kit/service.ts";

const ROOT = new URL("../", import.meta.url).pathname;

async function bytesBelow(folder: string): Promise<number> {
  let sum = 0;
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    if (isDirectory) sum += await bytesBelow(`${folder}/${name}`);
    else if (isFile) sum += (await Deno.stat(`${folder}/${name}`)).size;
  }
  return sum;
}

const bytesOf = (folder: string) => bytesBelow(folder).catch(() => 0);

/** Seconds from `deno task start` until it is ready. */
async function start(folder: string, home: string): Promise<number> {
  const from = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "start", "--http.port=0"],
    cwd: folder,
    env: { HOME: home, DENO_DIR: `${home}/deno` },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const service = await whenListening(child, folder);
  await waitReady(service);
  const seconds = (performance.now() - from) / 1000;
  await stopInGoodOrder(service);
  return seconds;
}

async function measure(name: string, folder: string): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "stockflow-home-" });
  const size = await bytesOf(folder);
  const first = await start(folder, home);
  const [packages, all] = [await bytesOf(`${home}/deno/npm`), await bytesOf(home)];
  const second = await start(folder, home);
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(
    `${name}: ${mb(size)} of files; the first start downloads ${mb(packages)} and leaves ` +
      `${mb(all)} in the home; ready after ${first.toFixed(2)} s, the second time ${
        second.toFixed(2)
      } s`,
  );
  await Deno.remove(home, { recursive: true });
}

const work = await Deno.makeTempDir({ prefix: "stockflow-bench-" });
await new Deno.Command("git", {
  args: ["clone", "--quiet", "--depth=1", `file://${ROOT}`, `${work}/checkout`],
})
  .output();
await measure("checkout", `${work}/checkout`);
await measure("bundle", await buildBundle(`${work}/dist`));
await Deno.remove(work, { recursive: true });
