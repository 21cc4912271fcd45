// cli: what a user types.
//
// What lives here: main, which reads parameters, starts one job and its server, and stops them when asked; the state
// tool; the generator for Kafka; arguments, exit codes and the progress on a terminal.
// What may not: anything that a job of one's own would need as well.
//
// A command line goes in; lines and an exit code come out.

import { resolve } from "node:path";
import { accessOf, checkAccess, limitsOf, startServer } from "../http/mod.ts";
import {
  addressOf,
  Instance,
  type ItemTransactionJob,
  MACHINE,
  machineMemory,
  type RunningJob,
} from "../service/mod.ts";
import { lookAtFiles } from "../kv/mod.ts";
import { Conditions, flushOutputs, standardError, standardOutput } from "../engine/mod.ts";
import {
  environmentName,
  FOREIGN_KEYS,
  PARAMETER_KEYS,
  ParameterError,
  parameterHelp,
  PARAMETERS,
  type Parameters,
} from "../parameters/mod.ts";
import { JOB_KINDS, jobName } from "../jobs/mod.ts";
import { KafkaItemTransactionJob } from "../kafka/mod.ts";
import { connectionOf, KafkaSource, secretsOfFiles } from "../kafka/mod.ts";
import { randomId } from "../types/mod.ts";
import { configureLogs, type LogOptions } from "../engine/logging.ts";
import {
  enterFolder,
  exitCodeOf,
  parseArguments,
  readParameters,
  VERSION,
  whenAskedToStop,
} from "./arguments.ts";
import { displayOrLog } from "./progress_display.ts";

const EXIT_TIMEOUT = 3;

const USAGE =
  `stockflow: validates and executes stock transactions, answers queries, sums up items per window

Usage: deno task start [--job=${PARAMETERS.job.default}] [--generate] [--accept-offset] [--replace-log] [--config=<file>] [--check] [--help] [--version] [--<key>=<value> ...]

  --config=<file>   a Java properties file; by default the program's own config/<job>.properties, and
                    config/job.properties for Kafka
  --generate        fold generated transactions: generate.transactions=true
  --accept-offset   go on although committed offsets or records are lost: accept.offset=true
  --replace-log     with --restore: move another log that is there away: replace.log=true
  --check           check parameters, files and, with Kafka, brokers, topics and rights; nothing is started,
                    created or joined
  --folder=<path>   relative paths are relative to it; deno task gives the folder where it was typed
  -h, --help        this text
  --version         the version of the program

A flag comes before the environment (http.port: HTTP_PORT), that before the file, that before the default.

Parameters:
${parameterHelp()}
`;

function greet(url: string, params: Parameters): void {
  if (params.get("job") === "kafka") {
    print(`stockflow listens on ${url}
It reads ${params.get("transaction.input.topic")} and ${params.get("query.input.topic")} at ${
      params.get("kafka.bootstrap.servers")
    } as group ${params.get("kafka.group.id")}; its checkpoints are in ${
      resolve(params.get("state.kv"))
    }.
Ctrl-C stops it and keeps everything.`);
    return;
  }
  const token = params.get("http.token") ? ' -H "authorization: Bearer $HTTP_TOKEN"' : "";
  const port = params.get("socket.port");
  const socket = params.get("job") !== "socket" ? "" : `
It reads queries from ${
    addressOf(params.get("socket.host"), port)
  }, and prints their answers here.`;
  const generated = params.get("generate.transactions")
    ? "\nIts transactions are generated, and have a stock of their own."
    : "";
  const post = generated ? "" : `
  curl -d $'1\\t1700000000000\\titem_2\\t100' -H 'content-type: text/plain'${token} ${url}/transactions`;
  const nc = socket && `
  nc -lk ${port}    in another terminal, and there the line: 123 item_2`;
  print(`stockflow listens on ${url}
Its log is ${resolve(params.get("log.kv"))}, its checkpoints are in ${
    resolve(params.get("state.kv"))
  }.${socket}${generated}

Try:${nc}${post}
  curl${token} ${url}/items/item_2
Ctrl-C stops it and keeps everything.`);
}

function print(text: string): void {
  standardOutput.print(`${text}\n`);
}

