// What the documents say of the repository.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { environmentName, PARAMETER_KEYS } from "../../src/parameters/parameter_table.ts";
import { ENTRIES, launcherOf } from "../../tools/bundle/contents.ts";
import { SUITES } from "../suites.ts";

const ROOT = new URL("../../", import.meta.url);
/** Each with a lock file of its own. */
const DENO_JSONS = [
  "deno.json",
  "wasm/deno.json",
  "bench/charts/deno.json",
  "src/dashboard/deno.json",
  "test/browser/deno.json",
  "tools/bundle/deno.json",
];
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));

function* filesBelow(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder, ROOT))) {
    const path = `${folder}${entry.name}`;
    if (entry.name === "node_modules") continue; // the bundler's
    if (entry.isDirectory) yield* filesBelow(`${path}/`);
    else yield path;
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(new URL(path, ROOT)).isFile;
  } catch {
    return false;
  }
}

for (
  const [document, atLeast] of [["docs/architecture.md", 20], ["docs/reliability.md", 9]] as const
) {
  Deno.test(`${document}: every test that a sentence names exists`, () => {
    const text = read(document).replaceAll(/\s+/g, " ");
    const named = [...text.matchAll(/`(test\/[\w/]+\.ts)`: "([^"]+)"/g)];
    assert(named.length >= atLeast, `${named.length} tests are named`);
    const missing = named.filter(([, file, name]) => {
      const source = read(file!);
      return !source.includes(JSON.stringify(name)) && !source.includes("`" + name + "`");
    });
    assertEquals(missing.map(([what]) => what), []);
  });
}

Deno.test("docs/dependencies.md: every dependency is named with its reason, and pinned", () => {
  const mapOf = (file: string): [string, string][] =>
    Object.entries(JSON.parse(read(file)).imports);
  const text = read("docs/dependencies.md");
  for (const [name, target] of DENO_JSONS.flatMap(mapOf)) {
    if (!target.startsWith("npm:")) continue;
    assert(/@\d+\.\d+\.\d+(\/|$)/.test(target), `${name} is not pinned: ${target}`);
    const [, bare, version] = /^npm:\/?(.+)@(\d[^/]*)/.exec(target)!;
    const row = text.split("\n").find((line) => line.startsWith(`| ${bare} `));
    assert(row?.includes(` ${version} `), `docs/dependencies.md has no row for ${bare} ${version}`);
  }
});

