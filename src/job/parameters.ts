import { getProperties } from "properties-file";
import { Format, shorten } from "../types/mod.ts";
import { ParameterError } from "./errors.ts";
import {
  environmentName,
  type Parameter,
  PARAMETER_KEYS,
  type ParameterKey,
  PARAMETERS,
  type ParameterValue,
} from "./parameter_table.ts";

/** Where values come from; the first that has a key decides. */
export interface ParameterSources {
  /** From `--key=value`. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Value of an environment variable. */
  readonly environment?: (name: string) => string | undefined;
  /** Text of a Java properties file, and its name for messages. */
  readonly file?: { readonly name: string; readonly text: string };
}

/** The validated parameters of a job. */
export class Parameters {
  private constructor(readonly values: ReadonlyMap<ParameterKey, unknown>) {}

  /**
   * Parameters with all defaults but those given; what tests and own jobs use.
   *
   * ```ts
   * import { assertEquals } from "@std/assert";
   * const params = Parameters.of({ "time.intervals.in.minutes": "5" });
   * assertEquals(params.get("time.intervals.in.minutes"), 5);
   * assertEquals(params.get("transaction.num.min"), 100);
   * ```
   */
  static of(flags: Readonly<Partial<Record<ParameterKey, string>>> = {}): Parameters {
    return Parameters.from({ flags });
  }

  /**
   * Reads and validates parameters: a flag before the environment before the file before the default.
   *
   * @throws {ParameterError} for the first key that is unknown or has a bad value
   */
  static from(sources: ParameterSources): Parameters {
    const { flags = {}, environment = () => undefined, file } = sources;
    const properties = file ? parseProperties(file.text, file.name) : {};
    for (const key of Object.keys(properties)) checkKey(key, file!.name);
    for (const key of Object.keys(flags)) checkKey(key, "the command line");
    const values = new Map<ParameterKey, unknown>();
    for (const key of PARAMETER_KEYS) {
      const name = environmentName(key);
      const found = [
        [flags[key], `--${key}`],
        [environment(name), `environment variable ${name}`],
        [properties[key], `${key} in ${file?.name}`],
      ].find(([value]) => value !== undefined) ??
        [PARAMETERS[key].default, `the default of ${key}`];
      values.set(key, parseValue(key, found[0]!, found[1]!));
    }
    return new Parameters(values);
  }

  /**
   * The same parameters but for some.
   *
   * @throws {ParameterError} when a value is not allowed
   */
  with(flags: Readonly<Partial<Record<ParameterKey, string>>>): Parameters {
    const values = new Map(this.values);
    for (const [key, text] of Object.entries(flags)) {
      checkKey(key, "the program");
      values.set(key as ParameterKey, parseValue(key as ParameterKey, text, `--${key}`));
    }
    return new Parameters(values);
  }

  /** Values that no log and no error may show. */
  get secrets(): string[] {
    const secret = [...this.values].filter(([key, value]) => isSecret(key) && value !== "");
    return secret.map(([, value]) => String(value));
  }

  /** The value of a parameter. */
  get<K extends ParameterKey>(key: K): ParameterValue<K> {
    return this.values.get(key) as ParameterValue<K>;
  }
}

/** How records of the job are written. */
export function formatOf(params: Parameters): Format {
  return params.get("format") === "json" ? Format.Json : Format.Text;
}

function parseProperties(text: string, name: string): Record<string, string> {
  try {
    return getProperties(text);
  } catch (error) {
    // The error quotes the text, which may be of a secret.
    const line = text.split(/\r\n|\r|\n/).findIndex((line) => BAD_ESCAPE.test(line));
    throw new ParameterError(
      line >= 0
        ? `Line ${line + 1} of ${name} has \\u without four hexadecimal digits behind it`
        : `${name} is not a properties file`,
      { cause: error },
    );
  }
}

const BAD_ESCAPE = /\\u(?![0-9A-Fa-f]{4})/;

/**
 * A text that should have been a key, for an error. Behind the name of a secret stands the secret itself
 * when what separates them is missing or unknown: that is not shown.
 */
export function showKey(key: string): string {
  for (const name of SECRET_NAMES) {
    const at = key.toLowerCase().replaceAll(/[_-]/g, ".").indexOf(name);
    if (at < 0 || at + name.length === key.length) continue;
    return `${JSON.stringify(shorten(key.slice(0, at + name.length)))} (what follows is not shown)`;
  }
  return JSON.stringify(shorten(key));
}

const KEY_CHARACTERS_MAX = 100;

function checkKey(key: string, source: string): void {
  if (Object.hasOwn(PARAMETERS, key)) return;
  // What is much longer than any key is none that was mistyped, and would take long to compare.
  const similar = key.length > KEY_CHARACTERS_MAX
    ? []
    : PARAMETER_KEYS.filter((known) => distance(known, key) <= Math.max(2, key.length / 4));
  const hint = similar.length > 0 ? `; did you mean ${similar[0]}?` : "; --help lists all keys";
  throw new ParameterError(`Unknown parameter ${showKey(key)} in ${source}${hint}`);
}

function parseValue(key: ParameterKey, text: string, source: string): unknown {
  const { schema, allowed }: Parameter<unknown> = PARAMETERS[key];
  const parsed = schema.safeParse(text);
  if (parsed.success) return parsed.data;
  const found = isSecret(key)
    ? `${text.length} characters that are not shown`
    : JSON.stringify(shorten(text));
  throw new ParameterError(`${source} must be ${allowed}, not ${found}`);
}

/** Whether a key's value is a secret. */
export function isSecret(key: ParameterKey): boolean {
  const { secret = false }: Parameter<unknown> = PARAMETERS[key];
  return secret;
}

/** The longest first: one may be the beginning of another. */
const SECRET_NAMES: readonly string[] = PARAMETER_KEYS.filter(isSecret)
  .toSorted((a, b) => b.length - a.length);

/** Edit distance of two short texts. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(
        row[j]! + 1,
        next[j - 1]! + 1,
        row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
      );
    }
    row = next;
  }
  return row[b.length]!;
}

/** A line per parameter: key, default, what is allowed, meaning. */
export function parameterHelp(): string {
  return PARAMETER_KEYS.map((key) => {
    const { default: fallback, allowed, help } = PARAMETERS[key];
    return `  ${`--${key}=${fallback}`.padEnd(42)} ${help} (${allowed})`;
  }).join("\n");
}
