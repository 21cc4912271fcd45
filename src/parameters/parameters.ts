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

/** What a user gives; the first that has a key decides. */
export interface GivenParameters {
  /** From `--key=value`. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Value of an environment variable. */
  readonly environment?: (name: string) => string | undefined;
  /** Text of a Java properties file, and its name for messages. */
  readonly file?: { readonly name: string; readonly text: string };
}

/** Parameters by their keys. */
export type ParameterTable = Readonly<Record<string, Parameter<unknown>>>;

/** A key of the program's parameters, or of a job's own. */
export type KeyOf<Own extends ParameterTable> = ParameterKey | (keyof Own & string);

/** The type of the value of a key. */
export type ValueOf<Own extends ParameterTable, K extends KeyOf<Own>> = K extends ParameterKey
  ? ParameterValue<K>
  : Own[K] extends Parameter<infer T> ? T
  : never;

/** A table with nothing in it. */
// deno-lint-ignore ban-types -- no key is known
export type None = {};

/** The validated parameters of a job; `Own` are those that it adds. */
export class Parameters<Own extends ParameterTable = None> {
  private constructor(
    readonly values: ReadonlyMap<string, unknown>,
    readonly table: ParameterTable,
  ) {}

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
  static of<Own extends ParameterTable = None>(
    flags?: Readonly<Partial<Record<KeyOf<Own>, string>>>,
    own?: Own,
  ): Parameters<Own> {
    return Parameters.from({ flags: { ...flags } as Record<string, string> }, own);
  }

  /**
   * Reads and validates parameters: a flag before the environment before the file before the default.
   *
   * @param own parameters that a job adds
   * @throws {ParameterError} for the first key that is unknown or has a bad value
   */
  static from<Own extends ParameterTable = None>(
    texts: GivenParameters,
    own?: Own,
  ): Parameters<Own> {
    const table = tableWith(own ?? {});
    const given = givenValues(texts, table);
    const values = new Map<string, unknown>();
    for (const [key, parameter] of Object.entries(table)) {
      const { text, setAs } = given.find((some) => some.has(key))?.get(key) ??
        { text: parameter.default, setAs: `the default of ${key}` };
      values.set(key, parseValue(table, key, text, setAs));
    }
    checkProtocol(texts, values);
    return new Parameters<Own>(values, table);
  }

  /**
   * The same parameters but for some.
   *
   * @throws {ParameterError} when a value is not allowed
   */
  with(flags: Readonly<Partial<Record<KeyOf<Own>, string>>>): Parameters<Own> {
    const values = new Map(this.values);
    for (const [key, text] of Object.entries<string | undefined>(flags)) {
      if (text === undefined) continue;
      checkKey(this.table, key, "the program");
      values.set(key, parseValue(this.table, key, text, `--${key}`));
    }
    return new Parameters<Own>(values, this.table);
  }

  /** Values that no log and no error may show. */
  get secrets(): string[] {
    const secret = [...this.values].filter(([key, value]) =>
      isSecret(key, this.table) && value !== ""
    );
    return secret.map(([, value]) => String(value));
  }

  /** The value of a parameter. */
  get<K extends KeyOf<Own>>(key: K): ValueOf<Own, K> {
    return this.values.get(key) as ValueOf<Own, K>;
  }
}

/** How records of the job are written. */
export function formatOf(params: Parameters): Format {
  return params.get("format") === "json" ? Format.Json : Format.Text;
}

/** The partitioner by name; auto counts as Kafka's default where nothing says otherwise, as for a log of the job's own. */
export function partitionerNameOf(params: Parameters): PartitionerName {
  const name = params.get("transaction.partitioner");
  return name === "auto" ? "murmur2" : name;
}

/** What processes that share partitions bring when they ask each other; empty = nothing. */
export function clusterTokenOf(params: Parameters): string {
  return params.get("cluster.token") || params.get("http.token");
}

/** A value, and as what it was set, for messages. */
interface Given {
  readonly text: string;
  readonly setAs: string;
}

const OWN_KEY = /^[a-z][a-z0-9]*([.-][a-z0-9]+)+$/;

/** All parameters, with those that a job adds. */
function tableWith(own: ParameterTable): ParameterTable {
  for (const key of Object.keys(own)) {
    if (Object.hasOwn(PARAMETERS, key) || Object.hasOwn(FOREIGN_KEYS, key)) {
      throw new ParameterError(`The job's own parameter ${key} is one of the program already`);
    }
    if (!OWN_KEY.test(key)) {
      throw new ParameterError(
        `The key of a job's own parameter is words with dots between them, such as shop.limit, not ${
          JSON.stringify(shorten(key))
        }`,
      );
    }
  }
  return { ...PARAMETERS, ...own };
}

