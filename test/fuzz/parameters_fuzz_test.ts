import { assert } from "@std/assert";
import fc from "fast-check";
import {
  FOREIGN_KEYS,
  PARAMETER_KEYS,
  ParameterError,
  PARAMETERS,
  Parameters,
} from "../../src/parameters/mod.ts";
import { seedOfTest, timesOfTest } from "../../tools/kit/random.ts";

const RUNS = timesOfTest(20_000);
/** Nobody reads a longer error. */
const MESSAGE_CHARACTERS_MAX = 1000;

const key = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...PARAMETER_KEYS) },
  { weight: 2, arbitrary: fc.constantFrom(...Object.keys(FOREIGN_KEYS)) },
  { weight: 1, arbitrary: fc.constantFrom("__proto__", "constructor", "toString", "", "a b") },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 30 }) },
  { weight: 1, arbitrary: fc.string({ minLength: 2000, maxLength: 30_000 }) },
);

const value = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...PARAMETER_KEYS.map((k) => PARAMETERS[k].default)) },
  { weight: 3, arbitrary: fc.integer().map(String) },
  {
    weight: 2,
    arbitrary: fc.constantFrom("true", "NaN", "-0", "1e3", "+1", "0x10", "9".repeat(400), "-1", ""),
  },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ minLength: 2000, maxLength: 5000 }) },
);

/** Lines of a properties file, and what stands in files that are not. */
const line = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(key, fc.constantFrom("=", ":", " ", " = "), value).map((parts) =>
      parts.join("")
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "# comment",
      "! comment",
      "\\",
      "a\\",
      "\\u12",
      "\\uzzzz",
      "=",
      "\0",
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
);

/** Of keys that do not exist, of those of others, and of files that hold no properties. */
const OTHER_ERRORS = [
  /^Unknown parameter ".*"( \(what follows is not shown\))? in (the file|the command line); (did you mean|--help)/s,
  /^(--)?kafka\.[a-z.-]+( in the file)? must be .*, not /s,
  / do not say the same$/,
  /^kafka\.security\.protocol=\s*\w+\s* (needs|does not go with) kafka\.sasl\.mechanism/i,
  /^Line \d+ of the file has \\u without four hexadecimal digits behind it$/,
  /^the file is not a properties file$/,
];

/** Fails unless the error says which value is wrong, and what is allowed. */
function assertTells(error: unknown, secret: string | null): void {
  assert(error instanceof ParameterError, String((error as Error).stack));
  const { message } = error;
  assert(message.length <= MESSAGE_CHARACTERS_MAX, `${message.length} characters`);
  assert(secret === null || !message.includes(secret), message);
  const wrong = Object.entries(PARAMETERS).some(([name, { allowed }]) => {
    const variable = name.replaceAll(".", "_").toUpperCase();
    const named = message.startsWith(`--${name} `) || message.startsWith(`${name} in the file `) ||
      message.startsWith(`environment variable ${variable} `);
    return named && message.includes(`must be ${allowed}, not `);
  });
  assert(wrong || OTHER_ERRORS.some((pattern) => pattern.test(message)), message);
}

Deno.test("any properties file, flags and environment give parameters, or one error that says what is wrong", () => {
  const seed = seedOfTest() | 0;
  console.log(`${RUNS} cases, seed ${seed}`);
  const sources = fc.record({
    lines: fc.array(line, { maxLength: 6 }),
    newline: fc.constantFrom("\n", "\r\n", "\r"),
    flags: fc.array(fc.tuple(key, value), { maxLength: 2 }),
    environment: fc.option(value),
  });
  let read = 0;
  fc.assert(
    fc.property(sources, ({ lines, newline, flags, environment }) => {
      let parameters: Parameters | null = null;
      try {
        parameters = Parameters.from({
          file: { name: "the file", text: lines.join(newline) },
          flags: Object.fromEntries(flags),
          environment: (name) => name === "HTTP_PORT" ? environment ?? undefined : undefined,
        });
      } catch (error) {
        assertTells(error, null);
      }
      if (!parameters) return;
      read++;
      for (const k of PARAMETER_KEYS) assert(parameters.get(k) !== undefined, k);
    }),
    { seed, numRuns: RUNS },
  );
  assert(read > RUNS / 100, `${read} were read`);
});

Deno.test("no error shows a secret, whatever is wrong with it", () => {
  const secrets = PARAMETER_KEYS.filter((k) => "secret" in PARAMETERS[k]);
  assert(secrets.length > 0);
  const text = fc.string({ unit: "binary", minLength: 12, maxLength: 60 });
  fc.assert(
    fc.property(fc.constantFrom(...secrets), text, (k, secret) => {
      try {
        Parameters.of({ [k]: secret });
      } catch (error) {
        assertTells(error, secret);
      }
    }),
    { seed: seedOfTest() | 0 },
  );
});
