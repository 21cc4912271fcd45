// jobs: kinds of job that need no server.
//
// What lives here: the embedded job and the job that reads queries from a socket; what a user chooses by the parameter
// `job`. That of Kafka is in src/kafka.
// What may not: how a job runs (src/service, src/engine).
//
// Parameters go in, wired streams come out.

export { EMBEDDED_TOPICS, EmbeddedItemTransactionJob } from "./embedded_item_transaction_job.ts";
export { isJobKind, type JobKind, jobName, ownJobName } from "./job_kinds.ts";
export { SocketItemTransactionJob } from "./socket_item_transaction_job.ts";
