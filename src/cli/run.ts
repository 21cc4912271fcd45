// run: starts a job and its HTTP API, and stops them when asked. Of a job of one's own as of those that come with the
// program.

import { accessOf, checkAccess, limitsOf, startServer } from "../http/mod.ts";
import {
  checkRemoteStore,
  checkRestore,
  checkSavepoint,
  DataGeneratorJob,
  type GeneratorClass,
  type JobClass,
  type LogRequest,
  MACHINE,
  machineMemory,
  type Pipeline,
  ProcessLife,
  type RecordWriter,
  type RunningJob,
  topicsOf,
  useStoreToken,
  VERSION,
} from "../service/mod.ts";
import { lookAtFiles, placeOfKv } from "../kv/mod.ts";
import { Conditions, flushOutputs, standardError, standardOutput } from "../engine/mod.ts";
import {
  parameterHelp,
  PARAMETERS,
  type Parameters,
  type ParameterTable,
} from "../parameters/mod.ts";
import type { KafkaLogOpener } from "../kafka/mod.ts";
import { connectionOf, secretsOfFiles } from "../kafka/security.ts";
import { THREAD_ENTRY } from "../kafka/thread_entry.ts";
import { randomId } from "../types/mod.ts";
import { configureLogs, type LogOptions } from "../engine/logging.ts";
import {
  type Arguments,
  enterFolder,
  exitCodeOf,
  parseArguments,
  readParameters,
  whenAskedToStop,
} from "./arguments.ts";
import { greeting } from "./greeting.ts";
import { displayOrLog } from "./progress_display.ts";
import { runGenerator } from "./run_generator.ts";

const EXIT_TIMEOUT = 3;

/** What is run: which job, and how it is called. */
export interface Program {
  /** What --version says before the version. */
  readonly name: string;
  /** Behind "Usage: " and up to the list of parameters. */
  readonly usage: string;
  /** Parameters beside those of the program. */
  readonly parameters: ParameterTable;
  jobOf(params: Parameters): JobClass;
  /** The file of parameters that is read without --config; null = none. */
  configOf(args: Arguments): string | null;
}

/**
 * Runs a job until it is asked to stop (SIGINT, SIGTERM), and ends the process: with 0 when it has stopped in good
 * order, 2 when only its user can help, 3 when a stop took too long (shutdown.timeout.ms), else 1.
 *
 * @param args as they were typed: `--key=value` for every parameter, `--config=<file>`, `--check`, `--help`
 *
 * @example
 * if (import.meta.main) await run(ShopJob, Deno.args);
 */
export async function run(
  job: JobClass | GeneratorClass,
  args: readonly string[] = Deno.args,
): Promise<never> {
  const name = job.jobName ?? job.name;
  const about = { name: `${name} on stockflow`, parameters: job.parameters, configOf: () => null };
  if (isGenerator(job)) {
    const usage = `${name} [--config=<file>] [--help] [--version] [--<key>=<value> ...]\n\n`;
    return Deno.exit(await exitCodeOf(() => generate({ ...about, usage }, job, args)));
  }
  return await runProgram({
    ...about,
    usage: `${name} [--config=<file>] [--check] [--help] [--version] [--<key>=<value> ...]

  --config=<file>   a Java properties file with parameters
`,
    jobOf: () => job,
  }, args);
}

function isGenerator(job: JobClass | GeneratorClass): job is GeneratorClass {
  return job.prototype instanceof DataGeneratorJob;
}

async function generate(
  about: Omit<Program, "jobOf">,
  job: GeneratorClass,
  given: readonly string[],
): Promise<void> {
  const args = parseArguments(given);
  if (args.help) return console.log(helpOf(about, ""));
  if (args.version) return console.log(`${about.name} ${VERSION}`);
  await runGenerator(job, args, null);
}

/** The same of a program that chooses its job. */
export async function runProgram(program: Program, args: readonly string[]): Promise<never> {
  Deno.exit(await exitCodeOf(() => main(program, args)));
}

async function main(program: Program, given: readonly string[]): Promise<void> {
  const args = parseArguments(given);
  if (args.help) return console.log(helpOf(program));
  if (args.version) return console.log(`${program.name} ${VERSION}`);
  enterFolder(args.folder);
  const params = readParameters(args, program.configOf(args), program.parameters);
  checkAccess(params);
  const Job = program.jobOf(params);
  const job = new Job();
  const isKafka = job.log(params) === "kafka";
  if (isKafka) connectionOf(params);
  const secrets = [...params.secrets, ...secretsOfFiles(params), ...useStoreToken(params)];
  const queueBytesMax = params.get("output.queue.bytes.max");
  const logs = { level: params.get("log.level"), secrets, queueBytesMax };
  await configureLogs(logs);
  const pipeline = job.createApplicationPipeline(params);
  if (args.check) await check(pipeline);
  else await runPipeline(pipeline, logs);
}

