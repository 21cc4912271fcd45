// What `deno task check` and `deno task test` run: one row for each suite.

export interface Suite {
  readonly name: string;
  /** Arguments of deno. */
  readonly args: readonly string[];
  /** Tests are counted one by one; a check is one. */
  readonly kind: "check" | "tests";
  /** Files that run at one time, in an order of Deno's; one after the other by default. */
  readonly jobs?: number;
  /** Its files share a plain broker of Apache Kafka, which is removed behind it. */
  readonly broker?: true;
  /** Its tests start services: from a bundle of the program, which is built once. */
  readonly services?: true;
  /** Part of `deno task check`. */
  readonly quick?: true;
  /** Runs before all others, for those profit by it: it fills caches. */
  readonly first?: true;
  /** Came when the eight minutes of `deno task test` were spent: runs behind all others, with a budget of its own. */
  readonly later?: true;
}

/** Files of test/kafka for what brokers, topics and other members do that should not happen, and is to be survived. */
const KAFKA_AS_IT_IS: readonly string[] = [
  "another_cluster",
  "created_anew",
  "cut_log",
  "members",
  "offline",
  "old_broker",
  "outputs",
  "partitioner",
  "quotas",
  "reassign",
  "refusals",
  "reset_offsets",
  "security_files",
  "unclean_leader",
  "waits",
  "withdrawn_rights",
].map((name) => `test/kafka/${name}_test.ts`);

/** Further files of test/kafka for what came later: feeds and sinks, what is deployed, partitions that move. */
const KAFKA_LATER: readonly string[] = [
  "assign",
  "bundle",
  "console",
  "feeds",
  "kept_state",
  "messages",
  "processes",
  "sinks",
].map((name) => `test/kafka/${name}_test.ts`);

/** Tests of the real service for what came later: safe retries, metrics and traces, jobs of one's own, operations. */
const SERVICE_LATER: readonly string[] = [
  "alerts",
  "bundle",
  "grafana",
  "kafka_start",
  "operations",
  "own_job",
  "peer",
  "retries_kill",
  "state_list",
  "tracing",
].map((name) => `test/system/${name}_test.ts`);

const FAULTS_LATER: readonly string[] = ["test/faults/retries_kill_test.ts"];

/** The simulation of processes that share partitions. */
const SIMULATION_LATER: readonly string[] = ["membership", "planted", "shared_division"]
  .map((name) => `test/sim/kafka/${name}_test.ts`);

/** All other files of a folder are run: a new one is never left out. */
function ignore(...files: readonly string[]): string {
  return `--ignore=${files.join(",")}`;
}

