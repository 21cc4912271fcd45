// Builds the core and the generator: wasm/core.ts -> src/wasm/core.wasm, wasm/generator.ts ->
// src/wasm/generator.wasm. Run by Deno, part of neither.
//
//   deno run wasm/build.ts           build and write both
//   deno run wasm/build.ts --check   build, fail if the bytes differ from those in src/wasm or a
//                                    source is not formatted
//   deno run wasm/build.ts --fmt     format the sources

import { createHash } from "node:crypto";

// By its name at run time alone: wasm/deno.json has the compiler, and a lock file of its own. What is checked or
// started by the top deno.json does not fetch it.
const COMPILER: string = "assemblyscript/asc";
const { default: asc }: typeof import("./asc.d.ts") = await import(COMPILER);

const FLAGS = [
  "-O3",
  "--noAssert",
  "--runtime",
  "stub",
  "--enable",
  "simd",
  "--disableWarning",
  "201", // casts between usize and u32: the core is wasm32
  "--initialMemory",
  "4",
  "--maximumMemory",
  "65536",
];
const FOLDER = new URL("./", import.meta.url);
const MODULES = ["core", "generator"] as const;
const HASH = new URL("../src/wasm/core_hash.ts", import.meta.url);

/** Files that TypeScript reads too; `deno fmt` formats them as they are. */
const SHARED = ["asc.d.ts", "build.ts", "contract.ts", "assemblyscript.d.ts"];

function builtFile(module: string): URL {
  return new URL(`../src/wasm/${module}.wasm`, import.meta.url);
}

async function build(module: string): Promise<Uint8Array> {
  let bytes: Uint8Array | null = null;
  const { error, stderr } = await asc.main([`${module}.ts`, "-o", `${module}.wasm`, ...FLAGS], {
    readFile: async (name, base) => {
      try {
        return await Deno.readTextFile(new URL(name, new URL(`${base}/`, FOLDER)));
      } catch {
        return null;
      }
    },
    writeFile: (_name, contents) => void (bytes = contents as Uint8Array),
    listFiles: () => null,
  });
  if (error || bytes === null) throw new Error(`${module}.ts does not compile:\n${stderr}`);
  if (stderr.toString() !== "") console.error(stderr.toString());
  return bytes;
}

/** A module that exports the hash of the core: `import source` gives no bytes to compute it from. */
function hashModule(bytes: Uint8Array): string {
  const hash = createHash("sha256").update(bytes).digest("hex");
  return `// Written by wasm/build.ts.\n\n/** SHA-256 of core.wasm; checkpoints remember it. */\n` +
    `export const CORE_HASH = "${hash}";\n`;
}

function sources(): string[] {
  return [...Deno.readDirSync(FOLDER)].map((entry) => entry.name)
    .filter((name) => name.endsWith(".ts") && !SHARED.includes(name)).toSorted();
}

/**
 * Formats a source by `deno fmt`. AssemblyScript decorates functions, which TypeScript does not know:
 * meanwhile a decorator is a comment.
 */
async function format(source: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", "--config", "deno.json", "--ext", "ts", "-"],
    cwd: new URL("../", FOLDER),
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(source.replaceAll(/^@inline$/gm, "//@inline")));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("deno fmt failed");
  return new TextDecoder().decode(stdout).replaceAll(/^\/\/@inline$/gm, "@inline");
}

async function formatAll(write: boolean): Promise<boolean> {
  let clean = true;
  for (const name of sources()) {
    const path = new URL(name, FOLDER);
    const before = await Deno.readTextFile(path);
    const after = await format(before);
    if (before === after) continue;
    clean = false;
    if (write) await Deno.writeTextFile(path, after);
    else console.error(`wasm/${name} is not formatted: deno task build:core --fmt`);
  }
  return clean;
}

if (import.meta.main) {
  const [mode] = Deno.args;
  if (mode === "--fmt") await formatAll(true);
  else if (mode === "--check") {
    const formatted = await formatAll(false);
    let same = true;
    for (const module of MODULES) {
      const [built, committed] = [await build(module), await Deno.readFile(builtFile(module))];
      const equal = built.length === committed.length &&
        built.every((byte, i) => byte === committed[i]);
      if (!equal) {
        console.error(`src/wasm/${module}.wasm is not what wasm/ builds: deno task build:core`);
      }
      same &&= equal;
    }
    const core = await Deno.readFile(builtFile("core"));
    const hashed = await Deno.readTextFile(HASH) === hashModule(core);
    if (!hashed) console.error("src/wasm/core_hash.ts is not of this core: deno task build:core");
    if (!same || !hashed || !formatted) Deno.exit(1);
  } else {
    for (const module of MODULES) {
      const bytes = await build(module);
      await Deno.writeFile(builtFile(module), bytes);
      if (module === "core") await Deno.writeTextFile(HASH, hashModule(bytes));
      console.log(`src/wasm/${module}.wasm: ${bytes.length} bytes`);
    }
  }
}
