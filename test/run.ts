// All checks and tests, one suite after the other, and their sum in the last line.
//
//   deno task check    what needs no server: format, lint, types, the built core, unit tests, doc examples
//   deno task test     all of that, the simulation, and the tests of the real service

interface Suite {
  readonly name: string;
  readonly args: readonly string[];
  /** Tests are counted one by one; a check is one. */
  readonly kind: "check" | "tests";
  /** Part of `deno task check`. */
  readonly quick: boolean;
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface Report extends Counts {
  /** What failed, and how: told again at the end, where one looks first. */
  readonly failures: string[];
}

/** Of a failure's message and stack, at the end. */
const FAILURE_LINES = 12;

const SUITES: readonly Suite[] = [
  { name: "format", args: ["fmt", "--check"], kind: "check", quick: true },
  { name: "lint", args: ["lint"], kind: "check", quick: true },
  {
    name: "types",
    args: ["check", "src", "test", "bench", "tools", "wasm/build.ts"],
    kind: "check",
    quick: true,
  },
  {
    name: "the built core is that of wasm/, whose sources are formatted",
    args: ["run", "--allow-read", "--allow-run", "--allow-env", "wasm/build.ts", "--check"],
    kind: "check",
    quick: true,
  },
  // No flag and no permission: what a newcomer types first.
  { name: "unit tests", args: ["test"], kind: "tests", quick: true },
  {
    name: "doc examples",
    args: ["test", "--doc", "src", "docs/testing.md"],
    kind: "tests",
    quick: true,
  },
  { name: "repository", args: ["test", "--allow-read", "test/repo"], kind: "tests", quick: true },
  {
    name: "simulation",
    args: ["test", "--ignore=test/sim/kafka", "test/sim"],
    kind: "tests",
    quick: false,
  },
  // kafkajs reads the environment when it is loaded.
  {
    name: "simulation of Kafka",
    args: ["test", "--allow-env", "test/sim/kafka"],
    kind: "tests",
    quick: false,
  },
  { name: "fuzz", args: ["test", "test/fuzz"], kind: "tests", quick: false },
  {
    name: "the real service",
    args: ["test", "--allow-all", "test/system"],
    kind: "tests",
    quick: false,
  },
  // They start a broker of their own; without Java or Maven they are skipped, with the reason.
  {
    name: "Apache Kafka",
    args: ["test", "--allow-all", "test/kafka"],
    kind: "tests",
    quick: false,
  },
  {
    name: "real faults",
    args: ["test", "--allow-all", "test/faults"],
    kind: "tests",
    quick: false,
  },
];

async function run(suite: Suite): Promise<Report> {
  console.log(`\n== ${suite.name}: deno ${suite.args.join(" ")}`);
  const file = suite.kind === "tests" ? await Deno.makeTempFile({ suffix: ".xml" }) : null;
  const [command, ...rest] = suite.args;
  const child = new Deno.Command(Deno.execPath(), {
    args: file ? [command!, `--junit-path=${file}`, ...rest] : [...suite.args],
    stdin: "null",
  }).spawn();
  const { success, code } = await child.status;
  if (!file) {
    const failures = success ? [] : [suite.name];
    return { passed: success ? 1 : 0, failed: success ? 0 : 1, skipped: 0, failures };
  }
  const report = readReport(await Deno.readTextFile(file));
  await Deno.remove(file);
  // A suite that broke before its first test, or lost one on its way.
  const none = report.passed + report.failed + report.skipped === 0;
  if (report.failed === 0 && (!success || none)) {
    report.failed = 1;
    report.failures.push(none ? `${suite.name}: no test ran` : `${suite.name}: exit code ${code}`);
  }
  return report;
}

/** Counts and failures of a JUnit report; a step within a test is a case of its own there. */
function readReport(xml: string): Report {
  const report: Report = { passed: 0, failed: 0, skipped: 0, failures: [] };
  for (const [testcase] of xml.matchAll(/<testcase\b[^>]*?(?:\/>|>[\s\S]*?<\/testcase>)/g)) {
    if (testcase.includes("<skipped")) report.skipped++;
    else if (testcase.includes("<failure") || testcase.includes("<error")) {
      report.failed++;
      report.failures.push(failureOf(testcase));
    } else report.passed++;
  }
  return report;
}

/** File, line, name and the beginning of the message of a failed case. */
function failureOf(testcase: string): string {
  const attribute = (name: string) => new RegExp(` ${name}="([^"]*)"`).exec(testcase)?.[1] ?? "?";
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

const quickOnly = Deno.args.includes("--check");
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const lines: string[] = [];
const failures: string[] = [];
for (const suite of SUITES.filter((s) => s.quick || !quickOnly)) {
  const from = performance.now();
  const counts = await run(suite);
  failures.push(...counts.failures);
  for (const key of ["passed", "failed", "skipped"] as const) total[key] += counts[key];
  const seconds = ((performance.now() - from) / 1000).toFixed(0);
  lines.push(
    `${
      counts.failed > 0 ? "FAILED" : "ok"
    }  ${suite.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped (${seconds} s)`,
  );
}
console.log(`\n${lines.join("\n")}`);
if (failures.length > 0) console.log(`\nFailed:\n${failures.join("\n")}`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
// What CI cannot run is a failure there: nothing may be skipped in silence.
const skippedInCi = Deno.env.get("CI") !== undefined && total.skipped > 0;
Deno.exit(total.failed > 0 || skippedInCi ? 1 : 0);
