// The bundle of this checkout, and the service that is started from it as an operator would.

import { type Service, whenListening } from "./service.ts";

const ROOT = new URL("../../", import.meta.url);

/**
 * Bundles the program.
 *
 * @returns the folder, which is removed by whoever asked for it
 * @throws {Error} when it cannot be built
 */
export async function buildBundle(folder?: string): Promise<string> {
  const to = folder ?? await Deno.makeTempDir({ prefix: "stockflow-dist-" });
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "bundle", `--to=${to}`],
    cwd: ROOT,
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  if (!success) throw new Error(`The program was not bundled: ${said}`);
  return to;
}

/** Where a bundle is used. */
export interface Place {
  /** The bundle's folder. */
  readonly dist: string;
  /** Where the user stands, and so where the data is. */
  readonly cwd: string;
  /** The user's home, with Deno's cache in it. */
  readonly home: string;
}

/** Nothing of this process's environment is there: neither its home nor its caches. */
function commandOf({ dist, cwd, home }: Place, args: readonly string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "--config", `${dist}/deno.json`, ...args],
    cwd,
    clearEnv: true,
    env: { HOME: home, PATH: Deno.env.get("PATH")!, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Starts the service by `deno task start`; resolves when it listens. */
export async function startBundle(place: Place, ...args: readonly string[]): Promise<Service> {
  const child = commandOf(place, ["start", "--http.port=0", ...args]).spawn();
  return await whenListening(child, place.cwd);
}

/** Runs a task of the bundle to its end; answers its exit code and what it printed. */
export async function runBundle(
  place: Place,
  ...args: readonly string[]
): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await commandOf(place, args).output();
  return { code, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}
