import { EmbeddedItemTransactionJob } from "./embedded_item_transaction_job.ts";
import type { ItemTransactionJob } from "../service/item_transaction_job.ts";
import type { ParameterValue } from "../parameters/parameter_table.ts";
import { JOB_NAME, SOCKET_JOB_NAME } from "../service/job_names.ts";
import { SocketItemTransactionJob } from "./socket_item_transaction_job.ts";

/** The kinds of job, by which the parameter `job` chooses. */
export type JobKind = ParameterValue<"job">;

/** What creates a job; that of Kafka is created by main, which alone knows src/kafka. */
export const JOB_KINDS: Readonly<Record<Exclude<JobKind, "kafka">, () => ItemTransactionJob>> = {
  embedded: () => new EmbeddedItemTransactionJob(),
  socket: () => new SocketItemTransactionJob(),
};

const NAMES: Readonly<Record<JobKind, string>> = {
  embedded: JOB_NAME,
  socket: SOCKET_JOB_NAME,
  kafka: JOB_NAME,
};

/**
 * Name of a job, under which the store keeps its checkpoints: kinds of job do not see each other's, and
 * generated transactions have a stock of their own.
 */
export function jobName(kind: JobKind, generated: boolean): string {
  return NAMES[kind] + (generated ? " (generated)" : "");
}

export function isJobKind(text: string): text is JobKind {
  return Object.hasOwn(NAMES, text);
}
