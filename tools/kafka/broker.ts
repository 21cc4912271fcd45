// A real Apache Kafka broker of any version from 2.5 on (one node; KRaft, or ZooKeeper where a version needs it)
// from Maven Central's jars, for development and tests.
// It listens on 127.0.0.1 alone, unless another address is named.

import { archiveFlags } from "./class_archive.ts";
import {
  BrokerError,
  exists,
  javaVersion,
  KAFKA_VERSION,
  libraries,
  needsZooKeeper,
  QUICK_JAVA,
  run,
} from "./libraries.ts";

export { BrokerError } from "./libraries.ts";

/** A few seconds where nothing else runs. */
const START_MS_MAX = 300_000;
const LOOK_MS = 100;
const ZOOKEEPER_HEAP_MB = 128;

export interface BrokerOptions {
  /** Folder of the broker's data; created if need be. */
  readonly folder: string;
  /** Port of the clients. */
  readonly port: number;
  /** Port of the controller; of ZooKeeper for versions that have no controller of their own. */
  readonly controllerPort: number;
  /** Version of Apache Kafka, such as 2.8.2. */
  readonly version?: string;
  /** Lines for server.properties. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Ports of further listeners, by their security protocol, such as SASL_SSL. */
  readonly listeners?: Readonly<Record<string, number>>;
  /** Address of this machine where it listens; by default 127.0.0.1. */
  readonly host?: string;
  /** host:port at which clients are to reach a listener, by its security protocol; by default where it is. */
  readonly advertised?: Readonly<Record<string, string>>;
  /** Users that it knows from its first start on (KRaft). */
  readonly users?: readonly ScramUser[];
  /** Goes on when this process has ended. */
  readonly detached?: boolean;
  readonly heapMb?: number;
  /** It lives for a few minutes: its code is compiled quickly rather than well (see QUICK_JAVA). */
  readonly shortLived?: boolean;
  /** Flags of Java beside those. */
  readonly javaFlags?: readonly string[];
}

export interface ScramUser {
  readonly name: string;
  readonly password: string;
  readonly mechanism: string;
}

export interface Broker {
  /** host:port for clients */
  readonly bootstrap: string;
  readonly pid: number;
  /** The pid of its ZooKeeper; null if it needs none. */
  readonly zooKeeper: number | null;
  readonly folder: string;
}

/** Why no broker can be started here; null if one can. */
export async function whyNoBroker(version = KAFKA_VERSION): Promise<string | null> {
  try {
    await javaVersion();
    await libraries(version);
    return null;
  } catch (error) {
    if (error instanceof BrokerError) return error.message;
    throw error;
  }
}

function hostOf({ host = "127.0.0.1" }: BrokerOptions): string {
  return host;
}

/** Lines of server.properties for a broker that lives for a few minutes: each thread and buffer takes time at its start. */
const SHORT_LIVED = {
  "num.network.threads": "2",
  "num.io.threads": "3",
  "background.threads": "2",
  "log.cleaner.dedupe.buffer.size": "4194304",
};

function serverProperties(options: BrokerOptions): string {
  const { folder, port, controllerPort, properties, listeners = {}, advertised = {} } = options;
  const all = Object.entries({ PLAINTEXT: port, ...listeners })
    .map(([protocol, port]) => [protocol, `${hostOf(options)}:${port}`] as const);
  const addresses = all.map(([protocol, address]) => `${protocol}://${address}`).join(",");
  const seen = all.map(([protocol, address]) => `${protocol}://${advertised[protocol] ?? address}`);
  const zooKeeper = needsZooKeeper(options.version ?? KAFKA_VERSION);
  const lines = {
    ...(zooKeeper
      ? {
        "broker.id": "1",
        "listeners": addresses,
        "zookeeper.connect": `127.0.0.1:${controllerPort}`,
        "zookeeper.session.timeout.ms": "2000",
      }
      : {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": `1@127.0.0.1:${controllerPort}`,
        "listeners": `${addresses},CONTROLLER://127.0.0.1:${controllerPort}`,
        "controller.listener.names": "CONTROLLER",
        // A broker that was killed need not be waited for: the next start is known to the controller soon.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
      }),
    "advertised.listeners": seen.join(","),
    "listener.security.protocol.map":
      "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
    "log.dirs": `${folder}/logs`,
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    // Nobody waits for further members of a new group.
    "group.initial.rebalance.delay.ms": "0",
    ...(options.shortLived ? SHORT_LIVED : {}),
    ...properties,
  };
  return Object.entries(lines).map(([key, value]) => `${key}=${value}\n`).join("");
}

/**
 * Ends of a broker's start that another start mends: one that was killed is known to ZooKeeper until its session there is
 * over; and on a busy machine the session of one that starts may be over before it has registered.
 */
const ENDS_BY_ZOOKEEPER = ["NodeExists", "SessionExpired"];

