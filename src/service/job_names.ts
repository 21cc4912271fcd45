// Names of jobs, under which the store keeps their checkpoints.

/** The default job, and that of Kafka. */
export const JOB_NAME = "Transaction Processor Job";

/** The job with a socket. */
export const SOCKET_JOB_NAME = "Socket Transaction Processor Job";

/** What the name of a job ends with whose transactions are generated. */
export const GENERATED_SUFFIX = " (generated)";
