// Reads and checks compose.yaml and the manifests of Kubernetes: kubernetes-validate and check-jsonschema bring the
// schemas with them, so nothing is asked for at run time. They are installed once, beside the user's cache.

import { keptFolder } from "../kafka/libraries.ts";

const REQUIREMENTS = new URL("requirements.txt", import.meta.url).pathname;
/** Of Kubernetes, against whose schemas manifests are checked. */
const KUBERNETES_VERSION = "1.34.0";

async function output(
  program: string,
  args: readonly string[],
): Promise<{ success: boolean; text: string }> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return { success, text };
}

/** Why files cannot be checked here, with the remedy; null = they can. */
export async function whyNoLint(): Promise<string | null> {
  const { success } = await output("sh", [
    "-c",
    "python3 -m venv --help && python3 -m ensurepip --version",
  ]);
  return success
    ? null
    : "python3 with venv is not installed (Debian: apt-get install python3-venv)";
}

/** The folder of the installed programs. */
async function programs(): Promise<string> {
  const folder = keptFolder("lint");
  await Deno.mkdir(folder, { recursive: true });
  using one = await Deno.create(`${folder}/lock`);
  await one.lock(true);
  const wanted = await Deno.readTextFile(REQUIREMENTS);
  const bin = `${folder}/venv/bin`;
  if (await Deno.readTextFile(`${folder}/installed`).catch(() => "") === wanted) return bin;
  for (
    const [program, ...args] of [
      ["python3", "-m", "venv", "--clear", `${folder}/venv`],
      [`${bin}/pip`, "install", "--quiet", "--requirement", REQUIREMENTS],
    ]
  ) {
    const { success, text } = await output(program!, args);
    if (!success) throw new Error(`${program} ${args.join(" ")} failed: ${text.slice(-2000)}`);
  }
  await Deno.writeTextFile(`${folder}/installed`, wanted);
  return bin;
}

/** What is wrong with manifests by the schemas of Kubernetes; "" = nothing. */
export async function lintKubernetes(files: readonly string[]): Promise<string> {
  const program = `${await programs()}/kubernetes-validate`;
  const args = ["--strict", "--quiet", "-k", KUBERNETES_VERSION, ...files];
  const { success, text } = await output(program, args);
  return success ? "" : text || "kubernetes-validate failed";
}

/** What is wrong with a file by the schema of the Compose Specification; "" = nothing. */
export async function lintCompose(file: string): Promise<string> {
  const program = `${await programs()}/check-jsonschema`;
  const { success, text } = await output(program, [
    "--builtin-schema=vendor.compose-spec",
    file,
  ]);
  return success ? "" : text || "check-jsonschema failed";
}

/** The documents of a YAML file, with anchors and merges resolved. */
// deno-lint-ignore no-explicit-any -- of any shape
export async function readYaml(file: string): Promise<any[]> {
  const script =
    "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
  const { success, text } = await output(`${await programs()}/python`, ["-c", script, file]);
  if (!success) throw new Error(text);
  return JSON.parse(text);
}
