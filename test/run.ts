// All checks and tests (suites.ts), two suites at a time, and their sum in the last line.
//
//   deno task check    what needs no server: format, lint, types, the built core, unit tests, doc examples
//   deno task test     all of that, the simulation, and the tests of the real service
//   --suite=TEXT       only the suites whose name contains the text

import { stripVTControlCharacters } from "node:util";
import { commandLine } from "../tools/kit/command_line.ts";
import { whyNoBroker } from "../tools/kafka/broker.ts";
import { buildBundle } from "../tools/kit/bundle.ts";
import { PROGRAM } from "../tools/kit/service.ts";
import type { SharedBroker } from "../tools/kit/test_broker.ts";
import { type Suite, SUITES } from "./suites.ts";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface Report extends Counts {
  /** What failed, and how: repeated at the end, where one looks first. */
  readonly failures: string[];
  /** Seconds of the tests, by file. */
  readonly seconds: ReadonlyMap<string, number>;
}

/** A report with its line for the summary at the end. */
interface Outcome extends Report {
  readonly line: string;
}

/** Of a failure's message and stack, at the end. */
const FAILURE_LINES = 12;

/** Files that take so long are named. */
const SLOW_SECONDS = 10;

/**
 * Suites at one time. Of those whose files wait more than they compute, two files run at a time as well (jobs), so
 * that the processors are busy.
 */
const SIDE_BY_SIDE = Math.min(2, navigator.hardwareConcurrency);

/** Runs a suite; what it says is printed in one piece when it has ended. */
async function run(suite: Suite): Promise<Outcome> {
  const from = performance.now();
  const folder = await Deno.makeTempDir({ prefix: "stockflow-suite-" });
  const said = `${folder}/output`;
  const file = suite.kind === "tests" ? `${folder}/report.xml` : null;
  const [command, ...rest] = suite.args;
  const args = [
    command!,
    ...(file ? [`--junit-path=${file}`] : []),
    ...(suite.jobs ? ["--parallel"] : []),
    ...rest,
  ];
  console.log(`-- ${suite.name}: what it says meanwhile is in ${said}`);
  const shared = suite.broker ? await brokerOfSuite() : null;
  const program = suite.services ? await (bundle ??= bundleOnce()) : null;
  // A shell puts both streams into one file, in the order in which they were written.
  const { code } = await new Deno.Command("sh", {
    args: ["-c", 'exec "$@" > "$0" 2>&1', said, Deno.execPath(), ...args],
    stdin: "null",
    env: {
      ...shared?.env,
      ...(program === null ? {} : { [PROGRAM]: program }),
      ...(suite.jobs ? { DENO_JOBS: String(suite.jobs) } : {}),
    },
  }).output();
  await shared?.remove();
  const text = await Deno.readTextFile(said);
  const report = file
    ? readReport(await Deno.readTextFile(file).catch(() => ""), text)
    : reportOfCheck(suite, code);
  // A suite that broke before its first test, or lost one on its way.
  const none = report.passed + report.failed + report.skipped === 0;
  if (report.failed === 0 && (code !== 0 || none)) {
    report.failed = 1;
    report.failures.push(none ? `${suite.name}: no test ran` : `${suite.name}: exit code ${code}`);
  }
  const seconds = ((performance.now() - from) / 1000).toFixed(0);
  const line = `${report.failed > 0 ? "FAILED" : "ok"}  ${suite.name}: ${countsOf(report)} ` +
    `(${seconds} s)${slowestOf(report)}`;
  console.log(`\n== ${suite.name}: deno ${suite.args.join(" ")}`);
  console.log(text);
  console.log(line);
  await Deno.remove(folder, { recursive: true });
  return { ...report, line };
}

/** A broker for the files of a suite; null if none can be started here: its tests report why. */
async function brokerOfSuite(): Promise<SharedBroker | null> {
  const { shareBroker } = await import("../tools/kit/test_broker.ts");
  return await whyNoBroker() === null ? await shareBroker() : null;
}

/** Of the program, for the suites that start services. */
let bundle: Promise<string | null> | null = null;

/** Null if it cannot be built: services start from the sources then, and the bundle's own tests report why. */
async function bundleOnce(): Promise<string | null> {
  return await buildBundle().catch((error: Error) => {
    console.log(`Services start from the sources: ${error.message}`);
    return null;
  });
}

function reportOfCheck({ name }: Suite, code: number): Report {
  const good = code === 0;
  return {
    passed: good ? 1 : 0,
    failed: good ? 0 : 1,
    skipped: 0,
    failures: good ? [] : [name],
    seconds: new Map(),
  };
}