/** Starts a broker and waits until it answers. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { folder, port, version = KAFKA_VERSION } = options;
  await javaVersion();
  const libs = await libraries(version);
  await Deno.mkdir(folder, { recursive: true });
  const config = `${folder}/server.properties`;
  await Deno.writeTextFile(config, serverProperties(options));
  const zooKeeper = needsZooKeeper(version) ? await startZooKeeper(options, libs) : null;
  if (!zooKeeper && !await exists(`${folder}/logs/meta.properties`)) {
    await format(libs, config, options);
  }
  const archived = options.shortLived ? await archiveFlags(libs) : [];
  const java = {
    ...options,
    libs,
    program: ["kafka.Kafka", config],
    log: `${folder}/broker.log`,
    javaFlags: options.javaFlags ?? archived,
  };
  const from = performance.now();
  let broker = startJava(java);
  while (!await answers(hostOf(options), port)) {
    const isLate = performance.now() - from > START_MS_MAX;
    if (broker.hasEnded || isLate) {
      if (!broker.hasEnded) broker.child.kill("SIGKILL");
      const text = await Deno.readTextFile(java.log).catch(() => "");
      if (isLate || !zooKeeper || !ENDS_BY_ZOOKEEPER.some((name) => text.includes(name))) {
        throw new BrokerError(`The broker did not start: ${text.slice(-2000)}`);
      }
      broker = startJava(java);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  broker.child.unref();
  return { bootstrap: `${hostOf(options)}:${port}`, pid: broker.child.pid, zooKeeper, folder };
}

/** Prepares the folder of a broker that keeps its metadata itself (KRaft). */
async function format(
  libs: string,
  config: string,
  { folder, users = [], shortLived = false }: BrokerOptions,
): Promise<void> {
  const id = crypto.getRandomValues(new Uint8Array(16)).toBase64({ alphabet: "base64url" })
    .replaceAll("=", "").replace(/^-/, "A");
  // Without users, what a version writes there is always the same but for the ids: its tool, a start of Java, runs once.
  const kept = shortLived && users.length === 0 ? `${libs}/../bootstrap.checkpoint` : null;
  const written = `${folder}/logs/bootstrap.checkpoint`;
  if (kept && await exists(kept)) {
    await Deno.mkdir(`${folder}/logs`, { recursive: true });
    await Deno.copyFile(kept, written);
    const meta = `version=1\ncluster.id=${id}\nnode.id=1\n`;
    return await Deno.writeTextFile(`${folder}/logs/meta.properties`, meta);
  }
  const tool = ["-cp", `${libs}/*`, "kafka.tools.StorageTool"];
  const scram = users.flatMap(({ name, password, mechanism }) => [
    "--add-scram",
    `${mechanism}=[name=${name},password=${password}]`,
  ]);
  const flags = [...QUICK_JAVA, ...await archiveFlags(libs)];
  await run("java", [...flags, ...tool, "format", "-t", id, "-c", config, ...scram]);
  if (!kept) return;
  await Deno.copyFile(written, `${kept}-${id}`);
  await Deno.rename(`${kept}-${id}`, kept);
}

/** Starts ZooKeeper, unless that of the broker's life before still runs; answers its pid. */
async function startZooKeeper(options: BrokerOptions, libs: string): Promise<number> {
  const { folder, controllerPort: port } = options;
  const pidFile = `${folder}/zookeeper.pid`;
  if (await exists(pidFile)) return Number(await Deno.readTextFile(pidFile));
  const config = `${folder}/zookeeper.properties`;
  await Deno.writeTextFile(
    config,
    `dataDir=${folder}/zookeeper\nclientPort=${port}\nclientPortAddress=127.0.0.1\n` +
      "admin.enableServer=false\ntickTime=500\n",
  );
  const program = ["org.apache.zookeeper.server.quorum.QuorumPeerMain", config];
  const log = `${folder}/zookeeper.log`;
  const { child } = startJava({ ...options, libs, program, log, heapMb: ZOOKEEPER_HEAP_MB });
  await Deno.writeTextFile(pidFile, String(child.pid));
  child.unref();
  return child.pid;
}

interface Java extends Pick<BrokerOptions, "heapMb" | "detached" | "shortLived" | "javaFlags"> {
  readonly libs: string;
  /** Main class and its arguments. */
  readonly program: readonly string[];
  /** File that its output is appended to. */
  readonly log: string;
}

function startJava(
  { libs, program, log, heapMb = 512, detached = false, shortLived = false, javaFlags = [] }: Java,
): { readonly child: Deno.ChildProcess; readonly hasEnded: boolean } {
  const java = [
    "java",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    `-Xms${heapMb}m`,
    `-Xmx${heapMb}m`,
    ...(shortLived ? QUICK_JAVA : ["-XX:+UseG1GC"]),
    ...javaFlags.map((flag) => `'${flag}'`),
    "-cp",
    `'${libs}/*'`,
    ...program.map((part) => `'${part}'`),
  ];
  // A shell that is replaced by Java keeps the pid and writes the output to a file.
  const child = new Deno.Command("sh", {
    args: ["-c", `exec ${java.join(" ")} >> '${log}' 2>&1`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    detached,
  }).spawn();
  const started = { child, hasEnded: false };
  void child.status.then(() => started.hasEnded = true);
  return started;
}

/** Whether a broker answers a request for its versions: the port alone is open earlier. */
async function answers(hostname: string, port: number): Promise<boolean> {
  try {
    using connection = await Deno.connect({ hostname, port });
    // ApiVersions v0 without client id, correlation id 1.
    await connection.write(new Uint8Array([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255]));
    const answer = new Uint8Array(16);
    return (await connection.read(answer) ?? 0) > 0;
  } catch {
    return false;
  }
}
