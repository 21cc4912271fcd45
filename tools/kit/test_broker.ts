// A broker of its own for a test: on free ports, in a temporary folder.

import { type Broker, type BrokerOptions, startBroker, whyNoBroker } from "../kafka/broker.ts";
import { archiveClasses } from "../kafka/class_archive.ts";
import { KAFKA_VERSION, libraries } from "../kafka/libraries.ts";
import { stopBroker, whenEnded } from "../kafka/running.ts";
import { createTopicsAt } from "../../src/kafka/mod.ts";

export interface TestBroker extends Broker {
  /** host:port of a further listener, by its security protocol. */
  addressOf(protocol: string): string;
  createTopics(
    topics: readonly string[],
    partitions: number,
    configs?: Record<string, string>,
    replicas?: number,
  ): Promise<void>;
  /** Starts a further broker of the same cluster (KRaft), node 2 or more; it has to be removed before this one. */
  startSecond(node?: number): Promise<SecondBroker>;
  /** kill -9, and waits for its end. */
  kill(): Promise<void>;
  /** SIGTERM, and waits for its end. */
  stop(): Promise<void>;
  /** Starts it again where it was. */
  restart(): Promise<void>;
  /** Ends it and removes its data. */
  remove(): Promise<void>;
}

/** A broker without a controller of its own. */
export interface SecondBroker {
  kill(): Promise<void>;
  restart(): Promise<void>;
  remove(): Promise<void>;
}

/**
 * A free port below those that the system gives to clients: one who tries to reach a broker that is down
 * at such a port may be connected to himself.
 */
export function freePort(): number {
  while (true) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/**
 * Starts a broker.
 *
 * @param properties lines for server.properties
 * @param protocols of further listeners, such as SASL_SSL
 * @param more version of Apache Kafka, such as 2.8.2; host:port at which clients are to reach a listener; users; false
 *   for shortLived, where its speed is looked at
 */
export async function startTestBroker(
  properties: Readonly<Record<string, string>> = {},
  protocols: readonly string[] = [],
  more: Pick<
    BrokerOptions,
    "advertised" | "host" | "version" | "users" | "shortLived" | "javaFlags"
  > = {},
): Promise<TestBroker> {
  const listeners = Object.fromEntries(protocols.map((protocol) => [protocol, freePort()]));
  const folder = await Deno.makeTempDir({ prefix: "stockflow-kafka-" });
  const options = {
    folder,
    port: freePort(),
    controllerPort: freePort(),
    // Records of tests have timestamps of long ago: after half a minute the broker would remove them.
    properties: { "log.retention.ms": "-1", ...properties },
    listeners,
    shortLived: true,
    ...more,
  };
  let broker = await startBroker(options).catch(async (error) => {
    await Deno.remove(folder, { recursive: true });
    throw error;
  });
  const kill = (signal: Deno.Signal) => end(broker.pid, signal);
  return {
    bootstrap: broker.bootstrap,
    folder,
    get pid() {
      return broker.pid;
    },
    get zooKeeper() {
      return broker.zooKeeper;
    },
    addressOf: (protocol) => `127.0.0.1:${listeners[protocol]}`,
    createTopics: creatorAt(broker.bootstrap),
    startSecond: (node = 2) => startSecond(options, node),
    kill: () => kill("SIGKILL"),
    stop: () => stopBroker(broker.pid),
    restart: async () => void (broker = await startBroker(options)),
    remove: async () => {
      await kill("SIGKILL");
      if (broker.zooKeeper !== null) await end(broker.zooKeeper, "SIGKILL");
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** By this variable test/run.ts names a broker that the files of a suite share. */
const SHARED = "STOCKFLOW_TEST_BROKER";

export interface SharedBroker {
  /** The environment of those who use it. */
  readonly env: Readonly<Record<string, string>>;
  remove(): Promise<void>;
}

/** Starts a plain broker that files share, one after the other; gives what names it to them. */
export async function shareBroker(): Promise<SharedBroker> {
  await archiveClasses(await libraries(KAFKA_VERSION), async (javaFlags) => {
    const broker = await startTestBroker({}, [], { javaFlags });
    await broker.stop();
    await broker.remove();
  });
  const broker = await startTestBroker();
  const { bootstrap, pid, folder } = broker;
  return {
    env: { [SHARED]: JSON.stringify({ bootstrap, pid, folder }) },
    remove: () => broker.remove(),
  };
}

/**
 * The plain broker of the suite, for tests that leave it alone; one of their own where there is none. Topics
 * and groups of other files are on it too.
 */
export async function sharedBroker(): Promise<TestBroker> {
  const text = Deno.env.get(SHARED);
  if (text === undefined) return await startTestBroker();
  const shared = JSON.parse(text) as Pick<Broker, "bootstrap" | "pid" | "folder">;
  const refuse = () => Promise.reject(new Error("Other files use this broker"));
  return {
    ...shared,
    zooKeeper: null,
    addressOf: () => {
      throw new Error("A shared broker has one listener");
    },
    createTopics: creatorAt(shared.bootstrap),
    startSecond: refuse,
    kill: refuse,
    stop: refuse,
    restart: refuse,
    remove: () => Promise.resolve(),
  };
}

function creatorAt(bootstrap: string): TestBroker["createTopics"] {
  return (topics, partitions, configs, replicas = 1) =>
    createTopicsAt(
      { brokers: [bootstrap], clientId: "test" },
      topics,
      { partitions, replicas, ...(configs ? { configs } : {}) },
    );
}

/** @param first the broker that is also the controller */
async function startSecond(first: BrokerOptions, node: number): Promise<SecondBroker> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-kafka-" });
  const port = freePort();
  const options: BrokerOptions = {
    ...first,
    folder,
    port,
    properties: {
      ...first.properties,
      "process.roles": "broker",
      "node.id": String(node),
      "listeners": `PLAINTEXT://${first.host ?? "127.0.0.1"}:${port}`,
      "advertised.listeners": `PLAINTEXT://${first.host ?? "127.0.0.1"}:${port}`,
    },
    listeners: {},
  };
  // It belongs to the cluster of the first one; a folder of its own would get another cluster's id.
  const meta = await Deno.readTextFile(`${first.folder}/logs/meta.properties`);
  const cluster = /^cluster\.id=.*$/m.exec(meta)![0];
  await Deno.mkdir(`${folder}/logs`);
  await Deno.writeTextFile(
    `${folder}/logs/meta.properties`,
    `version=1\n${cluster}\nnode.id=${node}\n`,
  );
  let { pid } = await startBroker(options);
  return {
    kill: () => end(pid, "SIGKILL"),
    restart: async () => void ({ pid } = await startBroker(options)),
    remove: async () => {
      await end(pid, "SIGKILL");
      await Deno.remove(folder, { recursive: true });
    },
  };
}

async function end(pid: number, signal: Deno.Signal): Promise<void> {
  try {
    Deno.kill(pid, signal);
  } catch {
    // It has ended already.
  }
  await whenEnded(pid);
}

/** Why tests with a broker cannot run here; null if they can. On CI that is a failure. */
export async function whySkipped(version?: string): Promise<string | null> {
  const reason = await whyNoBroker(version);
  if (reason !== null && Deno.env.get("CI") !== undefined) throw new Error(reason);
  return reason;
}
