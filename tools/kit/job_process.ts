// The Kafka job as a child process, as `deno task start --job=kafka` runs it.

import { type Service, startService } from "./service.ts";

export const TOPICS = {
  "transaction.input.topic": "transactions",
  "query.input.topic": "queries",
  "query.output.topic": "query-results",
  "transaction.output.topic": "results",
  "summary.output.topic": "summaries",
  "deadletter.topic": "dead-letters",
} as const;

/** The consumer group, unless a test names another. */
export const GROUP = "stockflow-test";

/** Starts the job, of this checkout or another, in a data folder; resolves when it listens. */
export function startJob(
  bootstrap: string,
  folder: string,
  flags: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
  checkout?: string,
  enter: readonly string[] = [],
): Promise<Service> {
  return startService({
    folder,
    env,
    enter,
    ...(checkout === undefined ? {} : { checkout }),
    flags: {
      "job": "kafka",
      "kafka.bootstrap.servers": bootstrap,
      "kafka.group.id": GROUP,
      ...TOPICS,
      ...flags,
    },
  });
}
