// Line coverage of src: unit tests, and the real service as the tests of system and Kafka run it.
//
//   deno task coverage [--min=90]
//
// A process that is killed writes no coverage; those that stop in good order do.

import { commandLine } from "../tools/kit/command_line.ts";

const values = commandLine("coverage", { min: { type: "string", default: "90" } });

/** Suites whose services report their coverage too; runs of kills would report none. */
const SUITES = [
  ["system", "test/system/service_test.ts", "test/system/socket_test.ts"],
  ["kafka", "test/kafka/kafka_test.ts", "test/kafka/generate_test.ts"],
] as const;

async function deno(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    env,
    stdout: "piped",
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (success) return text;
  console.error(text);
  throw new Error(`deno ${args.join(" ")} failed`);
}

/** Found and hit lines of an lcov report. */
function lines(lcov: string): { found: number; hit: number } {
  const sum = (field: string) =>
    [...lcov.matchAll(new RegExp(`^${field}:(\\d+)$`, "gm"))].reduce(
      (n, [, k]) => n + Number(k),
      0,
    );
  return { found: sum("LF"), hit: sum("LH") };
}

const folder = await Deno.makeTempDir({ prefix: "stockflow-coverage-" });
try {
  await deno(["test", `--coverage=${folder}/unit`]);
  for (const [name, ...tests] of SUITES) {
    await deno(["test", "--allow-all", "--quiet", `--coverage=${folder}/${name}`, ...tests], {
      STOCKFLOW_COVERAGE: folder,
    });
  }
  const folders = [...Deno.readDirSync(folder)].map((entry) => `${folder}/${entry.name}`);
  const lcov = await deno(["coverage", ...folders, "--include=/src/", "--lcov"]);
  for (const file of lcov.split("end_of_record\n")) {
    const { found, hit } = lines(file);
    const name = /^SF:.*\/(src\/.*)$/m.exec(file)?.[1];
    if (name) console.log(`${(100 * hit / found).toFixed(1).padStart(6)} %  ${name}`);
  }
  const { found, hit } = lines(lcov);
  const percent = 100 * hit / found;
  console.log(`${percent.toFixed(1)} % of ${found} lines of src`);
  if (percent < Number(values.min)) Deno.exit(1);
} finally {
  await Deno.remove(folder, { recursive: true });
}
