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

const SUITES: readonly Suite[] = [
  { name: "format", args: ["fmt", "--check"], kind: "check", quick: true },
  { name: "lint", args: ["lint"], kind: "check", quick: true },
  {
    name: "types",
    args: ["check", "src", "test", "bench", "tools"],
    kind: "check",
    quick: true,
  },
  // Apart, because AssemblyScript's own types name things that contract.ts names too.
  { name: "types of wasm/build.ts", args: ["check", "wasm/build.ts"], kind: "check", quick: true },
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

async function run(suite: Suite): Promise<Counts> {
  console.log(`\n== ${suite.name}: deno ${suite.args.join(" ")}`);
  const report = suite.kind === "tests" ? await Deno.makeTempFile({ suffix: ".xml" }) : null;
  const [command, ...rest] = suite.args;
  const child = new Deno.Command(Deno.execPath(), {
    args: report ? [command!, `--junit-path=${report}`, ...rest] : [...suite.args],
    stdin: "null",
  }).spawn();
  const { success } = await child.status;
  if (!report) return { passed: success ? 1 : 0, failed: success ? 0 : 1, skipped: 0 };
  const counts = readReport(await Deno.readTextFile(report));
  await Deno.remove(report);
  // A suite that broke before its first test, or lost one on its way.
  if (!success && counts.failed === 0) counts.failed = 1;
  if (counts.passed + counts.failed + counts.skipped === 0) counts.failed = 1;
  return counts;
}

/** Counts of a JUnit report; steps within tests are not counted. */
function readReport(xml: string): Counts {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [testcase] of xml.matchAll(/<testcase\b[^>]*?(?:\/>|>[\s\S]*?<\/testcase>)/g)) {
    if (testcase.includes("<skipped")) counts.skipped++;
    else if (testcase.includes("<failure") || testcase.includes("<error")) counts.failed++;
    else counts.passed++;
  }
  return counts;
}

const quickOnly = Deno.args.includes("--check");
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
const lines: string[] = [];
for (const suite of SUITES.filter((s) => s.quick || !quickOnly)) {
  const from = performance.now();
  const counts = await run(suite);
  for (const key of ["passed", "failed", "skipped"] as const) total[key] += counts[key];
  const seconds = ((performance.now() - from) / 1000).toFixed(0);
  lines.push(
    `${
      counts.failed > 0 ? "FAILED" : "ok"
    }  ${suite.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped (${seconds} s)`,
  );
}
console.log(`\n${lines.join("\n")}`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
// What CI cannot run is a failure there: nothing may be skipped in silence.
const skippedInCi = Deno.env.get("CI") !== undefined && total.skipped > 0;
Deno.exit(total.failed > 0 || skippedInCi ? 1 : 0);
