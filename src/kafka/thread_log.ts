import { type LogSession, ofTopic, PlainLog } from "../log/mod.ts";
import { Waits } from "../engine/mod.ts";
import { remoteConditions } from "../engine/threads/remote_conditions.ts";
import { OfflinePartitions } from "./offline_partitions.ts";
import { OutputForm } from "./output_form.ts";
import type { KafkaCalls } from "./kafka_log.ts";
import type { TopicsView } from "./topics_view.ts";
import type { ConditionCalls } from "../engine/threads/remote_conditions.ts";
import type { Caller } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";
import { KafkaSession, type PartitionOutputs, type SessionFacts } from "./kafka_session.ts";
import { TransactionalIds } from "./transactional_ids.ts";

/** What a worker thread knows of the log. */
export interface KafkaThreadFacts {
  readonly id: string;
  readonly topicId: string | null;
  /** The topics as they were when the process started. */
  readonly view: TopicsView;
  readonly deadLetters: string | null;
  readonly outputs: PartitionOutputs;
  readonly session: SessionFacts;
}

/**
 * The log in a worker thread: records go over connections of its own; membership of the group, and so
 * the right to claim, is a call to the control plane.
 */
export class KafkaThreadLog extends PlainLog {
  readonly #waits: Waits;
  /** As of the newest claim. */
  #view: TopicsView;
  readonly #form: OutputForm;
  readonly #offlinePartitions: OfflinePartitions;
  readonly #ids = new TransactionalIds();

  constructor(
    readonly facts: KafkaThreadFacts,
    readonly rpc: Caller<KafkaCalls & ConditionCalls>,
    readonly clock: Clock,
  ) {
    super();
    this.#waits = new Waits(remoteConditions(rpc), clock);
    this.#view = facts.view;
    this.#form = new OutputForm(facts.deadLetters);
    this.#offlinePartitions = new OfflinePartitions(this.#waits, clock);
  }

  override get id(): string {
    return this.facts.id;
  }

  override get topicId(): string | null {
    return this.facts.topicId;
  }

  partitionsOf(topic: string): number {
    return ofTopic(this.#view.topics[topic]?.partitions, topic);
  }

  async claim(
    input: string,
    wanted: readonly number[] = [],
    signal?: AbortSignal,
    worker = wanted[0] ?? 0,
  ): Promise<LogSession> {
    const { member, view, partitions, transactionalId } = await this.rpc.call(
      "kafkaClaim",
      [wanted, worker],
      signal ? { signal } : {},
    );
    this.#view = view;
    const ending = new AbortController();
    const closed = new AbortController();
    // It releases the claim when it ends: with the session, with its generation, or with this thread.
    const over = this.rpc.call("kafkaEnded", [member.generation], { signal: closed.signal });
    over.catch(() => {}); // until there is a session
    const session = await KafkaSession.open({
      facts: this.facts.session,
      view,
      form: this.#form,
      offlinePartitions: this.#offlinePartitions,
      ids: this.#ids,
      outputs: this.facts.outputs,
      clock: this.clock,
      input,
      partitions,
      waits: this.#waits,
      member,
      transactionalId,
      isQueries: false,
      ending: ending.signal,
      onAdded: (added) => this.rpc.notify("kafkaAdded", [member.generation, added]),
      onClosed: () => closed.abort("closed"),
    });
    // Both calls end with the session, which they would keep until its generation is over.
    void this.rpc.call("kafkaEnding", [member.generation], { signal: session.ended })
      .then(() => ending.abort("ending"), () => {});
    void over.catch((reason: Error) => session.end(reason));
    return session;
  }
}
