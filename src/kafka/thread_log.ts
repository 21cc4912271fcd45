import { type Log, type LogSession, ofTopic } from "../log/mod.ts";
import { Waits } from "../job/mod.ts";
import { remoteConditions } from "../job/threads/remote_conditions.ts";
import type { Rpc } from "../job/threads/rpc.ts";
import type { Clock } from "../types/mod.ts";
import { transactionalId } from "./kafka_log.ts";
import { KafkaSession, type SessionFacts } from "./kafka_session.ts";
import type { GroupMember } from "./transactional_producer.ts";

/** What a worker thread is told of the log. */
export interface KafkaThreadFacts {
  readonly id: string;
  readonly partitions: Readonly<Record<string, number>>;
  readonly session: SessionFacts;
}

/**
 * The log in a worker thread: records go over connections of its own; membership of the group, and so
 * the right to claim, is a call to the control plane.
 */
export class KafkaThreadLog implements Log {
  readonly #waits: Waits;

  constructor(readonly facts: KafkaThreadFacts, readonly rpc: Rpc, readonly clock: Clock) {
    this.#waits = new Waits(remoteConditions(rpc), clock);
  }

  get id(): string {
    return this.facts.id;
  }

  partitionsOf(topic: string): number {
    return ofTopic(this.facts.partitions[topic], topic);
  }

  async claim(
    input: string,
    partitions: readonly number[] = [],
    signal?: AbortSignal,
  ): Promise<LogSession> {
    const member = await this.rpc.call<GroupMember>(
      "kafkaClaim",
      [partitions],
      signal ? { signal } : {},
    );
    const ending = new AbortController();
    const session = await KafkaSession.open({
      facts: this.facts.session,
      clock: this.clock,
      input,
      partitions,
      waits: this.#waits,
      member,
      transactionalId: transactionalId(this.facts.session.groupId, partitions[0]!),
      mayBeNew: false,
      ending: ending.signal,
      onClosed: () => this.rpc.notify("kafkaReleased", [member.generation]),
    });
    // Both calls end with the session, which they would keep until its generation is over.
    const { ended } = session;
    void this.rpc.call<void>("kafkaEnding", [member.generation], { signal: ended })
      .then(() => ending.abort("ending"), () => {});
    void this.rpc.call<never>("kafkaEnded", [member.generation], { signal: ended })
      .catch((reason: Error) => session.end(reason));
    return session;
  }
}
