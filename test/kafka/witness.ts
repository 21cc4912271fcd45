// What kafkajs sees in a topic under read_committed; see aborted_records.ts.

import { type IHeaders, Kafka, logLevel, Partitioners } from "kafkajs";
import { hideAbortedRecords } from "./aborted_records.ts";
import { within } from "./until.ts";

hideAbortedRecords();

export interface WitnessedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: IHeaders;
  /** The same as they came. */
  readonly bytes: { readonly key: Uint8Array | null; readonly value: Uint8Array | null };
}

const SENTINEL = "end of what the witness reads";

/**
 * All committed records of a topic, by partition. A record of our own at the end of each partition shows
 * when everything before it was read; those of earlier witnesses are passed over.
 */
export async function witness(bootstrap: string, topic: string): Promise<WitnessedRecord[][]> {
  const kafka = new Kafka({
    brokers: [bootstrap],
    clientId: "witness",
    logLevel: logLevel.NOTHING,
  });
  const admin = kafka.admin();
  await admin.connect();
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  const partitions = topics[0]!.partitions.length;
  await admin.disconnect();
  const sentinel = `${SENTINEL} ${crypto.randomUUID()}`;
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  await producer.send({
    topic,
    messages: Array.from(
      { length: partitions },
      (_, partition) => ({ partition, value: sentinel }),
    ),
  });
  await producer.disconnect();
  const groupId = `witness-${crypto.randomUUID()}`;
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const records: WitnessedRecord[][] = Array.from({ length: partitions }, () => []);
  // Nothing is committed: a consumer that joins anew, as after a pause, begins again.
  const next = new Array<number>(partitions).fill(0);
  const open = new Set(Array.from({ length: partitions }, (_, p) => p));
  const all = Promise.withResolvers<void>();
  await consumer.run({
    autoCommit: false,
    eachBatch: ({ batch: { partition, messages } }) => {
      for (const m of messages) {
        const offset = Number(m.offset);
        if (offset < next[partition]!) continue;
        next[partition] = offset + 1;
        const value = m.value?.toString() ?? null;
        if (value === sentinel) {
          open.delete(partition);
          if (open.size === 0) all.resolve();
        }
        if (value?.startsWith(SENTINEL)) continue;
        records[partition]!.push({
          partition,
          offset,
          timestamp: Number(m.timestamp),
          key: m.key?.toString() ?? null,
          value,
          headers: m.headers ?? {},
          bytes: { key: m.key, value: m.value },
        });
      }
      return Promise.resolve();
    },
  });
  const ended = within(`topic ${topic} is read to its end`, all.promise);
  await ended.finally(() => consumer.disconnect());
  return records;
}
