import { assert, assertEquals, assertThrows } from "@std/assert";
import { configure, getLogger, type LogRecord, reset } from "@logtape/logtape";
import { formatJsonLine, formatTerminalLine, redact } from "../../src/engine/logging.ts";
import { PARAMETER_KEYS, ParameterError, Parameters } from "../../src/parameters/mod.ts";
import { isSecret } from "../../src/parameters/parameters.ts";
import { RepeatLimit } from "../../src/engine/repeat_limit.ts";
import { ManualClock } from "./manual_clock.ts";

const INTERVAL_MS = 5000;

interface Fixture {
  readonly clock: ManualClock;
  readonly limit: RepeatLimit;
  readonly records: LogRecord[];
  readonly lines: () => string[];
}

async function withLimit(test: (f: Fixture) => Promise<void>): Promise<void> {
  const clock = new ManualClock();
  const records: LogRecord[] = [];
  const limit = new RepeatLimit((record) => void records.push(record), clock);
  await configure({
    sinks: { limit: (record) => limit.accept(record) },
    loggers: [
      { category: "test", sinks: ["limit"], lowestLevel: "info" },
      { category: ["logtape", "meta"], sinks: [] },
    ],
    // What a test before this one has set up.
    reset: true,
  });
  try {
    await test({ clock, limit, records, lines: () => records.map((r) => r.message.join("")) });
  } finally {
    limit.close();
    await clock.settle();
    await reset();
  }
}

const log = getLogger(["test", "a"]);
const report = (n: number, reason = "why") => log.warn("It failed, {n}: {reason}", { n, reason });

Deno.test("RepeatLimit lets five of a kind pass, and logs how many it held back", () =>
  withLimit(async ({ clock, records, lines }) => {
    for (let n = 0; n < 1000; n++) report(n);
    assertEquals(lines(), [0, 1, 2, 3, 4].map((n) => `It failed, ${n}: why`));
    await clock.advance(INTERVAL_MS);
    assertEquals(lines().slice(5), ["It failed, 999: why (the last of 995 like it)"]);
    assertEquals(records[5]!.properties, { n: 999, reason: "why", repeats: 995 });
    // It goes on: one line for every interval.
    for (let i = 0; i < 3; i++) {
      for (let n = 0; n < 100; n++) report(n);
      await clock.advance(INTERVAL_MS);
    }
    assertEquals(lines().slice(6), Array(3).fill("It failed, 99: why (the last of 100 like it)"));
    // After a quiet interval they pass again.
    await clock.advance(INTERVAL_MS);
    report(7);
    assertEquals(lines().at(-1), "It failed, 7: why");
  }));

Deno.test("RepeatLimit distinguishes kinds by logger, template and reason without its numbers", () =>
  withLimit(({ lines }) => {
    for (let n = 0; n < 10; n++) {
      report(n, `disk ${n} full`);
      report(n, "other");
      log.warn("Another {n}", { n });
      getLogger(["test", "b"]).warn("It failed, {n}: {reason}", { n, reason: "other" });
    }
    assertEquals(lines().length, 20);
    return Promise.resolve();
  }));

Deno.test("RepeatLimit remembers a bounded number of kinds", () =>
  withLimit(({ records }) => {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 3000; i++) report(0, "x".repeat(i));
    }
    // The kinds of the first round were forgotten when they came again.
    assertEquals(records.length, 6000);
    return Promise.resolve();
  }));

Deno.test("RepeatLimit logs what it holds back when it is closed, and then holds back nothing", () =>
  withLimit(async ({ clock, limit, lines }) => {
    for (let n = 0; n < 8; n++) report(n);
    limit.close();
    assertEquals(lines().slice(5), ["It failed, 7: why (the last of 3 like it)"]);
    report(8);
    assertEquals(lines().length, 7);
    await clock.advance(2 * INTERVAL_MS);
    assertEquals(lines().length, 7);
  }));

async function recordOf(tellIt: () => void): Promise<LogRecord> {
  const records: LogRecord[] = [];
  await withLimit(async ({ records: all }) => {
    tellIt();
    records.push(...all);
    await Promise.resolve();
  });
  return records[0]!;
}

Deno.test("a line of JSON keeps its own members, whatever the properties are called", async () => {
  const record = await recordOf(() =>
    log.error("{name}: {message}", {
      name: "Worker 1",
      message: "gone",
      level: 7,
      offset: 2n ** 60n,
    })
  );
  const line = JSON.parse(formatJsonLine(record));
  assertEquals(line.message, "Worker 1: gone");
  assertEquals([line.level, line.logger, line.name], ["error", "test.a", "Worker 1"]);
  assertEquals(line.offset, String(2n ** 60n));
});

Deno.test("a line for the terminal holds no control characters of what it quotes", async () => {
  const record = await recordOf(() => log.warn("Bad {line}", { line: "\x1b[2J\x9b2Jä\ttab" }));
  const line = formatTerminalLine(record);
  assert(line.startsWith("\r\x1b[K"));
  assert(line.includes("Bad \ufffd[2J\ufffd2Jä\ttab\n"), line);
});

Deno.test("secrets are never in a line", async () => {
  const secrets = ['pass"wörd\\', "t0ken"];
  const record = await recordOf(() =>
    log.warn("Refused: {reason}", { reason: `bad t0ken, ${secrets[0]}`, all: secrets })
  );
  for (const line of [formatJsonLine(record), formatTerminalLine(record)]) {
    const redacted = redact(line, secrets);
    assert(line.includes("t0ken") && line.includes("rd\\"));
    assert(!redacted.includes("t0ken") && !redacted.includes("wörd"), redacted);
  }
});

Deno.test("every parameter that is named like a secret is one, and no other", () => {
  for (const key of PARAMETER_KEYS) {
    assertEquals(
      isSecret(key),
      /(^|\.)(token|password|secret|passphrase)(\.former)?$/.test(key),
      key,
    );
  }
  assertEquals(Parameters.of().secrets, []);
});

Deno.test("a name that every object has is not a parameter", () => {
  assertThrows(
    () => Parameters.from({ flags: { constructor: "1" } }),
    ParameterError,
    'Unknown parameter "constructor"',
  );
});
