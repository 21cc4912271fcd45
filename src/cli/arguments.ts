// The command line of what a user starts: arguments, parameters, signals.

import { fileURLToPath } from "node:url";
import {
  type None,
  ParameterError,
  Parameters,
  type ParameterTable,
  type ParameterValue,
  readSmallFile,
  showKey,
} from "../parameters/mod.ts";
import { StopError } from "../log/mod.ts";
import { escapeAllControls, pathTrouble } from "../types/mod.ts";
import { flushOutputs, standardError } from "../engine/line_output.ts";
import { closeLogs, withoutSecrets } from "../engine/logging.ts";

const EXIT_UNFORESEEN = 1;
const EXIT_WRONG = 2;

export interface Arguments {
  readonly config: string | null;
  /** Relative paths are relative to it; null = to the current folder. */
  readonly folder: string | null;
  readonly check: boolean;
  readonly help: boolean;
  readonly version: boolean;
  readonly flags: Readonly<Record<string, string>>;
}

/** @throws {ParameterError} for an argument of another form */
export function parseArguments(args: readonly string[]): Arguments {
  const flags: Record<string, string> = {};
  const asked = { check: false, help: false, version: false };
  let config: string | null = null;
  let folder: string | null = null;
  for (const arg of args) {
    const [, key, value] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (arg === "-h") asked.help = true;
    else if (value === undefined && Object.hasOwn(asked, key ?? "")) {
      asked[key as keyof typeof asked] = true;
    } else if (key === "generate" && value === undefined) flags["generate.transactions"] = "true";
    else if (key === "accept-offset" && value === undefined) flags["accept.offset"] = "true";
    else if (key === "replace-log" && value === undefined) flags["replace.log"] = "true";
    else if (key === "config" && value !== undefined) config = value;
    else if (key === "folder" && value !== undefined) folder = value;
    else if (key !== undefined && value !== undefined) flags[key] = value;
    else {throw new ParameterError(
        "Expected --key=value, --generate, --accept-offset, --replace-log, --check, --help or --version, not " +
          showKey(arg.replace(/=.*/s, "=...")),
      );}
  }
  return { ...asked, config, folder, flags };
}

/**
 * Makes relative paths relative to a folder. `deno task` runs its commands in the folder of deno.json, whereas
 * data and files belong to where the user stands: its tasks give that folder.
 *
 * @throws {ParameterError} when it is not a folder that can be entered
 */
export function enterFolder(folder: string | null): void {
  if (folder === null) return;
  try {
    Deno.chdir(folder);
  } catch (error) {
    const { reason, remedy } = pathTrouble(error);
    throw new ParameterError(`Cannot enter the folder ${folder} (--folder): ${reason}; ${remedy}`, {
      cause: error,
    });
  }
}

/**
 * @param fallback file that is read where none was named; null = none
 * @param own parameters that a job adds
 * @throws {ParameterError} for a file that cannot be read, or a parameter that is wrong
 */
export function readParameters<Own extends ParameterTable = None>(
  { config, flags }: Arguments,
  fallback: string | null,
  own?: Own,
): Parameters<Own> {
  const name = config ?? fallback;
  const environment = (variable: string) => Deno.env.get(variable);
  if (name === null) return Parameters.from({ flags, environment }, own);
  const text = readSmallFile(name, name);
  return Parameters.from({ flags, environment, file: { name, text } }, own);
}

/** The file of parameters that comes with the program for a kind of job, wherever its user stands. */
export function ownConfigOf(kind: ParameterValue<"job">): string {
  const name = kind === "kafka" ? "job" : kind;
  return fileURLToPath(new URL(`../../config/${name}.properties`, import.meta.url));
}

/** Resolves at the first signal that asks to stop; a second one ends the process at once. */
export function whenAskedToStop(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => {
        if (asked) Deno.exit(130);
        asked = true;
        resolve();
      });
    }
  });
}

/**
 * Runs a program; answers its exit code. What only its user can mend is said in one line, other errors with
 * their stack; secrets are taken out of both.
 *
 * @param print takes the lines; it goes to standard error by default
 */
export async function exitCodeOf(
  program: () => Promise<void>,
  print: (text: string) => void = (text) => standardError.print(`${text}\n`),
): Promise<number> {
  // A path or a value that it quotes must not steer a terminal.
  const report = (text: string) => print(escapeAllControls(withoutSecrets(text)));
  const unhandled = (event: PromiseRejectionEvent) => {
    event.preventDefault(); // Deno would print it as it is
    report(`stockflow: ${Deno.inspect(event.reason)}`);
    void flushOutputs().finally(() => Deno.exit(EXIT_UNFORESEEN));
  };
  globalThis.addEventListener("unhandledrejection", unhandled);
  try {
    await program();
    return 0;
  } catch (error) {
    if (error instanceof ParameterError) report(`stockflow: ${error.message}`);
    else if (error instanceof StopError) report(`stockflow: ${error.message}; ${error.remedy}`);
    else {
      report(`stockflow: ${Deno.inspect(error)}`);
      return EXIT_UNFORESEEN;
    }
    return EXIT_WRONG;
  } finally {
    globalThis.removeEventListener("unhandledrejection", unhandled);
    await closeLogs();
  }
}
