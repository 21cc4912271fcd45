// deno task kafka:console   Kafka's own tools on the broker and the topics of a file of parameters
//
//   produce transactions        lines from standard input, each keyed by its item
//   produce queries             lines such as: 123 item_2
//   consume results | answers | summaries | dead-letters | transactions | queries
//                               what comes from now on; --from-beginning: all; --max-messages=<n>: ends then
//   groups                      offsets and lag of the group
//
//   [--config=config/job.properties]

import { getProperties } from "properties-file";
import { parseArgs } from "node:util";
import { orRefuse } from "../kit/command_line.ts";
import { BrokerError, whyNoBroker } from "./broker.ts";
import { KAFKA_VERSION, libraries, QUICK_JAVA } from "./libraries.ts";

/** Keys of parameters by the names that are typed. */
const TOPICS: Readonly<Record<string, string>> = {
  transactions: "transaction.input.topic",
  queries: "query.input.topic",
  results: "transaction.output.topic",
  answers: "query.output.topic",
  summaries: "summary.output.topic",
  "dead-letters": "deadletter.topic",
};

const USAGE = `Usage: deno task kafka:console produce transactions | queries
       deno task kafka:console consume ${Object.keys(TOPICS).join(" | ")}
                               [--from-beginning] [--max-messages=<n>]
       deno task kafka:console groups
       [--config=config/job.properties]`;

const JAVA = {
  produce: "org.apache.kafka.tools.ConsoleProducer",
  consume: "org.apache.kafka.tools.consumer.ConsoleConsumer",
  groups: "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
} as const;

/** Puts the key of a transaction before its line, as parse.key=true wants it; "" = it has none. */
function keyed(line: string): string {
  const [, json] = /"itemId"\s*:\s*"([^"]*)"/.exec(line) ?? [];
  return `${json ?? line.split("\t")[2] ?? ""}\t${line}\n`;
}

/** Hands lines of standard input on as they come. */
async function handOn(to: WritableStream<Uint8Array>, change: (line: string) => string) {
  const writer = to.getWriter();
  const encoder = new TextEncoder();
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    await writer.write(encoder.encode(lines.map(change).join("")));
  }
  if (rest !== "") await writer.write(encoder.encode(change(rest)));
  await writer.close();
}

/** @throws {BrokerError} for a command of another form */
function argumentsOf(): { tool: keyof typeof JAVA; args: string[]; change: typeof keyed | null } {
  const { positionals: [tool, name, ...more], values } = orRefuse(
    USAGE.slice("Usage: ".length),
    () =>
      parseArgs({
        allowPositionals: true,
        options: {
          config: { type: "string", default: "config/job.properties" },
          "from-beginning": { type: "boolean", default: false },
          "max-messages": { type: "string" },
          help: { type: "boolean" },
        },
      }),
  );
  if (values.help) {
    console.log(USAGE);
    Deno.exit(0);
  }
  const properties = getProperties(Deno.readTextFileSync(values.config));
  const server = ["--bootstrap-server", properties["kafka.bootstrap.servers"] ?? ""];
  if (tool === "groups" && name === undefined) {
    const group = properties["kafka.group.id"] ?? "";
    return { tool, args: [...server, "--describe", "--group", group], change: null };
  }
  const topic = Object.hasOwn(TOPICS, name ?? "") ? properties[TOPICS[name!]!] : undefined;
  if (topic === undefined || more.length > 0) throw new BrokerError(USAGE);
  const args = [...server, "--topic", topic];
  if (tool === "produce") {
    if (name === "transactions") {
      return { tool, args: [...args, "--property", "parse.key=true"], change: keyed };
    }
    if (name === "queries") return { tool, args, change: (line) => `${line}\n` };
  }
  if (tool !== "consume") throw new BrokerError(USAGE);
  const messages = values["max-messages"];
  return {
    tool,
    args: [
      ...args,
      "--isolation-level=read_committed",
      ...(values["from-beginning"] ? ["--from-beginning"] : []),
      ...(messages === undefined ? [] : [`--max-messages=${messages}`]),
    ],
    change: null,
  };
}

async function main(): Promise<number> {
  const { tool, args, change } = argumentsOf();
  const why = await whyNoBroker();
  if (why !== null) throw new BrokerError(why);
  const java = new Deno.Command("java", {
    args: [
      "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
      ...QUICK_JAVA,
      "-cp",
      `${await libraries(KAFKA_VERSION)}/*`,
      JAVA[tool],
      ...args,
    ],
    stdin: change ? "piped" : "null",
  }).spawn();
  // Ctrl-C goes to both; Java's tool ends in good order, and this with it.
  Deno.addSignalListener("SIGINT", () => {});
  if (change) await handOn(java.stdin, change);
  return (await java.status).code;
}

try {
  Deno.exit(await main());
} catch (error) {
  if (!(error instanceof BrokerError) && !(error instanceof TypeError)) throw error;
  console.error(error.message);
  Deno.exit(1);
}
