// A topic of one leader before what fetches and looks at logs, without any connection.

import { assertEquals } from "@std/assert";
import { ErrorCode } from "../../src/kafka/client/errors.ts";
import { Fetcher, type FetcherOptions } from "../../src/kafka/fetcher.ts";
import type { FetchAnswer, FetchedFrom, FetchedTopic } from "../../src/kafka/protocol/fetch.ts";
import type { TopicMetadata } from "../../src/kafka/protocol/metadata.ts";
import { encodeBatch, encodeUtf8, setBaseOffset, systemClock } from "../../src/types/mod.ts";

/** How it is named where its id is not known. */
export const named = { name: "t", id: null, groupId: "group", isQueries: false };

/** What one read asks for. */
export const READ = { maxBytes: 1024, waitMs: 5000 };

/** Reads a topic, by default from no known end on. */
export function fetcherOf(
  client: Topic,
  options: Partial<Omit<FetcherOptions, "client">> = {},
): Fetcher {
  return new Fetcher({ client, topic: named, clock: systemClock, ends: new Map(), ...options });
}

/** Reads the first records of partition 0, each of which is a batch. */
export async function readAll(fetcher: Fetcher, count: number): Promise<void> {
  for (let offset = 0; offset < count; offset++) {
    assertEquals((await fetcher.read(0, offset, READ)).batches.length, 1);
  }
}

export function batchAt(offset: number, value: string): Uint8Array {
  const batch = encodeBatch([{ timestamp: 1, key: null, value: encodeUtf8(value) }]);
  setBaseOffset(batch, offset);
  return batch;
}

function aMoment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** A partition of one-record batches, whose topic may be gone, or another under the same name. */
export class Topic {
  values: string[] = [];
  id: string | null = null;
  /** Error codes that the next fetches get. */
  failures: number[] = [];
  /** Records at the end that the leader does not show yet. */
  hidden = 0;
  /** The log's start: what lies before it retention has removed. */
  start = 0;
  /** How often the partition was given a leader. */
  leaderEpoch = 0;
  /** So many of the next fetches a quota holds back. */
  heldBack = 0;
  /** Partitions whose batch does not come with those of others. */
  large: number[] = [];
  /** Partitions of each fetch. */
  readonly asked: number[][] = [];
  readonly isBroken = false;

  leaderOf(): string {
    return "1";
  }

  refresh(): Promise<void> {
    return Promise.resolve();
  }

  describe([topic]: readonly string[]): Promise<Map<string, TopicMetadata>> {
    const leaderEpochs = [this.leaderEpoch];
    const facts = { errorCode: 0, id: this.id, partitions: 1, offline: [], leaderEpochs };
    return Promise.resolve(new Map([[topic!, { topic: topic!, ...facts }]]));
  }

  offsets(_: string, partitions: readonly number[], which: string): Promise<Map<number, number>> {
    const offset = which === "earliest" ? this.start : this.values.length - this.hidden;
    return Promise.resolve(new Map(partitions.map((p) => [p, offset])));
  }

  async fetch(_: string, _t: FetchedTopic, from: readonly FetchedFrom[]): Promise<FetchAnswer> {
    this.asked.push(from.map(({ partition }) => partition));
    if (this.heldBack-- > 0) {
      await aMoment(); // kafkajs waits as long as the broker wants
      return { clientSideThrottleTime: 100, errorCode: 0, partitions: [] };
    }
    const end = this.values.length;
    const shown = end - this.hidden;
    // With an error brokers do not say where the log begins.
    const facts = { highWatermark: shown, lastStableOffset: shown, logStart: -1, aborted: [] };
    const partitions = from.map(({ partition, offset, leaderEpoch = -1 }) => {
      const outside = offset > end || offset < this.start ? ErrorCode.OffsetOutOfRange : 0;
      const isFenced = leaderEpoch !== -1 && leaderEpoch < this.leaderEpoch;
      const refusal = isFenced ? ErrorCode.FencedLeaderEpoch : outside;
      const errorCode = this.failures.shift() ?? refusal;
      const fits = from.length === 1 || !this.large.includes(partition);
      const held = errorCode === 0 && fits && offset < shown;
      const records = held ? batchAt(offset, this.values[offset]!) : new Uint8Array();
      return { partition, errorCode, records, ...facts };
    });
    const holdsBack = partitions.every(({ records }) => records.length === 0);
    if (holdsBack) await aMoment();
    return { clientSideThrottleTime: 0, errorCode: 0, partitions };
  }
}
