// A real Apache Kafka broker (one node, KRaft) from Maven Central's jars, for development and tests.
// It listens on 127.0.0.1 alone.

const KAFKA_VERSION = "4.1.0";
const ARTIFACTS = [
  ["org.apache.kafka", "kafka_2.13", KAFKA_VERSION],
  ["org.apache.kafka", "kafka-tools", KAFKA_VERSION],
  ["org.slf4j", "slf4j-simple", "1.7.36"],
] as const;
const COPY_DEPENDENCIES =
  "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
const START_MS_MAX = 60_000;

/** Java or Maven is not there, or cannot fetch; says how to get it. */
export class BrokerError extends Error {
  override readonly name = "BrokerError";
}

export interface BrokerOptions {
  /** Folder of the broker's data; created if need be. */
  readonly folder: string;
  /** Port of the clients. */
  readonly port: number;
  /** Port of the controller. */
  readonly controllerPort: number;
  /** Lines for server.properties. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Ports of further listeners, by their security protocol, such as SASL_SSL. */
  readonly listeners?: Readonly<Record<string, number>>;
  /** host:port at which clients are to reach a listener, by its security protocol; by default where it is. */
  readonly advertised?: Readonly<Record<string, string>>;
  /** Goes on when this process has ended. */
  readonly detached?: boolean;
  readonly heapMb?: number;
}

export interface Broker {
  /** host:port for clients */
  readonly bootstrap: string;
  readonly pid: number;
  readonly folder: string;
}

const HOW_TO_GET: Record<string, string> = {
  java: "a Java runtime of version 17 or later (Debian: apt-get install openjdk-17-jre-headless)",
  mvn: "Maven, which fetches the broker's jars (Debian: apt-get install maven)",
};

async function run(command: string, args: readonly string[], cwd?: string): Promise<string> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(command, { args: [...args], ...(cwd ? { cwd } : {}) }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new BrokerError(`${command} is not installed; Apache Kafka needs ${HOW_TO_GET[command]}`);
  }
  const text = new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
  if (!output.success) throw new BrokerError(`${command} failed: ${text.trim().slice(-2000)}`);
  return text;
}

/** Why no broker can be started here; null if one can. */
export async function whyNoBroker(): Promise<string | null> {
  try {
    await run("java", ["-version"]);
    await libraries();
    return null;
  } catch (error) {
    if (error instanceof BrokerError) return error.message;
    throw error;
  }
}

function cacheFolder(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "."}/.cache`;
  return `${cache}/stockflow/kafka-${KAFKA_VERSION}`;
}

/** The folder of the broker's jars, which are fetched the first time. */
export async function libraries(): Promise<string> {
  const folder = cacheFolder();
  const libraries = `${folder}/libs`;
  if (await exists(`${libraries}/complete`)) return libraries;
  // Built beside its place, so that one who was stopped leaves nothing that looks complete.
  await Deno.mkdir(folder, { recursive: true });
  const work = await Deno.makeTempDir({ dir: folder });
  try {
    await Deno.writeTextFile(`${work}/pom.xml`, pom());
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

function pom(): string {
  const dependencies = ARTIFACTS.map(([group, artifact, version]) =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId>` +
    `<version>${version}</version></dependency>`
  );
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>stockflow</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${dependencies.join("\n")}</dependencies></project>\n`;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

function serverProperties(options: BrokerOptions): string {
  const { folder, port, controllerPort, properties, listeners = {}, advertised = {} } = options;
  const all = Object.entries({ PLAINTEXT: port, ...listeners })
    .map(([protocol, port]) => [protocol, `127.0.0.1:${port}`] as const);
  const addresses = all.map(([protocol, address]) => `${protocol}://${address}`).join(",");
  const seen = all.map(([protocol, address]) => `${protocol}://${advertised[protocol] ?? address}`);
  const lines = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": `1@127.0.0.1:${controllerPort}`,
    "listeners": `${addresses},CONTROLLER://127.0.0.1:${controllerPort}`,
    "advertised.listeners": seen.join(","),
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map":
      "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
    "log.dirs": `${folder}/logs`,
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    // A broker that was killed need not be waited for: the next start is known to the controller soon.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    // Nobody waits for further members of a new group.
    "group.initial.rebalance.delay.ms": "0",
    ...properties,
  };
  return Object.entries(lines).map(([key, value]) => `${key}=${value}\n`).join("");
}

/** Starts a broker and waits until it answers. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  await run("java", ["-version"]);
  const libs = await libraries();
  const { folder, port } = options;
  await Deno.mkdir(folder, { recursive: true });
  const config = `${folder}/server.properties`;
  await Deno.writeTextFile(config, serverProperties(options));
  if (!await exists(`${folder}/logs/meta.properties`)) {
    const id = crypto.getRandomValues(new Uint8Array(16)).toBase64({ alphabet: "base64url" })
      .replaceAll("=", "").replace(/^-/, "A");
    await run("java", [
      "-cp",
      `${libs}/*`,
      "kafka.tools.StorageTool",
      "format",
      "-t",
      id,
      "-c",
      config,
    ]);
  }
  const heap = `${options.heapMb ?? 512}m`;
  const java = [
    "java",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    `-Xms${heap}`,
    `-Xmx${heap}`,
    "-XX:+UseG1GC",
    "-cp",
    `'${libs}/*'`,
  ];
  const log = `${folder}/broker.log`;
  // A shell that is replaced by Java keeps the pid and writes the output to a file.
  const child = new Deno.Command("sh", {
    args: ["-c", `exec ${java.join(" ")} kafka.Kafka '${config}' >> '${log}' 2>&1`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    detached: options.detached ?? false,
  }).spawn();
  let ended = false;
  void child.status.then(() => ended = true);
  const from = performance.now();
  while (!await answers(port)) {
    if (ended || performance.now() - from > START_MS_MAX) {
      if (!ended) child.kill("SIGKILL");
      const text = await Deno.readTextFile(log).catch(() => "");
      throw new BrokerError(`The broker did not start: ${text.slice(-2000)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  child.unref();
  return { bootstrap: `127.0.0.1:${port}`, pid: child.pid, folder };
}

/** Whether a broker answers a request for its versions: the port alone is open earlier. */
async function answers(port: number): Promise<boolean> {
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    // ApiVersions v0 without client id, correlation id 1.
    await connection.write(new Uint8Array([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255]));
    const answer = new Uint8Array(16);
    return (await connection.read(answer) ?? 0) > 0;
  } catch {
    return false;
  }
}
