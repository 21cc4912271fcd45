// Writes transactions into a topic as fast as a test needs them.

import { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import type { ProducedBatch } from "../../src/kafka/protocol/produce.ts";
import {
  encodeUtf8,
  type NewRecord,
  Partitioner,
  partitionOf,
  splitIntoBatches,
  systemClock,
} from "../../src/types/mod.ts";

const BATCH_BYTES_MAX = 200_000;
const CONNECT_MS_MAX = 30_000;
/** Twice what the start of a broker may take: one that stays away so long does not come back. */
const AWAY_MS_MAX = 600_000;

/** Appends records to partitions of one topic, and waits until they are there. */
export class Loader {
  private constructor(
    readonly bootstrap: string,
    readonly topic: string,
    readonly partitions: number,
    public client: KafkaClient,
  ) {}

  static async open(bootstrap: string, topic: string): Promise<Loader> {
    const client = await untilConnected(bootstrap, topic);
    return new Loader(bootstrap, topic, client.topics.get(topic)!, client);
  }

  /** The record of a line `id TAB ts TAB item TAB quantity`, keyed by its item. */
  recordOf(line: string, timestamp: number): NewRecord {
    return { timestamp, key: encodeUtf8(line.split("\t")[2]!), value: encodeUtf8(line) };
  }

  /** Where a record belongs by its key. */
  partitionOf({ key }: NewRecord): number {
    return partitionOf(Partitioner.Murmur2, key!, this.partitions);
  }

  /**
   * Sends records to the partitions of their keys; they are sent again while the broker is not there.
   *
   * @throws {Error} when it takes none for ten minutes
   */
  async append(records: readonly NewRecord[]): Promise<void> {
    const byPartition = Map.groupBy(records, (r) => this.partitionOf(r));
    const queues = [...byPartition].map(([partition, some]) => ({
      partition,
      batches: splitIntoBatches(some, BATCH_BYTES_MAX),
    }));
    // A request holds one batch of a partition at the most.
    const depth = Math.max(0, ...queues.map(({ batches }) => batches.length));
    for (let k = 0; k < depth; k++) {
      await this.#send(
        queues.filter(({ batches }) => k < batches.length)
          .map(({ partition, batches }) => ({ topic: this.topic, partition, bytes: batches[k]! })),
      );
    }
  }

  /**
   * Sends one batch of records to each of some partitions, in one request to each leader.
   *
   * @throws {RangeError} when records of a partition are too many for one batch
   */
  async appendEach(byPartition: Iterable<readonly [number, readonly NewRecord[]]>): Promise<void> {
    await this.#send([...byPartition].map(([partition, records]) => {
      const [bytes, ...more] = splitIntoBatches(records, BATCH_BYTES_MAX);
      if (more.length > 0) throw new RangeError(`Too many for a batch: ${records.length} records`);
      return { topic: this.topic, partition, bytes: bytes! };
    }));
  }

  async appendTo(partition: number, records: readonly NewRecord[]): Promise<void> {
    for (const bytes of splitIntoBatches(records, BATCH_BYTES_MAX)) {
      await this.send(partition, bytes);
    }
  }

  /** Sends a batch as it is. */
  send(partition: number, bytes: Uint8Array): Promise<void> {
    return this.#send([{ topic: this.topic, partition, bytes }]);
  }

  /** Sends a batch as it is to each of some partitions, in one request to each leader. */
  sendEach(batches: readonly (readonly [number, Uint8Array])[]): Promise<void> {
    const { topic } = this;
    return this.#send(batches.map(([partition, bytes]) => ({ topic, partition, bytes })));
  }

  /** Sends batches of different partitions, one request to each leader. */
  async #send(batches: readonly ProducedBatch[]): Promise<void> {
    let left = batches;
    const deadline = performance.now() + AWAY_MS_MAX;
    while (left.length > 0) {
      if (performance.now() > deadline) {
        throw new Error(`${this.bootstrap} takes no records of ${this.topic}`);
      }
      const byLeader = Map.groupBy(left, (b) => this.client.leaderOf(b.topic, b.partition));
      const refused = await Promise.all(
        [...byLeader].map(([nodeId, some]) => this.#produce(nodeId, some)),
      );
      left = refused.flat();
      if (left.length === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
      await this.#reconnect();
    }
  }

  /**
   * The batches that are not known to be there. They are sent again: a record that comes twice is two
   * inputs, and the verdict counts both.
   */
  async #produce(nodeId: string, batches: readonly ProducedBatch[]): Promise<ProducedBatch[]> {
    try {
      const { acknowledged } = await this.client.produce(nodeId, null, batches);
      const { partitions } = await acknowledged;
      return batches.filter((b) =>
        partitions.find((p) => p.partition === b.partition)?.errorCode !== 0
      );
    } catch {
      return [...batches];
    }
  }

  /** Several senders share the next client. */
  async #reconnect(): Promise<void> {
    const broken = this.client;
    const next = await connect(this.bootstrap, this.topic).catch(() => null);
    if (!next) return;
    if (this.client !== broken) return void next.close();
    this.client = next;
    void broken.close().catch(() => {});
  }

  close(): Promise<void> {
    return this.client.close();
  }
}

/** A broker that was just started, or that another has just left, does not know its topics yet. */
async function untilConnected(bootstrap: string, topic: string): Promise<KafkaClient> {
  const deadline = performance.now() + CONNECT_MS_MAX;
  while (true) {
    try {
      return await connect(bootstrap, topic);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function connect(bootstrap: string, topic: string): Promise<KafkaClient> {
  const client = new KafkaClient({ brokers: [bootstrap], clientId: "loader" }, systemClock);
  await client.connect([topic]).catch((error) => {
    void client.close().catch(() => {});
    throw error;
  });
  return client;
}
