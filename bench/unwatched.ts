// A copy of this checkout that samples nothing for those who watch: no hot items, no figures for charts. What it saves
// is what watching costs.

const ROOT = new URL("../", import.meta.url);

/** What the service needs to start, and its core to be built. */
const COPIED = ["deno.json", "deno.lock", "mod.ts", "config", "src", "wasm"];

/** A change of a source; what is found must stand there once. */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** What is taken out. A sample is taken once in the time that a measurement lasts, for what reads the newest one. */
export const EDITS: readonly Edit[] = [
  { file: "wasm/fold.ts", find: 'import { sample } from "./sample";\n', replace: "" },
  { file: "wasm/fold.ts", find: "    if (!(flags & REPLAY)) sample(block, end);\n", replace: "" },
  {
    file: "src/engine/partition_processor.ts",
    find: "    this.hot.afterFold(folded);\n",
    replace: "",
  },
  {
    file: "src/service/status_history.ts",
    find: "export const SAMPLE_MS = 1000;\n",
    replace: "export const SAMPLE_MS = 1_000_000;\n",
  },
];

/**
 * Why an edit does not fit a source any more; null = it does.
 *
 * @param source text of its file
 */
export function misfitOf({ file, find }: Edit, source: string): string | null {
  const count = source.split(find).length - 1;
  return count === 1 ? null : `${file} has ${JSON.stringify(find)} ${count} times, not once`;
}

/**
 * Makes the copy in a folder that is there and empty, and builds its core.
 *
 * @throws {Error} when the edits do not fit the sources, or change nothing of the core
 */
export async function copyUnwatched(folder: string): Promise<void> {
  const { success: copied } = await new Deno.Command("cp", {
    args: ["-r", ...COPIED, folder],
    cwd: ROOT,
  }).output();
  if (!copied) throw new Error(`This checkout could not be copied to ${folder}`);
  for (const edit of EDITS) {
    const path = `${folder}/${edit.file}`;
    const source = await Deno.readTextFile(path);
    const misfit = misfitOf(edit, source);
    if (misfit !== null) throw new Error(`bench/unwatched.ts does not fit the sources: ${misfit}`);
    await Deno.writeTextFile(path, source.replace(edit.find, edit.replace));
  }
  const { success: built, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "wasm/build.ts"],
    cwd: folder,
    stdout: "null",
  }).output();
  if (!built) throw new Error(`The core does not build: ${new TextDecoder().decode(stderr)}`);
  const [own, other] = await Promise.all([
    Deno.readFile(new URL("src/wasm/core.wasm", ROOT)),
    Deno.readFile(`${folder}/src/wasm/core.wasm`),
  ]);
  if (own.length === other.length && own.every((byte, i) => byte === other[i])) {
    throw new Error("The core without samples is the same as that with them");
  }
}