/** The job that parameters ask for. */
function createJob(
  params: Parameters,
  instance: Instance,
  conditions: Conditions,
): ItemTransactionJob {
  const kind = params.get("job");
  if (kind !== "kafka") return JOB_KINDS[kind]();
  if (params.get("generate.transactions")) {
    throw new ParameterError(
      "generate.transactions=true does not go with job=kafka: its transactions come from " +
        "transaction.input.topic",
    );
  }
  return new KafkaItemTransactionJob((params) =>
    new KafkaSource(params, MACHINE.clock, instance, conditions)
  );
}

async function run(params: Parameters, logs: LogOptions): Promise<void> {
  const stop = whenAskedToStop();
  const display = displayOrLog();
  const instance = new Instance(randomId(MACHINE.chance));
  const conditions = new Conditions(MACHINE.clock);
  const pipeline = createJob(params, instance, conditions).createApplicationPipeline(params);
  // First: a job that waits for its brokers says so there.
  const server = startServer({
    conditions,
    hostname: params.get("http.host"),
    port: params.get("http.port"),
    limits: limitsOf(params),
    access: accessOf(params),
    instance,
  });
  const advertised = params.get("http.advertised.host") || params.get("http.host");
  instance.listensAt(advertised, server.port);
  let job: RunningJob | void = undefined;
  try {
    const name = jobName(params.get("job"), params.get("generate.transactions"));
    const onProgress = display.onProgress;
    const starting = pipeline.start(name, {
      ...MACHINE,
      ...machineMemory(),
      logs,
      onProgress,
      conditions,
    });
    // A job whose log is not there waits for it, perhaps until it is asked to stop.
    job = await Promise.race([starting, stop]);
    if (!job) return;
    server.serve(job);
    greet(server.url, params);
    await Promise.race([stop, job.finished]);
    exitAfter(params.get("shutdown.timeout.ms"));
    await server.drain();
  } finally {
    display.hide();
    await job?.stop();
    // Last: until it has left its group, the process is not to seem gone.
    await server.stop();
  }
  await job.finished;
}

/**
 * Looks at all that a start would look at, and leaves everything as it is.
 *
 * @throws {StopError} when the job would not start
 */
async function check(params: Parameters): Promise<void> {
  const isKafka = params.get("job") === "kafka";
  const conditions = new Conditions(MACHINE.clock);
  const instance = new Instance(randomId(MACHINE.chance));
  createJob(params, instance, conditions);
  const source = isKafka ? new KafkaSource(params, MACHINE.clock, instance, conditions) : null;
  source?.checkParameters();
  console.log("The parameters are valid.");
  const files = isKafka ? ["state.kv"] as const : ["log.kv", "state.kv"] as const;
  console.log(`${await lookAtFiles(files.map((key) => resolve(params.get(key))))}.`);
  if (source) console.log(`${await source.lookOnce()}.`);
}

/** Ends the process when a stop takes too long. */
function exitAfter(ms: number): void {
  const timer = setTimeout(() => {
    standardError.print(`The job did not stop within ${ms} ms (shutdown.timeout.ms); exiting\n`);
    void flushOutputs().finally(() => Deno.exit(EXIT_TIMEOUT));
  }, ms);
  Deno.unrefTimer(timer);
}

async function main(): Promise<void> {
  const args = parseArguments(Deno.args);
  if (args.help) return console.log(USAGE);
  if (args.version) return console.log(`stockflow ${VERSION}`);
  enterFolder(args.folder);
  const params = readParameters(args);
  checkAccess(params);
  if (params.get("job") === "kafka") connectionOf(params);
  const secrets = [...params.secrets, ...secretsOfFiles(params)];
  const queueBytesMax = params.get("output.queue.bytes.max");
  const logs = { level: params.get("log.level"), secrets, queueBytesMax };
  await configureLogs(logs);
  if (args.check) await check(params);
  else await run(params, logs);
}

/** Names of the environment variables that may override parameters: the process needs no others. */
export const ENVIRONMENT = [...PARAMETER_KEYS, ...Object.keys(FOREIGN_KEYS)].map(environmentName);

if (import.meta.main) Deno.exit(await exitCodeOf(main));
