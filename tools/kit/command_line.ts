// Command lines of the tasks: all options are named, and --help prints them.

import { parseArgs, type ParseArgsConfig } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Help = { readonly help: { readonly type: "boolean" } };
type Values<T extends Options> = ReturnType<
  typeof parseArgs<{ args: string[]; options: T }>
>["values"];

/**
 * The options of the command line. `--help` prints them and ends the process; what is wrong ends it too, with exit code 2.
 *
 * @param task name in deno.json
 */
export function commandLine<const T extends Options>(task: string, options: T): Values<T & Help> {
  const usage = usageOf(task, options);
  const all = { ...options, help: { type: "boolean" } } as T & Help;
  const { values } = orRefuse(usage, () => parseArgs({ args: Deno.args, options: all }));
  if ((values as { help?: boolean }).help) {
    console.log(`Usage: ${usage}`);
    Deno.exit(0);
  }
  return values;
}

/** Such as `deno task kill [--kills=20] [--seed=...]`. */
export function usageOf(task: string, options: Options): string {
  const each = Object.entries(options).map(([name, { type, default: otherwise }]) =>
    type === "boolean" ? `[--${name}]` : `[--${name}=${otherwise ?? "..."}]`
  );
  return [`deno task ${task}`, ...each].join(" ");
}

/** Ends the process with exit code 2, like a wrong parameter of the service. */
export function refuse(usage: string, message: string): never {
  console.error(`${message}\nUsage: ${usage}`);
  Deno.exit(2);
}

/** What parseArgs finds; wrong arguments are refused. */
export function orRefuse<T>(usage: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // Behind its first sentence the message is about positional arguments.
    return refuse(usage, error.message.split(". ")[0]!);
  }
}
