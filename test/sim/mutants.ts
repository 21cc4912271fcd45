// deno task sim:mutants [--only=TEXT] [--seeds=N]
//
// Plants bugs one by one, and prints which promise the simulator finds broken, and after how many seeds;
// exits 1 if one is not found. Bugs of planted_bugs.ts are wrappers in this process; those of
// mutations.ts are applied to a copy of the sources, where the core is built anew.

import { commandLine } from "../../tools/kit/command_line.ts";
import { turnOfTheEventLoop } from "./event_loop.ts";
import { makeKafka } from "./kafka/mod.ts";
import { type Mutation, MUTATIONS } from "./mutations.ts";
import { PLANTED_BUGS } from "./planted_bugs.ts";
import { run } from "./simulation.ts";

const ROOT = new URL("../../", import.meta.url);
const COPIED = ["src", "test", "tools", "wasm", "deno.json", "deno.lock"];

const values = commandLine("sim:mutants", {
  only: { type: "string", default: "" },
  seeds: { type: "string", default: "3000" },
});
const seeds = Number(values.seeds);

interface Found {
  readonly by: string;
  readonly message: string;
  readonly seeds: number;
}

async function findPlanted(name: string): Promise<Found | null> {
  for (let seed = 1; seed <= seeds; seed++) {
    const { violations } = await run(seed, { bug: PLANTED_BUGS[name]!() });
    await turnOfTheEventLoop();
    const [first] = violations;
    if (!first) continue;
    await assertClean(seed, false);
    return { by: first.promise, message: first.message, seeds: seed };
  }
  return null;
}

/** Without the bug the seed must break nothing: else the bug was not what was found. */
async function assertClean(seed: number, kafka: boolean): Promise<void> {
  const { violations } = await run(seed, { kafka: kafka ? makeKafka : null });
  if (violations.length === 0) return;
  throw new Error(`Seed ${seed} breaks ${violations[0]!.promise} without the bug, too`);
}

/** A copy of the sources that bugs are planted in. */
class Copy {
  private constructor(readonly folder: string) {}

  static async make(): Promise<Copy> {
    const copy = new Copy(await Deno.makeTempDir({ prefix: "stockflow-mutants-" }));
    for (const name of COPIED) {
      await copyTree(new URL(name, ROOT).pathname, `${copy.folder}/${name}`);
    }
    return copy;
  }

  remove(): Promise<void> {
    return Deno.remove(this.folder, { recursive: true });
  }

  async #deno(...args: string[]): Promise<{ success: boolean; text: string }> {
    const command = new Deno.Command(Deno.execPath(), { args, cwd: this.folder, stdin: "null" });
    const { success, stdout, stderr } = await command.output();
    const decoder = new TextDecoder();
    return { success, text: decoder.decode(stdout) + decoder.decode(stderr) };
  }

  async #build({ file }: Mutation): Promise<void> {
    if (!file.startsWith("wasm/")) return;
    const { success, text } = await this.#deno("run", "--allow-all", "wasm/build.ts");
    if (!success) throw new Error(`The core does not compile:\n${text}`);
  }

  async find(mutation: Mutation): Promise<Found | null> {
    const { file, find, replace, kafka = false } = mutation;
    const path = `${this.folder}/${file}`;
    const source = await Deno.readTextFile(path);
    if (source.split(find).length !== 2) {
      throw new Error(`${file} has this not exactly once: ${find}`);
    }
    await Deno.writeTextFile(path, source.replace(find, () => replace));
    try {
      await this.#build(mutation);
      const log = kafka ? ["--kafka"] : [];
      const { text } = await this.#deno(
        "run",
        "--no-check",
        "--allow-env",
        "test/sim/main.ts",
        "--first",
        `--seeds=${seeds}`,
        ...log,
      );
      const [, seed, by, message] = /^seed (\d+) breaks ([^:]+): (.*)$/m.exec(text) ?? [];
      if (seed !== undefined) {
        await assertClean(Number(seed), kafka);
        return { by: by!, message: message!, seeds: Number(seed) };
      }
      if (!text.includes("0 violations")) throw new Error(`The simulation did not run:\n${text}`);
      return null;
    } finally {
      await Deno.writeTextFile(path, source);
      if (file.startsWith("wasm/")) await this.#build(mutation);
    }
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) {
    await copyTree(`${from}/${name}`, `${to}/${name}`);
  }
}

let missed = 0;

async function report(bug: string, find: () => Promise<Found | null>): Promise<void> {
  if (!bug.includes(values.only)) return;
  const found = await find();
  if (!found) missed++;
  const cells = found
    ? [bug, `${found.by}: ${found.message.slice(0, 90).replaceAll("|", "/")}`, found.seeds]
    : [bug, `NOT FOUND by ${seeds} seeds`, "-"];
  console.log(`| ${cells.join(" | ")} |`);
}

console.log("| bug | found broken | after seeds |\n| --- | --- | --- |");
for (const name of Object.keys(PLANTED_BUGS)) await report(name, () => findPlanted(name));
const copy = await Copy.make();
try {
  for (const mutation of MUTATIONS) await report(mutation.bug, () => copy.find(mutation));
} finally {
  await copy.remove();
}
console.log(`\n${missed} bugs were not found`);
Deno.exit(missed === 0 ? 0 : 1);
