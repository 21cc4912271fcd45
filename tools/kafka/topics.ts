import { Kafka, logLevel } from "kafkajs";

/** Creates the topics that do not exist yet. */
export async function createTopics(
  bootstrap: string,
  topics: readonly string[],
  numPartitions: number,
  configs: Readonly<Record<string, string>> = {},
): Promise<void> {
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    const existing = new Set(await admin.listTopics());
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
    await admin.createTopics({
      waitForLeaders: true,
      topics: topics.filter((topic) => !existing.has(topic))
        .map((topic) => ({ topic, numPartitions, replicationFactor: 1, configEntries })),
    });
  } finally {
    await admin.disconnect();
  }
}
