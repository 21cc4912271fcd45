import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  PARAMETER_KEYS,
  ParameterError,
  parameterHelp,
  PARAMETERS,
  Parameters,
} from "../../src/parameters/mod.ts";

Deno.test("every default is allowed, and help names every key", () => {
  const defaults = Parameters.of();
  const help = parameterHelp();
  for (const key of PARAMETER_KEYS) {
    assert(defaults.get(key) !== undefined, key);
    assertStringIncludes(help, `--${key}=${PARAMETERS[key].default}`);
  }
});

Deno.test("a flag comes before the environment, that before the file, that before the default", () => {
  const file = {
    name: "my.properties",
    text: "http.port=1\nlog.partitions: 2\ncheckpoint.retained 7\n# comment\n",
  };
  const environment = (name: string) => ({ HTTP_PORT: "3", LOG_PARTITIONS: "5" })[name];
  const params = Parameters.from({ file, environment, flags: { "http.port": "4" } });
  assertEquals(params.get("http.port"), 4);
  assertEquals(params.get("log.partitions"), 5);
  assertEquals(params.get("checkpoint.retained"), 7);
  assertEquals(params.get("format"), "text");
});

Deno.test("Java properties syntax: escapes, continued lines, white space", () => {
  const text = "state.kv = \\u0064ata/\\\n   state.kv\n! comment\n  event.time=true\n";
  const params = Parameters.from({ file: { name: "f", text } });
  assertEquals(params.get("state.kv"), "data/state.kv");
  assertEquals(params.get("event.time"), true);
});

Deno.test("an error names key, value, as what it was set and what is allowed", () => {
  const cases: [() => unknown, string][] = [
    [
      () => Parameters.of({ "http.port": "65536" }),
      '--http.port must be an integer from 0 to 65535, not "65536"',
    ],
    [() => Parameters.of({ "http.port": "+5" }), 'not "+5"'],
    [() => Parameters.of({ "http.port": "" }), 'not ""'],
    [() => Parameters.of({ "http.port": "1e3" }), 'not "1e3"'],
    [() => Parameters.of({ "format": "xml" }), '--format must be one of text, json, not "xml"'],
    [() => Parameters.of({ "event.time": "yes" }), '--event.time must be true or false, not "yes"'],
    [() => Parameters.of({ "transaction.failure.rate.min": "1.5" }), "a number from 0 to 1"],
    [
      () => Parameters.of({ "http.host": "0.0.0.0 " }),
      '--http.host must be an address or name of this machine, not "0.0.0.0 "',
    ],
    [
      () => Parameters.of({ "http.advertised.host": "10.0.0.1:9090" }),
      '--http.advertised.host must be an address or name of this machine without a port, or empty, not "10.0.0.1:9090"',
    ],
    [
      () => Parameters.of({ "http.prt": "1" } as never),
      'Unknown parameter "http.prt" in the command line; did you mean http.port?',
    ],
    [
      () => Parameters.of({ "zzz": "1" } as never),
      'Unknown parameter "zzz" in the command line; --help lists all keys',
    ],
    [
      () => Parameters.from({ file: { name: "my.properties", text: "log.partitions=0" } }),
      'log.partitions in my.properties must be an integer from 1 to 64, not "0"',
    ],
    [
      () => Parameters.from({ file: { name: "my.properties", text: "num.itemz=1" } }),
      'Unknown parameter "num.itemz" in my.properties',
    ],
    [
      () =>
        Parameters.from({ environment: (name) => name === "COMMIT_INTERVAL_MS" ? "0" : undefined }),
      'environment variable COMMIT_INTERVAL_MS must be an integer from 1 to 60000, not "0"',
    ],
  ];
  for (const [make, message] of cases) assertThrows(make, ParameterError, message);
});

Deno.test("a line that is meant as a secret is not shown, whatever is wrong with it", () => {
  const secret = "0123456789abcdef";
  const lines = [
    `http.token${secret}`,
    `http.token\u00a0${secret}`, // a blank that does not separate
    `http.token\uff1d${secret}`,
    `HTTP_TOKEN_${secret}`,
    `--http.token-${secret}`,
    `http.token=\\u01${secret.slice(8)}`,
    `http.token=${secret} ${secret}`,
    `kafka.sasl.password${secret}`,
    `kafka.ssl.key.password\u00a0${secret}`,
  ];
  for (const text of lines) {
    const file = { name: "my.properties", text: `http.port=1\n${text}\n` };
    const { message } = assertThrows(() => Parameters.from({ file }), ParameterError);
    assert(!message.includes(secret.slice(8)), message);
    assertStringIncludes(message, "my.properties");
  }
  const escape = { name: "my.properties", text: "http.port=1\nhttp.token=\\u01zz" };
  assertStringIncludes(
    assertThrows(() => Parameters.from({ file: escape }), ParameterError).message,
    "Line 2 of my.properties has \\u without four hexadecimal digits",
  );
});
