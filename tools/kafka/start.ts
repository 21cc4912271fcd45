// deno task kafka:start   a broker for development, and the topics of config/job.properties
//
//   [--config=config/job.properties] [--folder=data/kafka] [--partitions=16]

import { getProperties } from "properties-file";
import { commandLine } from "../kit/command_line.ts";
import { type Broker, BrokerError, startBroker } from "./broker.ts";
import { createTopicsAt } from "../../src/kafka/mod.ts";
import { brokerOf, PID_FILE } from "./running.ts";

const values = commandLine("kafka:start", {
  config: { type: "string", default: "config/job.properties" },
  folder: { type: "string", default: "data/kafka" },
  partitions: { type: "string", default: "16" },
});

/** Another broker there would answer in the place of this one. */
function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

async function start(): Promise<Broker> {
  const properties = getProperties(await Deno.readTextFile(values.config));
  const bootstrap = properties["kafka.bootstrap.servers"] ?? "";
  const [, port] = /^(?:127\.0\.0\.1|localhost):(\d+)$/.exec(bootstrap) ?? [];
  if (!port) {
    throw new BrokerError(
      `kafka.bootstrap.servers in ${values.config} must be 127.0.0.1:<port> for this broker, not ` +
        JSON.stringify(bootstrap),
    );
  }
  const running = await brokerOf(values.folder);
  if (running !== null) throw new BrokerError(`A broker runs already (process ${running})`);
  if (!isFree(Number(port))) {
    throw new BrokerError(
      `Port ${port} of 127.0.0.1 is taken by another program: stop it, or name another port as ` +
        `kafka.bootstrap.servers in a copy of ${values.config} (--config=<copy>)`,
    );
  }
  await Deno.mkdir(values.folder, { recursive: true });
  const broker = await startBroker({
    folder: await Deno.realPath(values.folder),
    port: Number(port),
    controllerPort: Number(port) + 1,
    heapMb: 1024,
    detached: true,
  });
  await Deno.writeTextFile(`${values.folder}/${PID_FILE}`, String(broker.pid));
  const topics = Object.entries(properties).filter(([key]) => key.endsWith(".topic"));
  const connection = { brokers: [broker.bootstrap], clientId: "kafka:start" };
  const partitions = Number(values.partitions);
  await createTopicsAt(connection, topics.map(([, topic]) => topic), { partitions });
  return broker;
}

try {
  const { bootstrap, pid } = await start();
  console.log(
    `Apache Kafka answers at ${bootstrap} (process ${pid}); deno task kafka:stop ends it`,
  );
  Deno.exit(0);
} catch (error) {
  if (!(error instanceof BrokerError)) throw error;
  console.error(error.message);
  Deno.exit(1);
}
