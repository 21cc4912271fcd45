import type { Waits } from "../engine/mod.ts";
import type { Clock } from "../types/mod.ts";
import { type ConnectionOptions, KafkaClient, NO_LEADER } from "./client/kafka_client.ts";

/** How often it is looked for a leader. */
const LOOK_MS = 500;
/** A leader that moves is there again within such looks: a claim waits for it. */
const MOVES_MAX = 5;
const MOVE_MS = 100;

/** What is looked at for leaders. */
type Leaders = Pick<KafkaClient, "leaderOf" | "refresh">;

/**
 * Partitions of inputs that have no leader, which Kafka calls offline: the brokers with their replicas are down. A
 * claim leaves them out, so that the others go on, and is made again when one has a leader. Outlives sessions.
 */
export class OfflinePartitions {
  /** Those that were left out of the last claims, as `topic-partition`. */
  readonly #known = new Set<string>();

  constructor(readonly waits: Waits, readonly clock: Clock) {}

  /** Which of some partitions have no leader; a new one is given a moment to have one. */
  async find(
    client: Leaders,
    topic: string,
    partitions: readonly number[],
  ): Promise<ReadonlyMap<number, string>> {
    const find = () => partitions.filter((p) => client.leaderOf(topic, p) === NO_LEADER);
    let offline = find();
    for (let look = 0; look < MOVES_MAX; look++) {
      if (offline.every((p) => this.#known.has(nameOf(topic, p)))) break;
      await this.clock.sleep(MOVE_MS);
      await client.refresh();
      offline = find();
    }
    for (const p of partitions) this.#known.delete(nameOf(topic, p));
    for (const p of offline) this.#known.add(nameOf(topic, p));
    if (offline.length === 0) this.waits.over(waitOf(topic, partitions));
    return new Map(offline.map((p) => [p, `partition ${p} of ${topic} has no leader`]));
  }

  /**
   * Waits until one of the partitions that were left out has a leader that answers.
   *
   * @param partitions all of the claim
   * @param offline those that were left out of it
   * @returns false when the signal was aborted before
   */
  async untilLed(
    connection: ConnectionOptions,
    topic: string,
    partitions: readonly number[],
    offline: ReadonlyMap<number, string>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const reason = `${
      [...offline.values()].join(", ")
    }; it is left out, and claimed when it has one`;
    // A client of its own: one that fails must not take the session with it.
    let client: KafkaClient | null = null;
    try {
      while (!signal.aborted) {
        this.waits.failed(waitOf(topic, partitions), "input", { reason, blocks: "nothing" });
        await this.clock.sleep(LOOK_MS, signal);
        if (signal.aborted) return false;
        try {
          if (client) await client.refresh();
          else await (client = new KafkaClient(connection, this.clock)).connect([topic]);
          const led = [...offline.keys()].filter((p) => client!.leaderOf(topic, p) !== NO_LEADER);
          if (led.length === 0) continue;
          await client.offsets(topic, led, "latest");
          // Should another broker not know the leader yet, the claim gives it a moment.
          for (const p of led) this.#known.delete(nameOf(topic, p));
          return !signal.aborted;
        } catch {
          void client?.close().catch(() => {});
          client = null;
        }
      }
      return false;
    } finally {
      void client?.close().catch(() => {});
    }
  }
}

function nameOf(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

/** Workers of one thread claim different partitions of a topic. */
function waitOf(topic: string, partitions: readonly number[]): string {
  return `offline ${nameOf(topic, partitions[0] ?? 0)}`;
}
