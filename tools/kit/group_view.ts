// A consumer group as its broker shows it to a stock client.

import { type Admin, Kafka, logLevel } from "kafkajs";

const ATTEMPTS = 20;
const ATTEMPT_MS = 200;

export class GroupView {
  private constructor(readonly admin: Admin, readonly groupId: string) {}

  static async open(bootstrap: string, groupId: string): Promise<GroupView> {
    const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    return new GroupView(admin, groupId);
  }

  /** Records of topics behind the group's committed offsets, over all partitions. */
  async lag(topics: readonly string[]): Promise<number> {
    let lag = 0;
    for (const topic of topics) {
      const ends = await again(() => this.admin.fetchTopicOffsets(topic));
      const { groupId } = this;
      const [committed] = await again(() => this.admin.fetchOffsets({ groupId, topics: [topic] }));
      for (const { partition, offset } of committed!.partitions) {
        // -1 = nothing is committed yet
        lag += Number(ends.find((e) => e.partition === partition)!.offset) -
          Math.max(0, Number(offset));
      }
    }
    return lag;
  }

  /** Whether the broker has such a group, of either protocol. */
  async exists(): Promise<boolean> {
    const { groups } = await again(() => this.admin.listGroups());
    return groups.some(({ groupId }) => groupId === this.groupId);
  }

  /** Ids of the members. */
  async members(): Promise<string[]> {
    const { groups } = await again(() => this.admin.describeGroups([this.groupId]));
    return groups[0]!.members.map((m) => m.memberId);
  }

  close(): Promise<void> {
    return this.admin.disconnect();
  }
}

/** Asks again while a coordinator moves or is busy: the stock client does not. */
async function again<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error as { retriable?: boolean }).retriable || attempt === ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_MS));
    }
  }
}