function countsOf({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** Runs suites side by side, in their order; gives what they gave in the same order. */
async function runAll(suites: readonly Suite[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let next = 0;
  const takeSuites = async () => {
    while (next < suites.length) {
      const i = next++;
      outcomes[i] = await run(suites[i]!);
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, takeSuites));
  return outcomes;
}

/**
 * Counts and failures of a JUnit report; a step within a test is a case of its own there.
 *
 * @param said what the suite printed
 */
function readReport(xml: string, said: string): Report {
  const seconds = secondsByFile(said);
  // Files that run at one time are named in what is printed: the report names the file that calls Deno.test.
  const isNamed = seconds.size > 0;
  const report: Report = { passed: 0, failed: 0, skipped: 0, failures: [], seconds };
  for (const [testcase] of xml.matchAll(/<testcase\b[^>]*?(?:\/>|>[\s\S]*?<\/testcase>)/g)) {
    const file = attributeOf(testcase, "classname");
    if (!isNamed) add(seconds, file, Number(attributeOf(testcase, "time")));
    if (testcase.includes("<skipped")) report.skipped++;
    else if (testcase.includes("<failure") || testcase.includes("<error")) {
      report.failed++;
      report.failures.push(failureOf(testcase));
    } else report.passed++;
  }
  return report;
}

/** What a line such as `./test/kafka/kafka_test.ts => codecs ... ok (1m18s)` says; those below a second count as none. */
function secondsByFile(said: string): Map<string, number> {
  const seconds = new Map<string, number>();
  const lines = /^(\S+_test\.ts) => .*\((?:(\d+)m)?(\d+)s\)$/gm;
  for (const [, file, minutes = "0", rest] of stripVTControlCharacters(said).matchAll(lines)) {
    add(seconds, file!, 60 * Number(minutes) + Number(rest));
  }
  return seconds;
}

function add(seconds: Map<string, number>, file: string, more: number): void {
  seconds.set(file, (seconds.get(file) ?? 0) + more);
}

function attributeOf(testcase: string, name: string): string {
  return new RegExp(` ${name}="([^"]*)"`).exec(testcase)?.[1] ?? "?";
}

/** The files whose tests take longest. */
function slowestOf({ seconds }: Report): string {
  const slow = [...seconds].filter(([, s]) => s >= SLOW_SECONDS).sort(([, a], [, b]) => b - a);
  return slow.map(([file, s]) => `\n    ${s.toFixed(0)} s  ${file}`).join("");
}

/** File, line, name and the beginning of the message of a failed case. */
function failureOf(testcase: string): string {
  const attribute = (name: string) => attributeOf(testcase, name);
  const message = /<(?:failure|error)\b[^>]*>([\s\S]*)<\/(?:failure|error)>/.exec(testcase)?.[1];
  const lines = (message ?? "").trim().split("\n").slice(0, FAILURE_LINES);
  const where = `${attribute("classname")}:${attribute("line")} ${attribute("name")}`;
  return unescapeXml([where, ...lines.map((line) => `    ${line}`)].join("\n"));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
  "&amp;": "&",
};

function unescapeXml(text: string): string {
  return text.replace(/&\w+;/g, (entity) => ENTITIES[entity] ?? entity);
}

const { check: quickOnly, suite: only } = commandLine("test", {
  check: { type: "boolean", default: false },
  suite: { type: "string", default: "" },
});
const chosen = SUITES.filter(({ name, quick }) => (quick || !quickOnly) && name.includes(only));
/** In this order; those of one group side by side. */
const GROUPS: readonly ((suite: Suite) => boolean)[] = [
  ({ first = false }) => first,
  ({ first = false, later = false }) => !first && !later,
  ({ later = false }) => later,
];
const outcomes: Outcome[] = [];
/** Seconds from the start to the end of each group. */
const ends: number[] = [];
for (const isOfGroup of GROUPS) {
  outcomes.push(...await runAll(chosen.filter(isOfGroup)));
  ends.push(Math.round(performance.now() / 1000));
}
const built = await bundle;
if (built !== null) await Deno.remove(built, { recursive: true });
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
for (const outcome of outcomes) {
  for (const key of ["passed", "failed", "skipped"] as const) total[key] += outcome[key];
}
console.log(`\n${outcomes.map(({ line }) => line).join("\n")}`);
const failures = outcomes.flatMap((outcome) => outcome.failures);
if (failures.length > 0) console.log(`\nFailed:\n${failures.join("\n")}`);
const [, eightMinutes = 0, all = 0] = ends;
const later = chosen.some((suite) => suite.later)
  ? `, and ${all - eightMinutes} s of suites with budgets of their own`
  : "";
console.log(`\n${eightMinutes} s${later}`);
console.log(countsOf(total)); // the last line, which CI reads
// What CI cannot run is a failure there: nothing may be skipped in silence.
const skippedInCi = Deno.env.get("CI") !== undefined && total.skipped > 0;
Deno.exit(total.failed > 0 || skippedInCi ? 1 : 0);
