// A consumer group as its broker shows it to a stock client.

import { type Admin, Kafka, logLevel } from "kafkajs";

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
      const ends = await this.admin.fetchTopicOffsets(topic);
      const [committed] = await this.admin.fetchOffsets({
        groupId: this.groupId,
        topics: [topic],
      });
      for (const { partition, offset } of committed!.partitions) {
        lag += Number(ends.find((e) => e.partition === partition)!.offset) - Number(offset);
      }
    }
    return lag;
  }

  /** Ids of the members. */
  async members(): Promise<string[]> {
    const { groups } = await this.admin.describeGroups([this.groupId]);
    return groups[0]!.members.map((m) => m.memberId);
  }

  close(): Promise<void> {
    return this.admin.disconnect();
  }
}