/** What the user says in each place, the one that counts first: foreign keys as the parameters that they are taken for. */
function givenValues(
  { flags = {}, environment = () => undefined, file }: GivenParameters,
  table: ParameterTable,
): ReadonlyMap<string, Given>[] {
  const variables = [...Object.keys(table), ...Object.keys(FOREIGN_KEYS)].flatMap((key) => {
    const text = environment(environmentName(key));
    return text === undefined ? [] : [[key, text] as const];
  });
  const properties = file ? parseProperties(file.text, file.name) : {};
  return [
    valuesOf(table, Object.entries(flags), (key) => `--${key}`, "the command line"),
    valuesOf(table, variables, (key) => `environment variable ${environmentName(key)}`, ""),
    valuesOf(
      table,
      Object.entries(properties),
      (key) => `${key} in ${file?.name}`,
      file?.name ?? "",
    ),
  ];
}

/** @param where is named when it has a key that does not exist */
function valuesOf(
  table: ParameterTable,
  entries: readonly (readonly [key: string, text: string])[],
  setAsOf: (key: string) => string,
  where: string,
): ReadonlyMap<string, Given> {
  const own = new Map<string, Given>();
  const put = (key: string, given: Given) => {
    const other = own.get(key);
    if (other && other.text !== given.text) {
      throw new ParameterError(`${other.setAs} and ${given.setAs} do not say the same`);
    }
    own.set(key, given);
  };
  for (const [key, text] of entries) {
    const setAs = setAsOf(key);
    if (Object.hasOwn(table, key)) put(key, { text, setAs });
    else if (Object.hasOwn(FOREIGN_KEYS, key)) {
      for (const [name, value] of Object.entries(foreignValues(key, text, setAs))) {
        put(name, { text: value, setAs });
      }
    } else checkKey(table, key, where);
  }
  return own;
}

function foreignValues(key: string, text: string, setAs: string) {
  try {
    return FOREIGN_KEYS[key]!.own(text);
  } catch (error) {
    if (!(error instanceof ForeignValueError)) throw error;
    const found = isForeignSecret(key)
      ? `${text.length} characters that are not shown`
      : JSON.stringify(shorten(text));
    throw new ParameterError(`${setAs} must be ${error.message}, not ${found}`);
  }
}

const PROTOCOL = "kafka.security.protocol";

/** A protocol says whether SASL is used, as kafka.sasl.mechanism does. */
function checkProtocol(
  { flags = {}, environment = () => undefined, file }: GivenParameters,
  values: ReadonlyMap<string, unknown>,
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

function checkKey(table: ParameterTable, key: string, where: string): void {
  if (Object.hasOwn(table, key)) return;
  const replacement = replacementOf(key);
  if (replacement !== null) {
    throw new ParameterError(`${key} in ${where} is not a parameter: ${replacement}`);
  }
  // What is much longer than any key is not one that was mistyped, and would take long to compare.
  const similar = key.length > KEY_CHARACTERS_MAX
    ? []
    : Object.keys(table).filter((known) =>
      known === `kafka.${key}` || distance(known, key) <= Math.max(2, key.length / 4)
    );
  const hint = similar.length > 0 ? `; did you mean ${similar[0]}?` : "; --help lists all keys";
  throw new ParameterError(`Unknown parameter ${showKey(key)} in ${where}${hint}`);
}

function parseValue(table: ParameterTable, key: string, text: string, setAs: string): unknown {
  const { schema, allowed } = table[key]!;
  const parsed = schema.safeParse(text);
  if (parsed.success) return parsed.data;
  const found = isSecret(key, table)
    ? `${text.length} characters that are not shown`
    : JSON.stringify(shorten(text));
  throw new ParameterError(`${setAs} must be ${allowed}, not ${found}`);
}

/** A parameter as it counts, for people; the value of a secret is left out. */
export interface ConfigurationEntry {
  readonly key: string;
  /** As it would be written; null = a secret that is set. */
  readonly value: string | null;
  readonly default: string;
  readonly help: string;
  readonly allowed: string;
}

/** All parameters in the order of --help. */
export function configurationOf(params: Parameters): ConfigurationEntry[] {
  return Object.entries(params.table).map(([key, { default: fallback, help, allowed }]) => {
    const value = params.values.get(key);
    const isHidden = isSecret(key, params.table) && value !== "";
    return { key, value: isHidden ? null : String(value), default: fallback, help, allowed };
  });
}

/** Whether a key's value is a secret. */
export function isSecret(key: string, table: ParameterTable = PARAMETERS): boolean {
  return table[key]?.secret ?? false;
}

/** The longest first: one may be the beginning of another. */
const SECRET_NAMES: readonly string[] = [
  ...PARAMETER_KEYS.filter((key) => isSecret(key)),
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

/** A line per parameter: key, default, what is allowed, meaning; by default those of the program. */
export function parameterHelp(table: ParameterTable = PARAMETERS): string {
  return Object.entries(table).map(([key, { default: fallback, allowed, help }]) => {
    return `  ${`--${key}=${fallback}`.padEnd(42)} ${help} (${allowed})`;
  }).join("\n");
}

/** ms between commits of answers to queries of the topic. */
export function queryCommitIntervalMs(params: Parameters): number {
  return params.get("query.commit.interval.ms") || params.get("commit.interval.ms");
}
