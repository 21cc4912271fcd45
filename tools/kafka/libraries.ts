// The jars of Apache Kafka, of any version, from Maven Central.

/** The version that is started unless another is asked for. */
export const KAFKA_VERSION = "4.1.0";

/**
 * Flags of Java for what ends soon: half of its CPU would be to compile well, to start collectors, and to write figures
 * for who might watch it.
 */
export const QUICK_JAVA: readonly string[] = [
  "-XX:TieredStopAtLevel=1",
  "-XX:+UseSerialGC",
  "-XX:CICompilerCount=1",
  "-XX:-UsePerfData",
];

const COPY_DEPENDENCIES =
  "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/** Java or Maven is not there, or cannot fetch; says how to get it. */
export class BrokerError extends Error {
  override readonly name = "BrokerError";
}

const HOW_TO_GET: Record<string, string> = {
  java: "a Java runtime of version 17 or later (Debian: apt-get install openjdk-17-jre-headless)",
  javac:
    "a Java development kit of version 17 or later (Debian: apt-get install openjdk-17-jdk-headless)",
  perf: "the profiler of Linux (Debian: apt-get install linux-perf)",
  mvn: "Maven, which fetches the jars (Debian: apt-get install maven)",
};

/**
 * Runs a command to its end.
 *
 * @returns what it printed
 * @throws {BrokerError} when it is not installed, or fails
 */
export async function run(
  command: string,
  args: readonly string[],
  cwd?: string,
): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(command, { args: [...args], ...(cwd ? { cwd } : {}) }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new BrokerError(`${command} is not installed; needed is ${HOW_TO_GET[command]}`);
  }
  const text = new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
  if (!output.success) throw new BrokerError(`${command} failed: ${text.trim().slice(-2000)}`);
  return text;
}

let version: Promise<string> | null = null;

/**
 * The version of Java that is installed.
 *
 * @throws {BrokerError} when there is none
 */
export function javaVersion(): Promise<string> {
  return version ??= run("java", ["-version"]).then((said) =>
    /version "([^"]+)"/.exec(said)?.[1] ?? "unknown"
  );
}

export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether a version keeps its metadata in ZooKeeper: KRaft has transactions from 3.3 on. */
export function needsZooKeeper(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major < 3 || major === 3 && minor < 3;
}

/** Where jars are kept from one run to the next, by the name of what they are of. */
export function cacheFolder(name: string): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "."}/.cache`;
  return `${cache}/stockflow/${name}`;
}

/**
 * Where something is kept that is dear to make and depends on nothing of this checkout: STOCKFLOW_CACHE, which may
 * outlive the home, or the cache.
 */
export function keptFolder(name: string): string {
  const kept = Deno.env.get("STOCKFLOW_CACHE");
  return kept ? `${kept}/${name}` : cacheFolder(name);
}

/** The folder of a broker's jars, which are fetched the first time. */
export async function libraries(version: string): Promise<string> {
  const folder = cacheFolder(`kafka-${version}`);
  const libraries = `${folder}/libs`;
  if (await exists(`${libraries}/complete`)) return libraries;
  console.error(`Maven fetches Apache Kafka ${version}, once: 50 MB or more`);
  // Built beside its place, so that one who was stopped leaves nothing that looks complete.
  await Deno.mkdir(folder, { recursive: true });
  const work = await Deno.makeTempDir({ dir: folder });
  try {
    await Deno.writeTextFile(`${work}/pom.xml`, pom(version));
    await run("mvn", ["-q", "-B", COPY_DEPENDENCIES, `-DoutputDirectory=${work}/libs`], work);
    await Deno.writeTextFile(`${work}/libs/complete`, "");
    await Deno.rename(`${work}/libs`, libraries).catch(async (error) => {
      // Another process was faster.
      if (!await exists(`${libraries}/complete`)) throw error;
    });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return libraries;
}

function pom(version: string): string {
  const artifacts = [
    ["org.apache.kafka", "kafka_2.13", version],
    // Before KRaft all of a broker is in the one artifact, its tools beside what it depends on.
    ...(needsZooKeeper(version) ? [] : [["org.apache.kafka", "kafka-tools", version]]),
    ["org.slf4j", "slf4j-simple", "1.7.36"],
  ];
  const dependencies = artifacts.map(([group, artifact, version]) =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId>` +
    `<version>${version}</version></dependency>`
  );
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>stockflow</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${dependencies.join("\n")}</dependencies></project>\n`;
}