/** In the order in which they begin; the longest first, so that none is left over at the end. */
export const SUITES: readonly Suite[] = [
  {
    name: "types",
    args: ["check", "src", "test", "bench", "tools", "wasm/build.ts"],
    kind: "check",
    quick: true,
    first: true,
  },
  // Those that stop a broker start one of their own; without Java or Maven they are skipped, with the reason.
  {
    name: "Apache Kafka",
    args: [
      "test",
      "--no-check",
      "--allow-all",
      ignore("test/kafka/unit", "test/kafka/peers_test.ts", ...KAFKA_AS_IT_IS, ...KAFKA_LATER),
      "test/kafka",
    ],
    kind: "tests",
    // Three at a time save a minute and a half on two cores, and starve brokers until their sessions end.
    jobs: 2,
    broker: true,
    services: true,
  },
  // No flag and no permission: what a newcomer types first.
  { name: "unit tests", args: ["test", "--no-check"], kind: "tests", quick: true },
  { name: "format", args: ["fmt", "--check"], kind: "check", quick: true },
  { name: "lint", args: ["lint"], kind: "check", quick: true },
  {
    name: "the built core is that of wasm/, whose sources are formatted",
    args: ["run", "--allow-read", "--allow-run", "--allow-env", "wasm/build.ts", "--check"],
    kind: "check",
    quick: true,
  },
  {
    name: "the built page is that of src/dashboard, whose sources are formatted, linted and typed",
    args: ["run", "--allow-all", "src/dashboard/build.ts", "--check"],
    kind: "check",
    quick: true,
  },
  {
    name: "bundler: format, lint and types",
    args: ["run", "--allow-all", "tools/bundle/build.ts", "--check"],
    kind: "check",
    quick: true,
  },
  {
    name: "browser tests: format, lint and types",
    args: ["run", "--allow-all", "test/browser/check.ts"],
    kind: "check",
    quick: true,
  },
  {
    name: "Apache Kafka: topics, brokers and members as they are; feeds, sinks and deployments",
    args: ["test", "--no-check", "--allow-all", ...KAFKA_AS_IT_IS, ...KAFKA_LATER],
    kind: "tests",
    jobs: 2,
    broker: true,
    services: true,
    later: true,
  },
  // Three processes and more: one file after the other.
  {
    name: "processes that share partitions",
    args: ["test", "--no-check", "--allow-all", "test/cluster"],
    kind: "tests",
    broker: true,
    services: true,
    later: true,
  },
  {
    name: "the real service: safe retries, metrics, traces, operations",
    args: ["test", "--no-check", "--allow-all", ...FAULTS_LATER, ...SERVICE_LATER],
    kind: "tests",
    jobs: 2,
    services: true,
    later: true,
  },
  {
    name: "simulation of processes that share partitions",
    args: ["test", "--no-check", "--allow-env", ...SIMULATION_LATER],
    kind: "tests",
    later: true,
  },
  {
    name: "the page in a browser",
    args: ["test", "--no-check", "--allow-all", "--config=test/browser/deno.json", "test/browser"],
    kind: "tests",
    later: true,
  },
  {
    name: "peers: Apache Flink and Kafka Streams",
    args: ["test", "--no-check", "--allow-all", "test/kafka/peers_test.ts"],
    kind: "tests",
    broker: true,
    later: true,
  },
  {
    name: "doc examples",
    args: ["test", "--doc", "src", "docs/testing.md", "docs/jobs.md"],
    kind: "tests",
    quick: true,
  },
  {
    name: "repository",
    args: ["test", "--no-check", "--allow-read", "test/repo"],
    kind: "tests",
    quick: true,
  },
  // Without python3 and its venv they are skipped, with the reason.
  {
    name: "files for Docker and Kubernetes",
    args: ["test", "--no-check", "--allow-all", "test/deploy"],
    kind: "tests",
    later: true,
  },
  // Without root, buildah or mmdebstrap it is skipped, with the reason. The first time it makes a base: a minute.
  {
    name: "the image",
    args: ["test", "--no-check", "--allow-all", "test/image"],
    kind: "tests",
    later: true,
  },
  {
    name: "real faults",
    args: ["test", "--no-check", "--allow-all", ignore(...FAULTS_LATER), "test/faults"],
    kind: "tests",
    jobs: 2,
    services: true,
  },
  {
    name: "the real service",
    args: ["test", "--no-check", "--allow-all", ignore(...SERVICE_LATER), "test/system"],
    kind: "tests",
    jobs: 2,
    services: true,
  },
  {
    name: "simulation",
    args: ["test", "--no-check", "--ignore=test/sim/kafka", "test/sim"],
    kind: "tests",
  },
  {
    name: "crashes at every write, damage, checkpoints and floods, four times the cases",
    args: ["test", "--no-check", "test/more_cases.ts", "--", "--times=4"],
    kind: "tests",
  },
  { name: "fuzz", args: ["test", "--no-check", "test/fuzz"], kind: "tests" },
  {
    name: "the core against the model, 48 times the cases",
    args: ["test", "--no-check", "test/wasm/model_test.ts", "--", "--times=48"],
    kind: "tests",
  },
  // kafkajs reads the environment when it is loaded.
  {
    name: "simulation of Kafka",
    args: ["test", "--no-check", "--allow-env", ignore(...SIMULATION_LATER), "test/sim/kafka"],
    kind: "tests",
  },
];
