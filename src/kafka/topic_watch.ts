import { getLogger } from "@logtape/logtape";
import { LostError, StopError } from "../log/mod.ts";
import type { ConditionReporter } from "../engine/mod.ts";
import { ofTopic } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import type { WiredTopics } from "../service/mod.ts";
import { checkView, lookAt, settingOf, type TopicsView } from "./topics_view.ts";

const log = getLogger(["stockflow", "kafka"]);

/** How often it is looked whether a topic that is gone is there again. */
const GONE_LOOK_MS = 500;
/** The condition's name. */
const TOPIC = "topic";

export interface TopicWatchOptions {
  readonly topics: WiredTopics;
  readonly groupId: string;
  /** The cluster as it was when the process started. */
  readonly clusterId: string;
  /** The topics as they were when the process started. */
  readonly first: TopicsView;
  readonly clock: Clock;
  readonly conditions: ConditionReporter;
  /** Gives a client that is connected. */
  readonly client: () => Promise<KafkaClient>;
}

/**
 * What the topics of a job are now: looked at before every claim and from time to time. Of the control
 * plane; worker threads are given the view with their claims.
 */
export class TopicWatch {
  #view: TopicsView;
  #missing: readonly string[] = [];
  /** The look that is under way, for all who ask meanwhile. */
  #looking: Promise<void> | null = null;

  constructor(readonly options: TopicWatchOptions) {
    this.#view = options.first;
  }

  get view(): TopicsView {
    return this.#view;
  }

  partitionsOf(topic: string): number {
    return ofTopic(this.#view.topics[topic]?.partitions, topic);
  }

  /**
   * Looks at all topics; what is missing stays in the view as it was, and is a condition until it is back.
   *
   * @throws {StopError} when the job cannot go on with the topics as they are
   */
  look(): Promise<void> {
    return this.#looking ??= this.#look().finally(() => this.#looking = null);
  }

  async #look(): Promise<void> {
    const { topics, first, groupId } = this.options;
    const client = await this.options.client();
    this.#checkCluster(client);
    const { view, missing } = await lookAt(client, topics);
    checkView(topics, first, view, groupId);
    this.#report(view, missing);
    this.#view = { ...view, topics: { ...this.#view.topics, ...view.topics } };
  }

  /** Another cluster may answer at the address: one that was made anew, or is behind a name that was moved. */
  #checkCluster(client: KafkaClient): void {
    const { clusterId } = this.options;
    if (client.clusterId === clusterId) return;
    throw new StopError(
      `Kafka at ${
        client.options.brokers.join(",")
      } is another cluster now: its id was ${clusterId} when this ` +
        `process started, and is ${client.clusterId}`,
      "see kafka.bootstrap.servers; a job on another cluster has a file for the state (state.kv) of its own",
    );
  }

  #report(view: TopicsView, missing: readonly string[]): void {
    const { topics, conditions } = this.options;
    for (const [topic, { id, partitions }] of Object.entries(view.topics)) {
      const before = this.#view.topics[topic]!;
      if (before.id !== id) {
        log.warn("Topic {topic} was created anew: what was written to the one before is gone", {
          topic,
        });
      } else if (before.partitions !== partitions) {
        log.info("Topic {topic} has {partitions} partitions now", { topic, partitions });
      }
    }
    const names = missing.map((name) => settingOf(topics, name)).join(", ");
    if (missing.length > 0) {
      const reason = `Kafka has no topic ${names}; the job goes on when it is there again`;
      conditions.set(TOPIC, { reason, blocks: "writes" });
    } else if (this.#missing.length > 0) conditions.clear(TOPIC);
    this.#missing = missing;
  }

  /**
   * Looks until all topics are there.
   *
   * @throws {LostError} when the signal is aborted before
   * @throws {StopError} when the job cannot go on with them
   */
  async whole(signal: AbortSignal): Promise<TopicsView> {
    while (true) {
      await this.look();
      if (this.#missing.length === 0) return this.#view;
      await this.options.clock.sleep(GONE_LOOK_MS, signal);
      if (signal.aborted) throw new LostError("The claim was given up");
    }
  }

  /**
   * Looks from time to time, until the signal is aborted.
   *
   * @param onChange is called when topics have more or fewer partitions
   * @param onStop is given why the job cannot go on
   */
  async run(
    intervalMs: number,
    signal: AbortSignal,
    onChange: () => void,
    onStop: (error: unknown) => void,
  ): Promise<void> {
    const { clock } = this.options;
    while (!signal.aborted) {
      await clock.sleep(this.#missing.length > 0 ? GONE_LOOK_MS : intervalMs, signal);
      if (signal.aborted) return;
      const before = this.#view;
      try {
        await this.look();
      } catch (error) {
        onStop(error);
        continue;
      }
      if (!isSame(before, this.#view)) onChange();
    }
  }
}

function isSame(a: TopicsView, b: TopicsView): boolean {
  return Object.entries(a.topics).every(([topic, { partitions }]) =>
    b.topics[topic]?.partitions === partitions
  );
}
