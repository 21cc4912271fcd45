import type { PartitionerName } from "../state/mod.ts";
import { getProperties } from "properties-file";
import { Format, shorten } from "../types/mod.ts";
import { ParameterError } from "./errors.ts";
import {
  FOREIGN_KEYS,
  ForeignValueError,
  isForeignSecret,
  replacementOf,
  usesSasl,
} from "./foreign_keys.ts";
import {
  environmentName,
  PARAMETER_KEYS,
  type ParameterKey,
  PARAMETERS,
  type ParameterValue,
} from "./parameter_table.ts";
import type { Parameter } from "./parameter_kinds.ts";

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
    const given = givenValues(sources);
    const values = new Map<ParameterKey, unknown>();
    for (const key of PARAMETER_KEYS) {
      const { text, source } = given.find((own) => own.has(key))?.get(key) ??
        { text: PARAMETERS[key].default, source: `the default of ${key}` };
      values.set(key, parseValue(key, text, source));
    }
    checkProtocol(sources, values);
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

/** The partitioner by name; auto counts as Kafka's default where nothing tells another, as for a log of the job's own. */
export function partitionerNameOf(params: Parameters): PartitionerName {
  const name = params.get("transaction.partitioner");
  return name === "auto" ? "murmur2" : name;
}

/** A value, and where it comes from, for messages. */
interface Given {
  readonly text: string;
  readonly source: string;
}

/** What each source says, the one that counts first: foreign keys as the parameters that they are taken for. */
function givenValues(
  { flags = {}, environment = () => undefined, file }: ParameterSources,
): ReadonlyMap<ParameterKey, Given>[] {
  const variables = [...PARAMETER_KEYS, ...Object.keys(FOREIGN_KEYS)].flatMap((key) => {
    const text = environment(environmentName(key));
    return text === undefined ? [] : [[key, text] as const];
  });
  const properties = file ? parseProperties(file.text, file.name) : {};
  return [
    ownValues(Object.entries(flags), (key) => `--${key}`, "the command line"),
    ownValues(variables, (key) => `environment variable ${environmentName(key)}`, ""),
    ownValues(Object.entries(properties), (key) => `${key} in ${file?.name}`, file?.name ?? ""),
  ];
}

/** @param where is named when it has a key that does not exist */
function ownValues(
  entries: readonly (readonly [key: string, text: string])[],
  sourceOf: (key: string) => string,
  where: string,
): ReadonlyMap<ParameterKey, Given> {
  const own = new Map<ParameterKey, Given>();
  const put = (key: ParameterKey, given: Given) => {
    const other = own.get(key);
    if (other && other.text !== given.text) {
      throw new ParameterError(`${other.source} and ${given.source} do not say the same`);
    }
    own.set(key, given);
  };
  for (const [key, text] of entries) {
    const source = sourceOf(key);
    if (Object.hasOwn(PARAMETERS, key)) put(key as ParameterKey, { text, source });
    else if (Object.hasOwn(FOREIGN_KEYS, key)) {
      for (const [name, value] of Object.entries(foreignValues(key, text, source))) {
        put(name as ParameterKey, { text: value, source });
      }
    } else checkKey(key, where);
  }
  return own;
}

function foreignValues(key: string, text: string, source: string) {
  try {
    return FOREIGN_KEYS[key]!.own(text);
  } catch (error) {
    if (!(error instanceof ForeignValueError)) throw error;
    const found = isForeignSecret(key)
      ? `${text.length} characters that are not shown`
      : JSON.stringify(shorten(text));
    throw new ParameterError(`${source} must be ${error.message}, not ${found}`);
  }
}

const PROTOCOL = "kafka.security.protocol";

/** A protocol says whether SASL is used, as kafka.sasl.mechanism does. */
function checkProtocol(
  { flags = {}, environment = () => undefined, file }: ParameterSources,
  values: ReadonlyMap<ParameterKey, unknown>,
): void {
  const protocol = flags[PROTOCOL] ?? environment(environmentName(PROTOCOL)) ??
    (file ? parseProperties(file.text, file.name)[PROTOCOL] : undefined);
  const mechanism = values.get("kafka.sasl.mechanism");
  if (protocol === undefined || usesSasl(protocol) === (mechanism !== "none")) return;
  throw new ParameterError(
    usesSasl(protocol)
      ? `${PROTOCOL}=${protocol} needs kafka.sasl.mechanism: ${
        PARAMETERS["kafka.sasl.mechanism"].allowed
      }`
      : `${PROTOCOL}=${protocol} does not go with kafka.sasl.mechanism=${mechanism}: it is without SASL`,
  );
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
  const replacement = replacementOf(key);
  if (replacement !== null) {
    throw new ParameterError(`${key} in ${source} is not a parameter: ${replacement}`);
  }
  // What is much longer than any key is none that was mistyped, and would take long to compare.
  const similar = key.length > KEY_CHARACTERS_MAX
    ? []
    : PARAMETER_KEYS.filter((known) =>
      known === `kafka.${key}` || distance(known, key) <= Math.max(2, key.length / 4)
    );
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

/** A parameter as it counts, for people; the value of a secret is left out. */
export interface ConfigurationEntry {
  readonly key: ParameterKey;
  /** As it would be written; null = a secret that is set. */
  readonly value: string | null;
  readonly default: string;
  readonly help: string;
  readonly allowed: string;
}

/** All parameters in the order of --help. */
export function configurationOf(params: Parameters): ConfigurationEntry[] {
  return PARAMETER_KEYS.map((key) => {
    const { default: fallback, help, allowed } = PARAMETERS[key];
    const value = params.get(key);
    const isHidden = isSecret(key) && value !== "";
    return { key, value: isHidden ? null : String(value), default: fallback, help, allowed };
  });
}

/** Whether a key's value is a secret. */
export function isSecret(key: ParameterKey): boolean {
  const { secret = false }: Parameter<unknown> = PARAMETERS[key];
  return secret;
}

/** The longest first: one may be the beginning of another. */
const SECRET_NAMES: readonly string[] = [
  ...PARAMETER_KEYS.filter(isSecret),
  ...Object.keys(FOREIGN_KEYS).filter(isForeignSecret),
]
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
