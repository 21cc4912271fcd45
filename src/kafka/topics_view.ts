// What is known of the topics of a job at a time, as all its threads use it, and what follows from a
// difference.

import { StopError } from "../log/mod.ts";
import { ErrorCode } from "./client/errors.ts";
import { protocolError } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { checkBatchBytes, limitsOf, type OutputLimits, type Settings } from "./output_limits.ts";
import { checkCompaction, outputsOf, SETTING_OF, topicNames } from "./topics.ts";
import type { WiredTopics } from "../service/mod.ts";

export interface TopicFacts {
  /** The topic's id (KIP-516); null where brokers have none. */
  readonly id: string | null;
  readonly partitions: number;
  /** Partitions without a leader. */
  readonly offline: readonly number[];
}

/** The topics of a job by name; can be cloned for another thread. */
export interface TopicsView {
  readonly topics: Readonly<Record<string, TopicFacts>>;
  /** What output topics take. */
  readonly limits: Readonly<Record<string, OutputLimits>>;
}

/** What was found at one look. */
export interface Look {
  /** Settings of topics; those that the job's user may not see are not in it. */
  readonly settings: ReadonlyMap<string, Settings>;
  readonly view: TopicsView;
  /** Topics that are not there. */
  readonly missing: readonly string[];
}

/**
 * Looks at the topics of a job.
 *
 * @throws {StopError} when one may not be looked at, or its settings make it useless
 */
export async function lookAt(client: KafkaClient, topics: WiredTopics): Promise<Look> {
  const names = topicNames(topics);
  const found = await client.describe(names);
  const missing: string[] = [];
  const facts: Record<string, TopicFacts> = {};
  for (const name of names) {
    const { errorCode, id, partitions, offline } = found.get(name) ?? ABSENT;
    if (errorCode === 0 && partitions > 0) facts[name] = { id, partitions, offline };
    else if (errorCode === ErrorCode.TopicAuthorizationFailed) {
      throw new StopError(
        `The job's user may not see topic ${settingOf(topics, name)}`,
        "give it the right to read its input topics and write its output topics",
      );
    } else if (errorCode === 0 || errorCode === ErrorCode.UnknownTopicOrPartition) {
      missing.push(name);
    } else throw protocolError(errorCode);
  }
  const settings = await client.topicConfigs(Object.keys(facts));
  checkCompaction(topics, settings.get(topics.transactions));
  const limits: Record<string, OutputLimits> = {};
  for (const name of outputsOf(topics).filter((output) => facts[output])) {
    const own = limits[name] = limitsOf(settings.get(name));
    checkBatchBytes(name, own);
  }
  return { view: { topics: facts, limits }, missing, settings };
}

const ABSENT = {
  errorCode: ErrorCode.UnknownTopicOrPartition,
  id: null,
  partitions: 0,
  offline: [],
  leaderEpochs: [],
};

/** A topic with the parameter that names it. */
export function settingOf(topics: WiredTopics, name: string): string {
  const role = (Object.keys(SETTING_OF) as (keyof WiredTopics)[]).find((r) => topics[r] === name);
  return role ? `${name} (${SETTING_OF[role]})` : name;
}

/** A topic is not the one any more that was read, or its records are not. */
export class ReplacedLogError extends StopError {}

/** The error for an input topic that is another one than before, under the same name. */
export function createdAnew(
  topic: string,
  was: string,
  is: string | null,
  whose: Whose,
): StopError {
  const now = is === null ? "" : `, and its id is ${is} now`;
  return new ReplacedLogError(
    `Topic ${topic} was deleted and created anew: ${was}${now}`,
    is !== null && whose.isQueries ? ACCEPT_QUERIES : remedyOf(topic, whose),
  );
}

/** Brokers may have forgotten the offsets of the topic before: to remove them would say nothing. */
const ACCEPT_QUERIES =
  "start once with --accept-offset, after which its queries are answered from the first one on";

/** The error for a log that has lost its last records and grown again: the topic is the same. */
export function logCut(topic: string, what: string, whose: Whose): StopError {
  return new ReplacedLogError(
    `Topic ${topic} has lost records that were read, and was written to since: ${what}; a leader may have been ` +
      "elected that lacked them (unclean.leader.election.enable), or files of a broker were lost",
    remedyOf(topic, whose),
  );
}

/** Whose input a topic is. */
interface Whose {
  readonly groupId: string;
  readonly isQueries: boolean;
}

function remedyOf(topic: string, { groupId, isQueries }: Whose): string {
  return isQueries
    ? `remove the offsets of group ${groupId} for it (kafka-consumer-groups.sh --delete-offsets --group ` +
      `${groupId} --topic ${topic}), after which its queries are answered from the first one on`
    : "start with another kafka.group.id and an empty file for the state (state.kv), which folds the new " +
      "topic from its first record; or restore the old one from a copy";
}

/**
 * Whether two looks at the topics agree on the identity of an input, and outputs are large enough.
 *
 * @param first as of the start of the process
 * @throws {StopError} when going on would lose, double or misplace records
 */
export function checkView(
  topics: WiredTopics,
  first: TopicsView,
  now: TopicsView,
  groupId: string,
): void {
  const { transactions, queries, results } = topics;
  for (const topic of [transactions, queries]) {
    const was = first.topics[topic]?.id ?? null;
    const is = now.topics[topic]?.id ?? null;
    if (was === null || is === null || was === is) continue;
    throw createdAnew(topic, `its id was ${was} when this process started`, is, {
      groupId,
      isQueries: topic === queries,
    });
  }
  const before = first.topics[transactions]!.partitions;
  const after = now.topics[transactions]?.partitions ?? before;
  if (after !== before) {
    throw new StopError(
      `Topic ${transactions} has ${after} partitions now, not ${before}: items have changed partitions`,
      "copy it to a topic with the number of partitions that it is to keep, by item, and start with " +
        "another kafka.group.id and an empty file for the state",
    );
  }
  const written = results === null ? null : now.topics[results];
  if (!written || written.partitions >= before) return;
  throw new StopError(
    `Topic ${results} has ${written.partitions} partitions, its input ${transactions} has ${before}`,
    `give ${results} at least ${before} partitions`,
  );
}
