import { Fetcher } from "../src/kafka/fetcher.ts";
import { KafkaClient } from "../src/kafka/client/kafka_client.ts";
import { batchInfo, systemClock } from "../src/types/mod.ts";

const READ_BYTES = 1_000_000;
const WAIT_MS = 500;

export type OnBatch = (batch: Uint8Array, partition: number) => void;

/** Reads all partitions of a topic under read_committed, as records become visible. */
export class CommittedReader {
  readonly #client: KafkaClient;
  readonly #stop = new AbortController();
  #done: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly topic: string,
    bootstrap: string,
    /** Is given every batch with records, and its partition. */
    readonly onBatch: OnBatch,
  ) {
    this.#client = new KafkaClient({ brokers: [bootstrap], clientId: "reader" }, systemClock);
  }

  /** Reads from what is the topic's end now, or from its start. */
  static async open(
    bootstrap: string,
    topic: string,
    onBatch: OnBatch,
    from: "earliest" | "latest" = "latest",
  ): Promise<CommittedReader> {
    const reader = new CommittedReader(topic, bootstrap, onBatch);
    await reader.#open(from);
    return reader;
  }

  async #open(from: "earliest" | "latest"): Promise<void> {
    const { topic } = this;
    const client = this.#client;
    await client.connect([topic]);
    const partitions = Array.from({ length: client.topics.get(topic)! }, (_, p) => p);
    const ends = await client.offsets(topic, partitions, "latest");
    const starts = from === "latest" ? ends : await client.offsets(topic, partitions, from);
    const input = { name: topic, id: null, groupId: "reader", isQueries: false };
    const fetcher = new Fetcher({ client, topic: input, clock: systemClock, ends });
    this.#done = Promise.all(
      partitions.map((partition) => this.#read(fetcher, partition, starts.get(partition)!)),
    );
  }

  async #read(fetcher: Fetcher, partition: number, from: number): Promise<void> {
    const { signal } = this.#stop;
    for (let offset = from; !signal.aborted;) {
      const options = { maxBytes: READ_BYTES, waitMs: WAIT_MS, signal };
      const { batches } = await fetcher.read(partition, offset, options);
      for (const batch of batches) {
        const { records, lastOffset } = batchInfo(batch);
        if (records > 0) this.onBatch(batch, partition);
        offset = lastOffset + 1;
      }
    }
    fetcher.close(new Error("The reader was closed"));
  }

  /** Fails when reading does; else settles when it is closed. */
  get done(): Promise<unknown> {
    return this.#done;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#done.catch(() => {});
    await this.#client.close();
  }
}
