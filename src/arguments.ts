// The command line of what a user starts: arguments, parameters, signals.

import { JOB_KINDS, ParameterError, PARAMETERS, Parameters, StopError } from "./job/mod.ts";
import { closeLogs } from "./job/logging.ts";

const EXIT_WRONG = 2;
const DEFAULT_JOB = PARAMETERS.job.default;

export interface Arguments {
  readonly config: string | null;
  readonly check: boolean;
  readonly help: boolean;
  readonly flags: Readonly<Record<string, string>>;
}

/** @throws {ParameterError} for an argument of another form */
export function parseArguments(args: readonly string[]): Arguments {
  const flags: Record<string, string> = {};
  let config: string | null = null;
  let check = false;
  let help = false;
  for (const arg of args) {
    const [, key, value] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (key === "help" && value === undefined) help = true;
    else if (key === "generate" && value === undefined) flags["generate.transactions"] = "true";
    else if (key === "accept-offset" && value === undefined) flags["accept.offset"] = "true";
    else if (key === "check" && value === undefined) check = true;
    else if (key === "config" && value !== undefined) config = value;
    else if (key !== undefined && value !== undefined) flags[key] = value;
    else {throw new ParameterError(
        `Expected --key=value, --generate, --accept-offset, --check or --help, not ${
          JSON.stringify(arg.replace(/=.*/s, "=..."))
        }`,
      );}
  }
  return { config, check, help, flags };
}

/** The file that is read by default: that of the seed for Kafka, else one per kind of job. */
function configOf(job: string): string {
  if (job === "kafka") return "config/job.properties";
  return `config/${Object.hasOwn(JOB_KINDS, job) ? job : DEFAULT_JOB}.properties`;
}

/** @throws {ParameterError} for a file that cannot be read, or a parameter that is wrong */
export function readParameters({ config, flags }: Arguments): Parameters {
  const job = flags["job"] ?? Deno.env.get("JOB") ?? DEFAULT_JOB;
  // Of a job that does not exist the parameters are to tell.
  const name = config ?? configOf(job);
  let text: string;
  try {
    text = Deno.readTextFileSync(name);
  } catch (error) {
    throw new ParameterError(`Cannot read ${name}: ${(error as Error).message}`);
  }
  const environment = (variable: string) => Deno.env.get(variable);
  return Parameters.from({ flags, environment, file: { name, text } });
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

/** Runs a program; answers its exit code. What only its user can mend is told in one line. */
export async function exitCodeOf(program: () => Promise<void>): Promise<number> {
  try {
    await program();
    return 0;
  } catch (error) {
    if (error instanceof ParameterError) console.error(`stockflow: ${error.message}`);
    else if (error instanceof StopError) {
      console.error(`stockflow: ${error.message}; ${error.remedy}`);
    } else throw error;
    return EXIT_WRONG;
  } finally {
    await closeLogs();
  }
}