Deno.test("README.md: every task that it names exists, and every file", () => {
  const { tasks } = JSON.parse(read("deno.json")) as { tasks: Record<string, unknown> };
  for (
    const file of [
      "README.md",
      "CHANGELOG.md",
      "docs/architecture.md",
      "docs/jobs.md",
      "docs/operations.md",
      "docs/testing.md",
      "docs/reliability.md",
    ]
  ) {
    for (const [, task] of read(file).matchAll(/(?:deno(?:@[\d.]+)?) task ([\w:]+)/g)) {
      assert(task! in tasks, `${file} names the task ${task}`);
    }
    for (const [, path] of read(file).matchAll(/\]\((?!http)([^)#]+)\)/g)) {
      const { isFile, isDirectory } = Deno.statSync(new URL(path!, new URL(file, ROOT)));
      assert(isFile || isDirectory, path);
    }
  }
});

Deno.test("docs/operations.md: the runbook has an entry for every alert, and for nothing else", () => {
  const alerts = [...read("config/alerts.yml").matchAll(/^ +- alert: (\w+)$/gm)].map(([, a]) => a);
  const entries = [...read("docs/operations.md").matchAll(/^### (\w+)$/gm)].map(([, a]) => a);
  assert(alerts.length > 10);
  assertEquals(entries, alerts);
});

Deno.test("bundle: its launcher, which the image starts, does what the tasks of deno.json do", () => {
  const denoJson = JSON.parse(read("deno.json"));
  const launcher = launcherOf(denoJson);
  for (const task of ["start", "state", "generate", "health"]) {
    const [, flags, module] =
      /^ {2}\w+\) exec deno run --config \S+ (.*) "\$here\/(\w+\.js)" "\$@" ;;$/
        .exec(launcher.split("\n").find((line) => line.startsWith(`  ${task}) exec`))!)!;
    const command = denoJson.tasks[task].command as string;
    // deno task gives the folder where the user stands, for it leaves it; the launcher does not.
    const expected = command.replace(/^deno run /, "").replace(/ --folder=.*/, "");
    assertEquals(
      `${flags!.replace("--quiet --cached-only ", "")} ${ENTRIES[module!.replace(".js", "")]}`,
      expected,
    );
  }
  const dockerfile = read("Dockerfile");
  assertStringIncludes(dockerfile, `image.version="${denoJson.version}"`);
  assertStringIncludes(dockerfile, 'ENTRYPOINT ["/app/stockflow"]');
  const bases = [...dockerfile.matchAll(/^FROM (denoland\/\S+)/gm)].map(([, base]) => base);
  assertEquals(new Set(bases), new Set(["denoland/deno:debian-2.9.6"]));
  // The version of Deno that the README names.
  assertStringIncludes(read("README.md"), "npx -y deno@2.9.6 task start");
});

Deno.test("deno.json: what the service may use is listed, and every parameter may come by the environment", () => {
  const { tasks, permissions: { start } } = JSON.parse(read("deno.json"));
  const { env, import: imports, ...others } = start;
  assertEquals(others, {
    read: true,
    write: true,
    net: true,
    sys: ["statfs", "systemMemoryInfo"],
  });
  assert(imports.deny.length > 0);
  assertEquals(PARAMETER_KEYS.map(environmentName).filter((name) => !env.includes(name)), []);
  // The strict one has the same set, and takes from it.
  const strict = tasks["start:strict"].command as string;
  for (const name of ["net", "read", "write"]) assertStringIncludes(strict, `--allow-${name}=`);
  const withoutLimits = strict.replaceAll(/--allow-\w+=(?:"[^"]*"|\S+) /g, "");
  assertEquals(withoutLimits, tasks.start.command);
});

Deno.test("deno.json: what only compiles or tests is not fetched by the first start, but for what deno test needs", () => {
  const locked = Object.keys(JSON.parse(read("deno.lock")).npm).map((name) =>
    name.replace(/@[^@]*$/, "")
  );
  const notFirst = [
    "assemblyscript",
    "binaryen",
    "long",
    "vega",
    "vega-lite",
    "esbuild",
    "uplot",
    "playwright-core",
    "axe-core",
  ];
  assertEquals(locked.filter((name) => notFirst.includes(name)), []);
  for (const file of DENO_JSONS) {
    assertEquals(JSON.parse(read(file)).lock, { frozen: true }, file);
  }
});

/** The rooms of src, from the ground up: each imports from those before it alone. */
const ROOMS = [
  "types",
  "wasm",
  "kv",
  "log",
  "state",
  "parameters",
  "engine",
  "service",
  "jobs",
  "kafka",
  "http",
  "testing",
  "cli",
];

/** The page runs in a browser: the service has what is built of it alone. */
const PAGE = "src/dashboard/";

Deno.test("the page's sources are imported by nobody, and take types of leaves alone from the service", () => {
  for (const file of filesBelow("src/")) {
    if (!file.endsWith(".ts")) continue;
    for (const to of importsOf(file)) {
      if (!file.startsWith(PAGE)) assert(!to.startsWith(PAGE), `${file} imports ${to}`);
      else if (!to.startsWith(PAGE)) {
        const name = to.split("/").at(-1)!;
        const imported = new RegExp(`import type [^;]*/${name.replace(".", "\\.")}"`);
        assert(imported.test(read(file)), `${file} imports more than types of ${to}`);
      }
    }
  }
});

/** Files that a module imports by a path, as they stand in the repository. */
function importsOf(file: string): string[] {
  const source = read(file);
  const specifiers = [
    ...source.matchAll(/\bfrom\s+"(\.[^"]+)"/g),
    ...source.matchAll(/\bimport\s*\(?\s*"(\.[^"]+)"/g),
    // The module of a thread.
    ...source.matchAll(/\bnew URL\("(\.[^"]+\.ts)", import\.meta\.url\)/g),
  ];
  const here = new URL(file, ROOT);
  return specifiers.map(([, path]) => new URL(path!, here).pathname.slice(ROOT.pathname.length));
}

Deno.test("imports point one way: only src/kv opens Deno KV, only src/wasm knows WebAssembly", () => {
  let looked = 0;
  for (const file of filesBelow("src/")) {
    if (!file.endsWith(".ts")) continue;
    const source = read(file);
    const room = file.split("/")[1]!;
    if (room === "dashboard") continue; // see below
    assert(ROOMS.includes(room), `${file} is in no room`);
    for (const to of importsOf(file)) {
      if (!to.startsWith("src/")) {
        assert(["wasm/contract.ts", "deno.json"].includes(to), `${file} imports ${to}`);
        continue;
      }
      const other = to.split("/")[1]!;
      assert(ROOMS.indexOf(other) <= ROOMS.indexOf(room), `${file} imports ${to}`);
      if (room === "http") assert(other !== "kafka", `${file} imports ${to}`);
      looked++;
    }
    if (room !== "kv") assert(!source.includes("Deno.openKv("), `${file} opens Deno KV`);
    if (room !== "kafka") assert(!/from "kafkajs/.test(source), `${file} imports kafkajs`);
    if (room !== "wasm") {
      assert(!/new WebAssembly\.|WebAssembly\.(instantiate|compile)/.test(source), file);
    }
  }
  assert(looked > 500, `${looked} imports were looked at`);
});

Deno.test("no circles of imports: neither between files nor between folders", () => {
  // The compiler itself reads what it has built.
  const sources = [...filesBelow("src/"), ...filesBelow("wasm/")]
    .filter((file) => file.endsWith(".ts") && file !== "wasm/build.ts");
  const withEnding = (path: string) => /\.\w+$/.test(path) ? path : `${path}.ts`;
  const files = new Map(sources.map((file) => [file, importsOf(file).map(withEnding)]));
  const folderOf = (file: string) => file.slice(0, file.lastIndexOf("/"));
  const folders = new Map<string, string[]>();
  for (const [file, to] of files) {
    // A folder within another one is a part of it.
    const from = folderOf(file);
    const others = to.map(folderOf)
      .filter((t) => !`${t}/`.startsWith(`${from}/`) && !`${from}/`.startsWith(`${t}/`))
      // An answer with an error code becomes kafkajs's error, by which both sides know it.
      .filter((t) => !(from === "src/kafka/protocol" && t === "src/kafka/client"));
    folders.set(from, [...folders.get(from) ?? [], ...others]);
  }
  for (const graph of [files, folders]) assertEquals(circleIn(graph), null);
});

/** Nodes that lead back to the first of them; null = there are none. */
function circleIn(graph: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const path: string[] = [];
  const walk = (node: string): string[] | null => {
    if (path.includes(node)) return [...path.slice(path.indexOf(node)), node];
    if (done.has(node)) return null;
    path.push(node);
    for (const to of graph.get(node) ?? []) {
      const circle = walk(to);
      if (circle) return circle;
    }
    path.pop();
    done.add(node);
    return null;
  };
  for (const node of graph.keys()) {
    const circle = walk(node);
    if (circle) return circle;
  }
  return null;
}

Deno.test("bench and tools import nothing of the tests: what they share is in tools/kit", () => {
  for (const folder of ["bench/", "tools/"]) {
    for (const file of filesBelow(folder)) {
      if (!file.endsWith(".ts")) continue;
      const ofTests = importsOf(file).filter((to) => to.startsWith("test/"));
      assertEquals(ofTests, [], file);
    }
  }
});

Deno.test("the port of a log is whole: no optional members, and nobody asks which log it is", () => {
  const PORT = ["Log", "LogSession", "LogOpener", "LogUser", "AheadWriter", "AppendableLog"];
  const texts = ["port", "opener", "capabilities"].map((name) => read(`src/log/${name}.ts`));
  for (const name of PORT) {
    const body = new RegExp(`export interface ${name}\\b[^{]*{\n([\\s\\S]*?)\n}\n`);
    const found = texts.flatMap((text) => body.exec(text)?.[1] ?? []);
    assertEquals(found.length, 1, name);
    const optional = /^ {2}(?:readonly )?(\w+)\?/m.exec(found[0]!)?.[1];
    assert(optional === undefined, `${name}.${optional} is optional`);
  }
  for (const file of filesBelow("src/")) {
    const asked = file.endsWith(".ts") && /instanceof \w*(?:Log|Session|Opener)\b/.exec(read(file));
    assert(!asked, `${file} has ${asked}`);
  }
});

/** Names that a module exports by lists, or imports: types and values, by the names that others gave them. */
function namesOf(source: string, keyword: "import" | "export"): string[] {
  const lists = source.matchAll(new RegExp(`^${keyword} (?:type )?{([^}]*)} from`, "gm"));
  const names = [...lists].flatMap(([, list]) => list!.split(","));
  return names.map((name) => name.trim().replace(/^type /, "").replace(/ as .*/, ""))
    .filter((name) => name !== "");
}

Deno.test("the jobs that come with the program are written with what mod.ts exports, and nothing else", () => {
  const exported = new Set(namesOf(read("mod.ts"), "export"));
  assert(exported.has("ItemTransactionJob") && exported.has("forEach"));
  const jobs = [
    "src/jobs/embedded_item_transaction_job.ts",
    "src/jobs/socket_item_transaction_job.ts",
    "src/kafka/kafka_item_transaction_job.ts",
    "src/kafka/kafka_data_generator_job.ts",
  ];
  for (const file of jobs) {
    const source = read(file);
    const names = namesOf(source, "import");
    assert(names.length > 2, file);
    assertEquals(names.filter((name) => !exported.has(name)), [], file);
    assertEquals(source.match(/^import /gm)?.length, source.match(/^import [^]*?} from/gm)?.length);
  }
});

/** Time, timers and chance of the machine. */
const MACHINE_TIME_AND_CHANCE = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bDate\(\)/,
  /\bTemporal\.Now\b/,
  /\bperformance\b/,
  /\bhrtime\b/,
  /\bset(Timeout|Interval|Immediate)\b/,
  /\bAbortSignal\.timeout\b/,
  /\bDeno\.(un)?refTimer\b/,
  /\bnode:timers\b/,
  /\bMath\.random\b/,
  /\brandomUUID\b/,
  /\bgetRandomValues\b/,
  /\brandom(Bytes|Int|Fill|FillSync)\b/,
];

/** Who may use them all the same. */
const EXCEPTIONS: Record<string, string> = {
  "src/types/clock.ts": "is the machine's clock and chance, which everything else is given",
  "src/cli/run.ts": "ends the process by force when a stop in good order takes too long",
};

Deno.test("time, timers and chance come in through Clock and Chance alone", () => {
  for (const file of filesBelow("src/")) {
    if (!file.endsWith(".ts") || file in EXCEPTIONS || file.startsWith(PAGE)) continue;
    const source = read(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
    for (const pattern of MACHINE_TIME_AND_CHANCE) {
      assert(!pattern.test(source), `${file} uses the machine's ${pattern.source} directly`);
    }
  }
  // An exception that needs none is taken off the list.
  for (const file of Object.keys(EXCEPTIONS)) {
    assert(MACHINE_TIME_AND_CHANCE.some((pattern) => pattern.test(read(file))), file);
  }
});

Deno.test("HTTP asks the running job, and does not reach into its insides", () => {
  for (const file of filesBelow("src/http/")) {
    if (!file.endsWith(".ts")) continue;
    const found = /\bjob\.(context|store|workers|queries|figures|params)\b/.exec(read(file));
    assert(!found, `${file} has ${found?.[0]}`);
  }
});

Deno.test("every folder of the house says what lives in it", () => {
  const folders = new Set<string>();
  for (const file of filesBelow("src/")) {
    if (file.endsWith(".ts")) folders.add(file.slice(0, file.lastIndexOf("/") + 1));
  }
  assert(folders.size > ROOMS.length);
  for (const folder of [...folders, "tools/kit/", "tools/image/", "tools/deploy/"]) {
    const faces = ["mod.ts", "main.ts", "README.md"].map((name) => folder + name);
    const said = faces.filter((face) => exists(face)).map((face) => read(face).slice(0, 2000));
    const isSaid = said.some((text) => /What lives here/.test(text) && /What may not/.test(text));
    assert(isSaid, `${folder} does not say what lives there, and what may not`);
  }
});

Deno.test("deno.json: every file of tests is run by a suite of its folder or by deno test, and by that once", () => {
  const { test: { include } } = JSON.parse(read("deno.json")) as { test: { include: string[] } };
  /** The files of tests that a file all.ts imports, by itself or by others of its kind. */
  const importedBy = (all: string): string[] => {
    const imports = read(all).matchAll(/^import "\.\/(.+)";$/gm);
    return [...imports].map(([, file]) => `${all.slice(0, all.lastIndexOf("/"))}/${file}`)
      .flatMap((file) => file.endsWith("/all.ts") ? importedBy(file) : [file]);
  };
  const ofDenoTest = include.flatMap(importedBy);
  assertEquals(ofDenoTest.length, new Set(ofDenoTest).size);
  /** Whether a suite names the file, or its folder without leaving it out. */
  const isOfSuite = (file: string) => {
    const isIn = (path: string) => file === path || file.startsWith(`${path}/`);
    return SUITES.some(({ args }) => {
      const ignored = args.filter((arg) => arg.startsWith("--ignore="))
        .flatMap((arg) => arg.slice("--ignore=".length).split(","));
      return args.some((arg) => arg.startsWith("test/") && isIn(arg)) && !ignored.some(isIn);
    });
  };
  const missing = [...filesBelow("test/")].filter((file) =>
    file.endsWith("_test.ts") && !ofDenoTest.includes(file) && !isOfSuite(file)
  );
  assertEquals(missing, [], "import them in the all.ts of their folder");
});
