// Bundles the page: src/dashboard -> src/http/page, which is committed and served. Run by Deno, part of neither: the
// service imports what is built, and the first start fetches neither bundler nor charts.
//
//   deno run -A src/dashboard/build.ts           build and write
//   deno run -A src/dashboard/build.ts --check   format, lint and types; fail if the bytes differ from those built

import * as esbuild from "esbuild";

const SOURCE = new URL("./", import.meta.url);
const BUILT = new URL("../http/page/", import.meta.url);
/** What goes to the reader is to stay below this, compressed by gzip. */
const BYTES_MAX = 150_000;

/** The files of the page by name. */
async function build(): Promise<Map<string, string>> {
  const { outputFiles } = await esbuild.build({
    entryPoints: { app: new URL("main.ts", SOURCE).pathname },
    outdir: BUILT.pathname,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: ["es2023", "chrome111", "firefox113", "safari16.4"],
    charset: "utf8",
    legalComments: "eof",
    logLevel: "warning",
  });
  await esbuild.stop();
  const files = new Map<string, string>();
  for (const { path, text } of outputFiles) files.set(path.split("/").at(-1)!, text);
  for (const name of ["index.html", "icon.svg"]) {
    files.set(name, await Deno.readTextFile(new URL(name, SOURCE)));
  }
  return files;
}

async function compressedBytes(files: ReadonlyMap<string, string>): Promise<number> {
  let sum = 0;
  for (const text of files.values()) {
    const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
    sum += (await new Response(stream).bytes()).length;
  }
  return sum;
}

async function deno(...args: string[]): Promise<boolean> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: SOURCE.pathname,
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  return success;
}

async function check(files: ReadonlyMap<string, string>): Promise<boolean> {
  let good = true;
  for (
    const args of [["fmt", "--check", "--quiet"], ["lint", "--quiet"], ["check", "--quiet", "."]]
  ) {
    good = await deno(...args) && good;
  }
  for (const [name, text] of files) {
    const built = await Deno.readTextFile(new URL(name, BUILT)).catch(() => null);
    if (built === text) continue;
    console.error(`src/http/page/${name} is not what src/dashboard builds: deno task build:page`);
    good = false;
  }
  return good;
}

const files = await build();
const bytes = await compressedBytes(files);
console.log(`The page has ${bytes} bytes, compressed`);
if (bytes > BYTES_MAX) {
  console.error(`More than ${BYTES_MAX}`);
  Deno.exit(1);
}
if (Deno.args.includes("--check")) {
  if (!await check(files)) Deno.exit(1);
} else {
  await Deno.mkdir(BUILT, { recursive: true });
  for (const [name, text] of files) await Deno.writeTextFile(new URL(name, BUILT), text);
}
