// cli: what a user types.
//
// What lives here: run, which starts one job and its server and stops them when asked; main, the jobs that come with the
// program; the state tool; the generator for Kafka; arguments, exit codes and the progress on a terminal.
// What may not: anything that a job of one's own would need as well, but for run.
//
// A command line goes in; lines and an exit code come out.

import type { JobClass } from "../service/mod.ts";
import { PARAMETERS, type ParameterValue } from "../parameters/mod.ts";
import { EmbeddedItemTransactionJob, isJobKind, SocketItemTransactionJob } from "../jobs/mod.ts";
import { KafkaItemTransactionJob } from "../kafka/kafka_item_transaction_job.ts";
import { type Arguments, ownConfigOf } from "./arguments.ts";
import { runProgram } from "./run.ts";

/** The jobs that the parameter `job` chooses from. */
const JOBS: Readonly<Record<ParameterValue<"job">, JobClass>> = {
  embedded: EmbeddedItemTransactionJob,
  socket: SocketItemTransactionJob,
  kafka: KafkaItemTransactionJob,
};

const DEFAULT_JOB = PARAMETERS.job.default as ParameterValue<"job">;

const USAGE =
  `deno task start [--job=${DEFAULT_JOB}] [--generate] [--accept-offset] [--replace-log] [--config=<file>] [--check] [--help] [--version] [--<key>=<value> ...]

stockflow validates and executes stock transactions, answers queries, sums up items per window

  --config=<file>   a Java properties file; by default the program's own config/<job>.properties, and
                    config/job.properties for Kafka
  --generate        fold generated transactions: generate.transactions=true
  --accept-offset   go on although committed offsets or records are lost: accept.offset=true
  --replace-log     with --restore: move another log that is there away: replace.log=true
`;

/** The file that is read by default, one of those that come with the program, wherever its user stands. */
function configOf({ flags }: Arguments): string {
  const job = flags["job"] ?? Deno.env.get("JOB") ?? DEFAULT_JOB;
  // A job that does not exist is refused with the parameters.
  const kind = isJobKind(job) ? job : DEFAULT_JOB;
  return ownConfigOf(kind);
}

if (import.meta.main) {
  await runProgram({
    name: "stockflow",
    usage: USAGE,
    parameters: {},
    jobOf: (params) => JOBS[params.get("job")],
    configOf,
  }, Deno.args);
}
