import { StopError } from "../log/mod.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { groupRightsExchange, mayDo, Operation, topicRightsExchange } from "./protocol/rights.ts";
import { SETTING_OF, topicNames } from "./topics.ts";
import type { WiredTopics } from "../service/mod.ts";

/** What a job does with its topics. */
const NEEDED: Readonly<Record<keyof WiredTopics, keyof typeof Operation>> = {
  transactions: "Read",
  queries: "Read",
  results: "Write",
  queryResults: "Write",
  summaries: "Write",
  deadLetters: "Write",
};

/**
 * Looks at the rights of the user, as far as the brokers show them, without using one.
 *
 * @param group consumer group; its transactional ids begin with it
 * @throws {StopError} naming all that is missing
 * @throws what the brokers refuse at once, see stopErrorOf
 */
export async function checkRights(
  client: KafkaClient,
  topics: WiredTopics,
  group: string,
): Promise<void> {
  const existing = topicNames(topics).filter((topic) => client.topics.has(topic));
  const { found } = await client.send(await client.controller(), topicRightsExchange(existing));
  const missing: string[] = [];
  for (const role of Object.keys(NEEDED) as (keyof WiredTopics)[]) {
    const rights = found.get(topics[role] ?? "");
    if (!rights || mayDo(rights, Operation[NEEDED[role]])) continue;
    missing.push(`${NEEDED[role]} on topic ${topics[role]} (${SETTING_OF[role]})`);
  }
  const coordinator = await client.coordinator("group", group);
  const ofGroup = await client.send(coordinator, groupRightsExchange(group));
  if (!mayDo(ofGroup.found, Operation.Read)) {
    missing.push(`Read on group ${group} (kafka.group.id)`);
  }
  // To find the coordinator of one needs a right to it.
  await client.coordinator("transaction", `${group}-t-0`);
  if (missing.length === 0) return;
  throw new StopError(
    `The job's user lacks rights: ${missing.join(", ")}`,
    "let the user do that (kafka-acls --add --allow-principal User:<name> --operation ...)",
  );
}
