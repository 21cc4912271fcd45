// Names of jobs, under which the store keeps their checkpoints.

/** The default job, and that of Kafka, whose class says the same. */
export const JOB_NAME = "Transaction Processor Job";

/** What the name of a job ends with whose transactions are generated. */
export const GENERATED_SUFFIX = " (generated)";