const CHECK_HELP =
  `  --check           check parameters, files and, with Kafka, brokers, topics and rights; nothing is started,
                    created or joined
`;

/** @param check the lines of --check */
function helpOf(
  { usage, parameters }: Pick<Program, "usage" | "parameters">,
  check = CHECK_HELP,
): string {
  const own = Object.keys(parameters).length > 0
    ? `Parameters of the job's own:\n${parameterHelp(parameters)}\n\n`
    : "";
  return `Usage: ${usage}${check}  --folder=<path>   relative paths are relative to it; deno task gives the folder where it was typed
  -h, --help        this text
  --version         the version of the program

A flag comes before the environment (http.port: HTTP_PORT), that before the file, that before the default.

${own}Parameters:
${parameterHelp(PARAMETERS)}
`;
}

async function runPipeline(pipeline: Pipeline, logs: LogOptions): Promise<void> {
  const { params } = pipeline;
  const stop = whenAskedToStop();
  const display = displayOrLog();
  const life = new ProcessLife(randomId(MACHINE.chance));
  const conditions = new Conditions(MACHINE.clock);
  // First: a job that waits for its brokers says so there.
  const server = startServer({
    conditions,
    hostname: params.get("http.host"),
    port: params.get("http.port"),
    limits: limitsOf(params),
    access: accessOf(params),
    life,
    tracing: MACHINE.tracing ?? null,
  });
  const advertised = params.get("http.advertised.host") || params.get("http.host");
  life.listensAt(advertised, server.port);
  let job: RunningJob | void = undefined;
  try {
    const starting = pipeline.start(pipeline.name, {
      ...MACHINE,
      ...machineMemory(),
      logs,
      onProgress: display.onProgress,
      conditions,
      kafka: (request) => kafkaOpener(request, life, conditions),
      ...(pipeline.wiring.log === "kafka"
        ? { feedWriter: kafkaFeedWriter, threadEntry: THREAD_ENTRY }
        : {}),
    });
    // A job whose log is not there waits for it, perhaps until it is asked to stop.
    job = await Promise.race([starting, stop]);
    if (!job) return;
    server.serve(job);
    standardOutput.print(`${greeting(server.url, pipeline)}\n`);
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

async function kafkaOpener(
  { params, topics }: Pick<LogRequest, "params" | "topics">,
  life: ProcessLife,
  conditions: Conditions,
): Promise<KafkaLogOpener> {
  // Loaded where it is needed: kafkajs reads the environment then.
  const { KafkaLogOpener } = await import("../kafka/kafka_log_opener.ts");
  return new KafkaLogOpener(params, MACHINE.clock, life, conditions, topics);
}

/** What writes records that the job brings itself. */
async function kafkaFeedWriter(params: Parameters): Promise<RecordWriter> {
  const { KafkaFeedWriter } = await import("../kafka/feed_writer.ts");
  const compression = params.get("kafka.compression.type");
  return new KafkaFeedWriter(connectionOf(params), compression, MACHINE.clock);
}

/**
 * Looks at all that a start would look at, and leaves everything as it is.
 *
 * @throws {StopError} when the job would not start
 */
async function check({ params, wiring, name }: Pipeline): Promise<void> {
  const conditions = new Conditions(MACHINE.clock);
  const life = new ProcessLife(randomId(MACHINE.chance));
  const opener = wiring.log === "kafka"
    ? await kafkaOpener({ params, topics: topicsOf(wiring) }, life, conditions)
    : null;
  opener?.checkParameters();
  checkRemoteStore(params, wiring);
  checkRestore(params, wiring);
  console.log("The parameters are valid.");
  const files = opener ? ["state.kv"] as const : ["log.kv", "state.kv"] as const;
  console.log(`${await lookAtFiles(files.map((key) => placeOfKv(params.get(key))))}.`);
  if (params.get("restore") !== "") {
    await checkSavepoint(params, name, MACHINE);
    console.log(`Savepoint ${params.get("restore")} can be restored, or has been.`);
  }
  if (opener) console.log(`${await opener.lookOnce()}.`);
}

/** Ends the process when a stop takes too long. */
function exitAfter(ms: number): void {
  const timer = setTimeout(() => {
    standardError.print(`The job did not stop within ${ms} ms (shutdown.timeout.ms); exiting\n`);
    void flushOutputs().finally(() => Deno.exit(EXIT_TIMEOUT));
  }, ms);
  Deno.unrefTimer(timer);
}
