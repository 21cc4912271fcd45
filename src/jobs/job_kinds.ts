import type { ParameterValue } from "../parameters/parameter_table.ts";
import { GENERATED_SUFFIX, JOB_NAME } from "../service/job_names.ts";
import { EmbeddedItemTransactionJob } from "./embedded_item_transaction_job.ts";
import { SocketItemTransactionJob } from "./socket_item_transaction_job.ts";

/** The kinds of job, by which the parameter `job` chooses. */
export type JobKind = ParameterValue<"job">;

const NAMES: Readonly<Record<JobKind, string>> = {
  embedded: EmbeddedItemTransactionJob.jobName,
  socket: SocketItemTransactionJob.jobName,
  kafka: JOB_NAME,
};

/**
 * Name of a job, under which the store keeps its checkpoints: kinds of job do not see each other's, and
 * generated transactions have a stock of their own.
 */
export function jobName(kind: JobKind, generated: boolean): string {
  return ownJobName(NAMES[kind], generated);
}

/** The same of a job of one's own, by its jobName or the name of its class. */
export function ownJobName(name: string, generated: boolean): string {
  return name + (generated ? GENERATED_SUFFIX : "");
}

export function isJobKind(text: string): text is JobKind {
  return Object.hasOwn(NAMES, text);
}
