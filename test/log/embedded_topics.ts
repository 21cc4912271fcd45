import { EMBEDDED_TOPICS } from "../../src/jobs/mod.ts";
import type { EmbeddedLogOptions } from "../../src/log/mod.ts";
import { GENERATED_TOPIC } from "../../src/service/generated_stream.ts";

/** The topics of the embedded job's log, and which of them are inputs. */
export function embeddedTopics(
  partitions: number,
): Pick<EmbeddedLogOptions, "topics" | "inputs"> {
  const topics = [...Object.values(EMBEDDED_TOPICS), GENERATED_TOPIC];
  return {
    topics: Object.fromEntries(topics.map((topic) => [topic, partitions])),
    inputs: [EMBEDDED_TOPICS.transactions, EMBEDDED_TOPICS.queries, GENERATED_TOPIC],
  };
}
