import { EmbeddedItemTransactionJob, JOB_NAME } from "./embedded_item_transaction_job.ts";
import type { ItemTransactionJob } from "./item_transaction_job.ts";
import type { ParameterValue } from "./parameter_table.ts";
import { SOCKET_JOB_NAME, SocketItemTransactionJob } from "./socket_item_transaction_job.ts";

/** The kinds of job, by which the parameter `job` chooses. */
export type JobKind = ParameterValue<"job">;

interface KindOfJob {
  /** Under which the store keeps its checkpoints: kinds of job do not see each other's. */
  readonly name: string;
  readonly create: () => ItemTransactionJob;
}

export const JOB_KINDS: Readonly<Record<JobKind, KindOfJob>> = {
  embedded: { name: JOB_NAME, create: () => new EmbeddedItemTransactionJob() },
  socket: { name: SOCKET_JOB_NAME, create: () => new SocketItemTransactionJob() },
};

/** Name of the job under which the store keeps its checkpoints: generated transactions have a stock of their own. */
export function jobName(kind: JobKind, generated: boolean): string {
  return JOB_KINDS[kind].name + (generated ? " (generated)" : "");
}
