import type { Waits } from "../engine/mod.ts";
import type { Clock } from "../types/mod.ts";
import { type ConnectionOptions, KafkaClient, NO_LEADER } from "./client/kafka_client.ts";

/** How often it is looked for a leader. */
const LOOK_MS = 500;
/** A leader that moves is there again within such looks: a claim waits for it. */
const MOVES_MAX = 5;
const MOVE_MS = 100;

/** A partition of any topic. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

export function nameOf({ topic, partition }: Place): string {
  return `${topic}-${partition}`;
}

/** Why a partition is left out that needs another one. */
export function reasonOfOffline({ topic, partition }: Place): string {
  return `partition ${partition} of ${topic} has no leader`;
}

/** What is looked at for leaders. */
type Leaders = Pick<KafkaClient, "leaderOf" | "refresh">;

/**
 * Partitions that have no leader, which Kafka calls offline: the brokers with their replicas are down. A claim
 * leaves out those of its input, and those that write to one, so that the others go on; it is made again when one
 * has a leader. Outlives sessions.
 */
export class OfflinePartitions {
  /** Those for which partitions were left out of the last claims, as `topic-partition`. */
  readonly #known = new Set<string>();
  /** Those that are written to from time to time, and were to be written to in vain. */
  readonly needed = new Set<string>();

  constructor(readonly waits: Waits, readonly clock: Clock) {}

  /**
   * Which of some partitions are to be left out, by the partition that has no leader; a new one is given a moment
   * to have one.
   *
   * @param outputsOf what a partition writes to
   */
  async find(
    client: Leaders,
    topic: string,
    partitions: readonly number[],
    outputsOf: (partition: number) => readonly Place[],
  ): Promise<ReadonlyMap<number, Place>> {
    const isOffline = (place: Place) => client.leaderOf(place.topic, place.partition) === NO_LEADER;
    const places = partitions.map((partition) => [{ topic, partition }, ...outputsOf(partition)]);
    const find = () =>
      new Map(
        partitions.map((p, i) => [p, places[i]!.find(isOffline)] as const)
          .filter((entry): entry is [number, Place] => entry[1] !== undefined),
      );
    let offline = find();
    for (let look = 0; look < MOVES_MAX; look++) {
      if ([...offline.values()].every((place) => this.#known.has(nameOf(place)))) break;
      await this.clock.sleep(MOVE_MS);
      await client.refresh();
      offline = find();
    }
    for (const name of places.flat().filter((place) => !isOffline(place)).map(nameOf)) {
      this.#known.delete(name);
      this.needed.delete(name);
    }
    for (const place of offline.values()) this.#known.add(nameOf(place));
    if (offline.size === 0) this.waits.over(waitOf(topic, partitions));
    return offline;
  }

  /**
   * Waits until one of the partitions that have no leader has one that answers.
   *
   * @param partitions all of the claim
   * @param offline those that were left out of it, by the partition that has no leader
   * @returns false when the signal was aborted before
   */
  async untilLed(
    connection: ConnectionOptions,
    topic: string,
    partitions: readonly number[],
    offline: ReadonlyMap<number, Place>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const places = [...new Map([...offline.values()].map((p) => [nameOf(p), p])).values()];
    const writing = [...offline].filter(([, place]) => place.topic !== topic).map(([p]) => p);
    const who = writing.length === 0
      ? "it"
      : `partition ${writing.join(", ")} of ${topic}, which writes to it,`;
    const reason = `${
      places.map(reasonOfOffline).join(", ")
    }; ${who} is left out until there is one`;
    // A client of its own: one that fails must not take the session with it.
    let client: KafkaClient | null = null;
    try {
      while (!signal.aborted) {
        this.waits.failed(waitOf(topic, partitions), "input", { reason, blocks: "nothing" });
        await this.clock.sleep(LOOK_MS, signal);
        if (signal.aborted) return false;
        try {
          if (client) await client.refresh();
          else {
            client = new KafkaClient(connection, this.clock);
            await client.connect([...new Set(places.map((p) => p.topic))]);
          }
          const led = places.filter((p) => client!.leaderOf(p.topic, p.partition) !== NO_LEADER);
          for (const { topic, partition } of led) {
            await client.offsets(topic, [partition], "latest");
          }
          // Should another broker not know the leader yet, the claim gives it a moment.
          for (const place of led) this.#known.delete(nameOf(place));
          if (led.length > 0) return !signal.aborted;
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

/** Workers of one thread claim different partitions of a topic. */
function waitOf(topic: string, partitions: readonly number[]): string {
  return `offline ${nameOf({ topic, partition: partitions[0] ?? 0 })}`;
}
