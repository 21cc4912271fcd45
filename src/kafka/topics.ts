import { systemClock } from "../types/mod.ts";
import { StopError } from "../log/mod.ts";
import { protocolError } from "./client/internals.ts";
import { ErrorCode, errorCodeOf, isTopicGone, isUnavailable, reasonOf } from "./client/errors.ts";
import type { ConnectionOptions } from "./client/kafka_client.ts";
import type { Settings } from "./output_limits.ts";
import { KafkaClient } from "./client/kafka_client.ts";
import type { WiredTopics } from "../service/mod.ts";

/** Partitions of topics that are created for a job. */
export const NEW_TOPIC_PARTITIONS = 16;

export function topicNames(topics: WiredTopics): string[] {
  return [...new Set(Object.values(topics).filter((t): t is string => t !== null))];
}

/** As many replicas as the brokers' default.replication.factor says (KIP-464). */
const DEFAULT_REPLICAS = -1;

export interface NewTopics {
  readonly partitions: number;
  /** Replicas of each partition; 0 = as many as the brokers' default says. */
  readonly replicas?: number;
  readonly configs?: Readonly<Record<string, string>>;
}

/**
 * Creates topics; those that exist stay.
 *
 * @throws {StopError} when the brokers refuse one, or its name would collide with that of another
 */
export async function createTopics(
  client: KafkaClient,
  topics: readonly string[],
  { partitions, replicas = 0, configs = {} }: NewTopics,
): Promise<void> {
  checkCollisions(topics, [...client.topics.keys()]);
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
  const replicationFactor = replicas === 0 ? DEFAULT_REPLICAS : replicas;
  for (const topic of topics) {
    const broker = await client.controller();
    try {
      await client.call(() =>
        broker.createTopics({
          topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }],
        }), "CreateTopics");
    } catch (error) {
      const { errors } = error as { errors?: readonly unknown[] };
      const why = errors?.[0] ?? error;
      if (errorCodeOf(why) === ErrorCode.TopicExists) continue;
      if (errorCodeOf(why) === null || isUnavailable(why)) throw error;
      throw new StopError(
        `Topic ${topic} cannot be created with ${partitions} partitions and ` +
          `${replicas === 0 ? "the brokers' default number of" : replicas} replicas: ${
            reasonOf(why)
          }`,
        "create it, or let the job do so: with the right to create topics, a kafka.replication.factor that is not " +
          "larger than the number of brokers, and a name that none has with . and _ exchanged",
        { cause: error },
      );
    }
  }
}

/** Brokers take . and _ for the same in names of metrics, and create no topic whose name another has then. */
function checkCollisions(wanted: readonly string[], existing: readonly string[]): void {
  const same = Map.groupBy(
    new Set([...wanted, ...existing]),
    (topic) => topic.replaceAll(".", "_"),
  );
  for (const topic of wanted) {
    const others = same.get(topic.replaceAll(".", "_"))!.filter((other) => other !== topic);
    if (others.length === 0) continue;
    throw new StopError(
      `Topic ${topic} cannot be created: its name collides with that of ${
        others.join(" and ")
      }, because brokers ` +
        "take . and _ for the same",
      "name one of them otherwise",
    );
  }
}

/** How often it is looked whether new topics have leaders. */
const LED_LOOK_MS = 50;
const LED_LOOKS_MAX = 100;

/** So often a cluster that does not take requests yet is asked again: brokers listen before they know a controller. */
const CREATE_TRIES_MAX = 60;
const CREATE_AGAIN_MS = 500;

/**
 * Creates topics with a client for this alone, and waits until they have leaders. A cluster that has no controller
 * at the moment, or is not there, is waited for.
 *
 * @throws what the last of many tries threw; {StopError} as createTopics does
 */
export async function createTopicsAt(
  connection: ConnectionOptions,
  topics: readonly string[],
  wanted: NewTopics,
): Promise<void> {
  for (let tries = 1;; tries++) {
    const client = new KafkaClient(connection, systemClock);
    try {
      await client.connect();
      const missing = topics.filter((topic) => !client.topics.has(topic));
      await createTopics(client, missing, wanted);
      return await untilLed(client, topics);
    } catch (error) {
      if (tries === CREATE_TRIES_MAX || !isUnavailable(error)) throw error;
    } finally {
      await client.close();
    }
    await systemClock.sleep(CREATE_AGAIN_MS);
  }
}

/**
 * Refreshes the metadata until every partition of the topics has a leader.
 *
 * @throws when that takes long: a topic that was still being deleted is gone now, and is to be created once more
 */
export async function untilLed(client: KafkaClient, topics: readonly string[]): Promise<void> {
  const isLed = (topic: string) => client.topics.has(topic) && !client.hasOffline([topic]);
  for (let look = 0; !topics.every(isLed); look++) {
    if (look === LED_LOOKS_MAX) {
      const names = topics.filter((topic) => !isLed(topic)).join(", ");
      throw Object.assign(protocolError(ErrorCode.UnknownTopicOrPartition), {
        message: `${names} cannot be used yet`,
      });
    }
    // Brokers hear of a new topic one after the other; those with ZooKeeper take a moment.
    await client.refresh().catch((error) => {
      if (!isTopicGone(error)) throw error;
    });
    await client.clock.sleep(LED_LOOK_MS);
  }
}

/** What is checked of a topic. */
interface Checked {
  readonly topic: string;
  readonly setting: string;
}

/** The parameters that name topics, by their roles. */
export const SETTING_OF: Readonly<Record<keyof WiredTopics, string>> = {
  transactions: "transaction.input.topic",
  queries: "query.input.topic",
  results: "transaction.output.topic",
  queryResults: "query.output.topic",
  summaries: "summary.output.topic",
  deadLetters: "deadletter.topic",
};

function namedTopics(topics: WiredTopics): Checked[] {
  return (Object.keys(SETTING_OF) as (keyof WiredTopics)[])
    .map((role): Checked => ({ topic: topics[role] ?? "", setting: SETTING_OF[role] }))
    .filter(({ topic }) => topic !== "");
}

/** @throws {StopError} naming all topics that are missing */
export function checkNames(topics: WiredTopics, missing: readonly string[]): void {
  const gone = namedTopics(topics).filter(({ topic }) => missing.includes(topic));
  if (gone.length === 0) return;
  throw new StopError(
    `Topics are missing: ${gone.map((m) => `${m.topic} (${m.setting})`).join(", ")}`,
    "create them, or let the job do it by kafka.create.topics=true; topics that are there are seen only " +
      "with the right to read or write them",
  );
}

/** The output topics of a job. */
export function outputsOf(topics: WiredTopics): string[] {
  const { results, queryResults, summaries, deadLetters } = topics;
  return [results, queryResults, summaries, deadLetters].filter((t): t is string => t !== null);
}

/**
 * @param settings of the topic of transactions; undefined: they are not known
 * @throws {StopError} when it is compacted
 */
export function checkCompaction(
  { transactions }: WiredTopics,
  settings: Settings | undefined,
): void {
  const cleanup = settings?.get("cleanup.policy") ?? "";
  if (!cleanup.includes("compact")) return;
  throw new StopError(
    `Topic ${transactions} is compacted (cleanup.policy=${cleanup}): it loses transactions`,
    "set its cleanup.policy to delete",
  );
}
