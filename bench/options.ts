// The command line of a benchmark.

import { parseArgs } from "node:util";
import { orRefuse, refuse } from "../tools/kit/command_line.ts";

export { refuse };

type Values<T> = { [K in keyof T]: T[K] extends number ? number : string };

/**
 * Options that all have a default, as `--name=value`; where the default is a number, the value must be a
 * number that is not negative. `--help` prints the usage and ends the process; what is wrong ends it too.
 */
export function readOptions<T extends Readonly<Record<string, string | number>>>(
  usage: string,
  defaults: T,
): Values<T> {
  const options = Object.fromEntries(
    Object.keys(defaults).map((name) => [name, { type: "string" } as const]),
  );
  const { values } = orRefuse(
    usage,
    () => parseArgs({ args: Deno.args, options: { ...options, help: { type: "boolean" } } }),
  );
  if (values.help) {
    console.log(`Usage: ${usage}`);
    Deno.exit(0);
  }
  const entries = Object.entries(defaults).map(([name, fallback]) => {
    const text = (values as Record<string, unknown>)[name] as string | undefined;
    if (text === undefined || typeof fallback === "string") return [name, text ?? fallback];
    if (/^\d+(\.\d+)?$/.test(text)) return [name, Number(text)];
    return refuse(
      usage,
      `--${name} must be a number that is not negative, not ${JSON.stringify(text)}`,
    );
  });
  return Object.fromEntries(entries);
}

/** One of several names that an option may have. */
export function oneOf<const K extends string>(
  usage: string,
  name: string,
  value: string,
  allowed: readonly K[],
): K {
  const found = allowed.find((a) => a === value);
  return found ??
    refuse(usage, `--${name} must be ${allowed.join(" or ")}, not ${JSON.stringify(value)}`);
}

/** A list of names that are allowed, separated by commas. */
export function listIn<T extends string>(
  usage: string,
  name: string,
  text: string,
  allowed: readonly T[],
): T[] {
  return text.split(",").map((value) =>
    allowed.find((a) => a === value) ??
      refuse(usage, `--${name} must be of ${allowed.join(", ")}, not ${JSON.stringify(value)}`)
  );
}

/** A positive integer. */
export function countIn(usage: string, name: string, text: string): number {
  return countsIn(usage, name, text)[0]!;
}

/** A list of positive integers, separated by commas. */
export function countsIn(usage: string, name: string, text: string): number[] {
  return text.split(",").map((n) =>
    /^[1-9]\d*$/.test(n)
      ? Number(n)
      : refuse(usage, `--${name} must be of positive integers, not ${JSON.stringify(n)}`)
  );
}
