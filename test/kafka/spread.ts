// A cluster of two brokers, of which one holds one partition of each of two: it is offline while that broker is
// down.

import { encodeUtf8, Partitioner, partitionOf } from "../../src/types/mod.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import type { SecondBroker } from "../../tools/kit/test_broker.ts";
import type { Scene, Stage } from "./scene.ts";
import { until } from "./until.ts";

/** Starts the second broker. The coordinators' own topics are made before, so that they stay on the first. */
export async function secondBroker(stage: Stage): Promise<SecondBroker> {
  const before = await (await stage.scene(1)).start();
  await waitReady(before);
  await stopInGoodOrder(before);
  return await stage.broker.startSecond();
}

/** An item that belongs to a partition of two. */
export function itemOf(partition: number): string {
  for (let n = 0;; n++) {
    const key = encodeUtf8(`item_${n}`);
    if (partitionOf(Partitioner.Murmur2, key, 2) === partition) return `item_${n}`;
  }
}

/** Creates a topic of two partitions, the second of which is on the second broker alone. */
export async function createSpread(stage: Stage, topic: string): Promise<void> {
  await stage.withAdmin((admin) =>
    until(`${topic} is created`, () =>
      admin.createTopics({
        topics: [{
          topic,
          replicaAssignment: [
            { partition: 0, replicas: [1] },
            { partition: 1, replicas: [2] },
          ],
        }],
        waitForLeaders: true,
      }).then(() => true, () => false))
  );
}

/** The same scene with topics of some roles that are spread over both brokers. */
export async function spread(
  stage: Stage,
  scene: Scene,
  ...roles: readonly (keyof Scene["topics"])[]
): Promise<Scene & { readonly use: Readonly<Record<string, string>> }> {
  const use = Object.fromEntries(roles.map((role) => [role, `spread-${scene.topics[role]}`]));
  for (const topic of Object.values(use)) await createSpread(stage, topic);
  return { ...scene, topics: { ...scene.topics, ...use }, use };
}
