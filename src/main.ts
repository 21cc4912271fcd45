// main: reads parameters, starts one job and its server, and stops them when asked.

import { startServer } from "./http/mod.ts";
import {
  EmbeddedItemTransactionJob,
  environmentName,
  type ItemTransactionJob,
  JOB_NAME,
  KafkaItemTransactionJob,
  MACHINE,
  PARAMETER_KEYS,
  ParameterError,
  parameterHelp,
  Parameters,
  type RunningJob,
  StopError,
} from "./job/mod.ts";
import { KafkaSource } from "./kafka/mod.ts";
import { configureLogs } from "./job/logging.ts";

const DEFAULT_CONFIG = "config/embedded.properties";
const EXIT_WRONG = 2;
const EXIT_TIMEOUT = 3;

const USAGE =
  `stockflow: validates and executes stock transactions, answers queries, sums up items per window

Usage: deno task start [--config=${DEFAULT_CONFIG}] [--check] [--help] [--<key>=<value> ...]

  --config=<file>   a Java properties file
  --check           check parameters, without starting
  --help            this text

A flag comes before the environment (http.port: HTTP_PORT), that before the file, that before the default.

Parameters:
${parameterHelp()}
`;

interface Arguments {
  readonly config: string | null;
  readonly check: boolean;
  readonly help: boolean;
  readonly flags: Readonly<Record<string, string>>;
}

function parseArguments(args: readonly string[]): Arguments {
  const flags: Record<string, string> = {};
  let config: string | null = null;
  let check = false;
  let help = false;
  for (const arg of args) {
    const [, key, value] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (key === "help" && value === undefined) help = true;
    else if (key === "check" && value === undefined) check = true;
    else if (key === "config" && value !== undefined) config = value;
    else if (key !== undefined && value !== undefined) flags[key] = value;
    else {throw new ParameterError(
        `Expected --key=value, --check or --help, not ${JSON.stringify(arg)}`,
      );}
  }
  return { config, check, help, flags };
}

function readParameters({ config, flags }: Arguments): Parameters {
  const name = config ?? DEFAULT_CONFIG;
  let text: string;
  try {
    text = Deno.readTextFileSync(name);
  } catch (error) {
    throw new ParameterError(`Cannot read ${name}: ${(error as Error).message}`);
  }
  const environment = (variable: string) => Deno.env.get(variable);
  return Parameters.from({ flags, environment, file: { name, text } });
}

/** Resolves at the first signal that asks to stop; a second one ends the process at once. */
function whenAskedToStop(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => {
        if (asked) Deno.exit(130);
        asked = true;
        resolve();
      });
    }
  });
}

function greet(url: string, params: Parameters): void {
  if (params.get("job") === "kafka") {
    console.log(`stockflow listens on ${url}
It reads ${params.get("transaction.input.topic")} and ${params.get("query.input.topic")} at ${
      params.get("kafka.bootstrap.servers")
    } as group ${params.get("kafka.group.id")}; its checkpoints are in ${params.get("state.kv")}.
Ctrl-C stops it and keeps everything.`);
    return;
  }
  console.log(`stockflow listens on ${url}
Its log is ${params.get("log.kv")}, its checkpoints are in ${params.get("state.kv")}.

Try:
  curl -d $'1\\t1700000000000\\titem_2\\t100' -H 'content-type: text/plain' ${url}/transactions
  curl ${url}/items/item_2
Ctrl-C stops it and keeps everything.`);
}

/** The job that parameters ask for. */
function createJob(params: Parameters): ItemTransactionJob {
  switch (params.get("job")) {
    case "embedded":
      return new EmbeddedItemTransactionJob();
    case "kafka":
      return new KafkaItemTransactionJob((params) => new KafkaSource(params, MACHINE.clock));
  }
}

async function run(params: Parameters): Promise<void> {
  const stop = whenAskedToStop();
  const starting = createJob(params)
    .createApplicationPipeline(params)
    .start(JOB_NAME, { ...MACHINE, logs: true });
  // A job whose log is not there waits for it, perhaps until it is asked to stop.
  const job: RunningJob | void = await Promise.race([starting, stop]);
  if (!job) return;
  try {
    const server = startServer({
      job,
      hostname: params.get("http.host"),
      port: params.get("http.port"),
      bodyBytesMax: params.get("http.body.bytes.max"),
    });
    greet(server.url, params);
    await Promise.race([stop, job.finished]);
    exitAfter(params.get("shutdown.timeout.ms"));
    await server.stop();
  } finally {
    await job.stop();
  }
  await job.finished;
}

/** Ends the process when a stop takes too long. */
function exitAfter(ms: number): void {
  const timer = setTimeout(() => {
    console.error(`The job did not stop within ${ms} ms (shutdown.timeout.ms); exiting`);
    Deno.exit(EXIT_TIMEOUT);
  }, ms);
  Deno.unrefTimer(timer);
}

async function main(): Promise<number> {
  try {
    const args = parseArguments(Deno.args);
    if (args.help) {
      console.log(USAGE);
      return 0;
    }
    const params = readParameters(args);
    if (args.check) {
      console.log("The parameters are valid.");
      return 0;
    }
    await configureLogs();
    await run(params);
    return 0;
  } catch (error) {
    if (error instanceof ParameterError) console.error(`stockflow: ${error.message}`);
    else if (error instanceof StopError) {
      console.error(`stockflow: ${error.message}; ${error.remedy}`);
    } else throw error;
    return EXIT_WRONG;
  }
}

/** Names of the environment variables that may override parameters: the process needs no others. */
export const ENVIRONMENT = PARAMETER_KEYS.map(environmentName);

if (import.meta.main) Deno.exit(await main());
