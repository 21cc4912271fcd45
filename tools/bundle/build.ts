// Bundles the program: src -> dist/, which starts with Deno alone: no checkout, no network, nothing to compile.
//
//   deno run -A tools/bundle/build.ts [--to=dist]
//   deno run -A tools/bundle/build.ts --check   format, lint and types of this folder
//
// Everything lies in one folder, so that a path from one file to another is the same from every piece that the bundler
// cuts: an entry of a thread, the core, the files of parameters.

import * as esbuild from "esbuild";
import { commandLine } from "../kit/command_line.ts";
import { type DenoJson, denoJsonOf, ENTRIES, launcherOf } from "./contents.ts";

const ROOT = new URL("../../", import.meta.url);

/** kafkajs and its like are CommonJS: what they require of Node comes from Deno. */
const REQUIRE = `import { createRequire } from "node:module";
const require = createRequire(import.meta.url);`;

/** A file that a module names beside itself: the module of a thread, a file of parameters. */
const BESIDE = /new URL\((["`])([^"`]+)\1, import\.meta\.url\)/g;

/** The same as it stands in the bundle. @throws {Error} for one that is not carried there */
function besideInBundle(file: string, path: string): string {
  const [, config] = /^(?:\.\.\/)+(config\/[^/]+)$/.exec(path) ?? [];
  if (config) return `./${config}`;
  const source = new URL(path, `file://${file}`).pathname.slice(ROOT.pathname.length);
  const entry = Object.entries(ENTRIES).find(([, module]) => module === source);
  if (entry) return `./${entry[0]}.js`;
  throw new Error(`${file} names ${path} beside itself, which the bundle does not have`);
}

/** Modules of this program: what they name beside themselves is beside the bundle's files. */
const ownModules: esbuild.Plugin = {
  name: "own modules",
  setup(build) {
    build.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
      const source = await Deno.readTextFile(path);
      const contents = source.replaceAll(
        BESIDE,
        (_all, quote, beside) =>
          `new URL(${quote}${besideInBundle(path, beside)}${quote}, import.meta.url)`,
      );
      return { contents, loader: "ts" };
    });
    // Of all that deno.json says, the program asks for the version alone.
    build.onLoad({ filter: /\/deno\.json$/ }, async ({ path }) => {
      const { version } = JSON.parse(await Deno.readTextFile(path));
      return { contents: JSON.stringify({ version }), loader: "json" };
    });
  },
};

/** Files that are imported as what they are: texts become a part of the bundle, WebAssembly lies beside it. */
function asTheyAre(to: string): esbuild.Plugin {
  return {
    name: "files as they are",
    setup(build) {
      build.onLoad({ filter: /\/src\/http\/page\// }, async ({ path, with: { type } }) => {
        if (type !== "text") throw new Error(`${path} is imported as ${type}`);
        return { contents: await Deno.readTextFile(path), loader: "text" };
      });
      build.onResolve({ filter: /\.wasm$/ }, async ({ path, resolveDir }) => {
        const name = path.split("/").at(-1)!;
        await Deno.copyFile(`${resolveDir}/${path}`, `${to}/${name}`);
        return { path: `./${name}`, external: true };
      });
    },
  };
}

/** Always the same folder, for the bundle names the files that it is made of. */
const PACKAGES = new URL("packages/", import.meta.url).pathname;

/**
 * Lays out the program's packages as files, of the versions and hashes that its lock file names, for the bundler
 * knows nothing of Deno's cache.
 *
 * @returns the folder node_modules
 */
async function packages(): Promise<string> {
  const { imports } = await readDenoJson();
  const npm = Object.fromEntries(
    Object.entries(imports).filter(([, target]) => target.startsWith("npm:")),
  );
  await Deno.writeTextFile(
    `${PACKAGES}deno.json`,
    JSON.stringify({ imports: npm, nodeModulesDir: "auto", lock: { frozen: true } }),
  );
  await Deno.copyFile(new URL("deno.lock", ROOT), `${PACKAGES}deno.lock`);
  await deno(PACKAGES, "install", "--quiet");
  return `${PACKAGES}node_modules`;
}

async function readDenoJson(): Promise<DenoJson> {
  return JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
}

/** @throws {Error} when the command fails */
async function deno(cwd: string, ...args: string[]): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd }).spawn().status;
  if (!success) throw new Error(`deno ${args.join(" ")} failed`);
}

async function bundle(to: string, nodeModules: string): Promise<void> {
  await esbuild.build({
    entryPoints: Object.fromEntries(
      Object.entries(ENTRIES).map(([name, path]) => [name, new URL(path, ROOT).pathname]),
    ),
    absWorkingDir: ROOT.pathname,
    outdir: to,
    chunkNames: "[name]-[hash]",
    bundle: true,
    // kafkajs is loaded by the Kafka job alone; what entries share is there once.
    splitting: true,
    format: "esm",
    platform: "node",
    // Some packages have a second form for old module loaders, which cannot be bundled.
    mainFields: ["module", "main"],
    target: "esnext",
    charset: "utf8",
    legalComments: "eof",
    logLevel: "warning",
    nodePaths: [nodeModules],
    banner: { js: REQUIRE },
    plugins: [ownModules, asTheyAre(to)],
  });
  await esbuild.stop();
}

/** Copies files whose name ends in one of the endings. */
async function copyFiles(from: URL, to: string, endings: readonly string[]): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (isFile && endings.some((ending) => name.endsWith(ending))) {
      await Deno.copyFile(new URL(name, from), `${to}/${name}`);
    }
  }
}

/** Builds beside its place, so that a build that fails leaves what was there. One builds at a time. */
async function build(to: string): Promise<void> {
  await Deno.mkdir(PACKAGES, { recursive: true });
  using one = await Deno.create(`${PACKAGES}lock`);
  await one.lock(true);
  await Deno.mkdir(to, { recursive: true });
  const work = await Deno.makeTempDir({ prefix: "stockflow-bundle-" });
  const built = `${work}/dist`;
  try {
    await Deno.mkdir(built);
    await bundle(built, await packages());
    await copyFiles(new URL("config/", ROOT), `${built}/config`, [".properties", ".yml", ".json"]);
    const denoJson = await readDenoJson();
    const text = JSON.stringify(denoJsonOf(denoJson), null, 2);
    await Deno.writeTextFile(`${built}/deno.json`, `${text}\n`);
    await Deno.writeTextFile(`${built}/stockflow`, launcherOf(denoJson), { mode: 0o755 });
    await removeModules(to);
    await copyTree(built, to);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Removes what an earlier build made, whose names may not come again. All else stays: data, for example. */
async function removeModules(folder: string): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile && name.endsWith(".js")) await Deno.remove(`${folder}/${name}`);
  }
}

/** The temporary folder may be on another disk, where a rename is refused. */
async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copyTree(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

const values = commandLine("bundle", {
  to: { type: "string", default: new URL("dist", ROOT).pathname },
  check: { type: "boolean", default: false },
});
if (values.check) {
  const here = new URL(".", import.meta.url).pathname;
  await deno(here, "fmt", "--check", "--quiet");
  await deno(here, "lint", "--quiet");
  await deno(here, "check", "--quiet", ".");
} else {
  await build(values.to);
  console.log(`The program is in ${values.to}: deno task start there`);
}
