// Where the group of a scene stands in partition 0 of a topic, as an administrator's tool reads and writes it.

import { systemClock } from "../../src/types/mod.ts";
import { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import { callCoordinator } from "../../src/kafka/client/retry.ts";
import { offsetCommitExchange } from "../../src/kafka/protocol/offset_commit.ts";
import type { Scene, Stage } from "./scene.ts";

/** A committed offset, and what is noted there. */
export interface Place {
  readonly offset: number;
  readonly metadata: string;
}

/** Offset -1 when nothing was committed. */
export async function placeOf(stage: Stage, { group }: Scene, topic: string): Promise<Place> {
  let place: Place | null = null;
  await stage.withAdmin(async (admin) => {
    const [of] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    const { offset, metadata } = of!.partitions[0]!;
    place = { offset: Number(offset), metadata: metadata ?? "" };
  });
  return place! as Place;
}

/** The group has no members. */
export async function setPlace(
  { broker }: Stage,
  { group }: Scene,
  topic: string,
  place: Place,
): Promise<void> {
  const client = new KafkaClient({ brokers: [broker.bootstrap], clientId: "tool" }, systemClock);
  await client.connect([]);
  const exchange = offsetCommitExchange(group, topic, [{ partition: 0, ...place }]);
  await callCoordinator(
    client,
    systemClock,
    "group",
    group,
    (coordinator) => coordinator.connectionPool.send(exchange),
  );
  await client.close();
}
