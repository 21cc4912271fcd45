import { getLogger } from "@logtape/logtape";
import { formatOf, ParameterError, type Parameters } from "../parameters/mod.ts";
import {
  type FilledTopics,
  generatorOptionsOf,
  QUERY_INTERVAL_MS,
  randomQuery,
  rateOf,
  shareOf,
} from "../service/mod.ts";
import type { OnProgress } from "../engine/mod.ts";
import {
  type Chance,
  type Clock,
  codecOf,
  encodeBatch,
  encodeUtf8,
  setBaseOffset,
} from "../types/mod.ts";
import { Generator, GENERATOR_RECORDS_MAX } from "../wasm/mod.ts";
import { isUnavailable, reasonOf, stopErrorOf } from "./client/errors.ts";
import { protocolError } from "./client/internals.ts";
import { KafkaClient } from "./client/kafka_client.ts";
import { partitionNumbers } from "./partition_numbers.ts";
import type { ProducedBatch } from "./protocol/produce.ts";
import { connectionOf } from "./security.ts";

const log = getLogger(["stockflow", "generator"]);

/** Loops that generate while another waits for its acknowledgements; each has its own partitions. */
const LOOPS = 2;
/** Records of a batch cover about so much time at a given rate. */
const BATCH_MS = 20;
const TICK_MS = 500;
const TELL_TICKS = 10;
const BACK_OFF_MS = 500;

/** A partition of the topic, and the offset that its next record takes. */
interface GeneratedPartition {
  readonly partition: number;
  readonly generator: Generator;
  next: number;
  /** First offset of this run, and where it ends. */
  readonly first: number;
  readonly end: number;
}

/**
 * Fills topics with generated records. The transaction at offset o of a partition is the
 * generator's record o: where it goes on after an error, or in a new run, is the topic's end, so that
 * nothing is written twice as long as nobody else writes there.
 */
export class KafkaDataGenerator {
  #client: KafkaClient | null = null;
  #records = 0;

  constructor(
    readonly params: Parameters,
    readonly topics: FilledTopics,
    readonly clock: Clock,
    readonly chance: Chance,
    readonly onProgress: OnProgress = () => {},
  ) {}

  /** Records that were acknowledged. */
  get records(): number {
    return this.#records;
  }

  /**
   * Runs until the signal is aborted, or as many records are there as were asked for.
   *
   * @throws {StopError} when the topic is missing, or the brokers refuse
   */
  async run(stop: AbortSignal): Promise<void> {
    const over = new AbortController();
    const beside = AbortSignal.any([stop, over.signal]);
    const reporting = this.#report(beside);
    const ends: number[] = [];
    try {
      while (!stop.aborted) {
        const client = new KafkaClient(connectionOf(this.params), this.clock);
        this.#client = client;
        try {
          const partitions = await this.#open(client, ends);
          await this.#generate(client, partitions, beside);
          return;
        } catch (error) {
          const why = stopErrorOf(error);
          if (why || !isUnavailable(error)) throw why ?? error;
          log.warn("Kafka does not take records: {reason}; trying again", {
            reason: reasonOf(error),
          });
          await this.clock.sleep(BACK_OFF_MS, stop);
        } finally {
          await client.close().catch(() => {});
        }
      }
    } finally {
      over.abort();
      await reporting;
    }
  }

  /** @param ends where each partition ends, found at the first time; a count goes on over errors */
  async #open(client: KafkaClient, ends: number[]): Promise<GeneratedPartition[]> {
    const { params, topics: { transactions: topic } } = this;
    await client.connect();
    const count = client.topics.get(topic) ?? 0;
    if (count === 0) {
      throw new ParameterError(
        `Topic ${topic} is missing; create it, as deno task kafka:start does`,
      );
    }
    const all = partitionNumbers(count);
    const offsets = await client.offsets(topic, all, "latest");
    const wanted = params.get("generate.count");
    const options = generatorOptionsOf(params, count);
    return all.map((partition) => {
      const next = offsets.get(partition)!;
      const end = ends[partition] ??= wanted === 0
        ? Infinity
        : next + shareOf(wanted, partition, count);
      const generator = new Generator({ ...options, partition });
      return { partition, generator, next, first: next, end };
    }).filter(({ generator }) => generator.items > 0);
  }

  async #generate(
    client: KafkaClient,
    partitions: readonly GeneratedPartition[],
    stop: AbortSignal,
  ): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([stop, over.signal]);
    const { queries } = this.topics;
    const asking = queries === null ? null : this.#ask(client, queries, signal);
    asking?.catch(() => {}); // a broken connection is reported by the loops
    try {
      await Promise.all(
        Array.from({ length: LOOPS }, (_, k) =>
          this.#loop(
            client,
            partitions.filter((_, i) => i % LOOPS === k),
            partitions.length,
            signal,
          )),
      );
    } finally {
      over.abort();
      await asking?.catch(() => {});
    }
  }

  async #loop(
    client: KafkaClient,
    partitions: readonly GeneratedPartition[],
    all: number,
    stop: AbortSignal,
  ): Promise<void> {
    const rate = rateOf(this.params);
    const origin = this.clock.now();
    const msPerRecord = rate === 0 ? 0 : 1000 * all / rate;
    while (!stop.aborted && partitions.some((p) => p.next < p.end)) {
      const now = this.clock.now();
      const batches: ProducedBatch[] = [];
      let built = 0;
      for (const p of partitions) {
        const due = rate === 0
          ? GENERATOR_RECORDS_MAX
          : Math.floor((now - origin) / msPerRecord) - (p.next - p.first);
        const records = Math.min(due, p.end - p.next, GENERATOR_RECORDS_MAX);
        if (records <= 0) continue;
        const timing = rate === 0
          ? { origin: now, since: p.next, msPerRecord: 0 }
          : { origin, since: p.first, msPerRecord };
        const bytes = p.generator.batch(p.next, records, timing);
        setBaseOffset(bytes, 0); // the broker's to give
        batches.push({ topic: this.topics.transactions, partition: p.partition, bytes });
        p.next += records;
        built += records;
      }
      if (batches.length > 0) await this.#produce(client, batches);
      this.#records += built;
      if (rate > 0) await this.clock.sleep(Math.max(BATCH_MS, msPerRecord), stop);
      else await this.clock.yield();
    }
  }

  async #produce(client: KafkaClient, batches: readonly ProducedBatch[]): Promise<void> {
    const byLeader = Map.groupBy(batches, (b) => client.leaderOf(b.topic, b.partition));
    await Promise.all([...byLeader].map(async ([nodeId, some]) => {
      const { acknowledged } = await client.produce(nodeId, null, some);
      const failed = (await acknowledged).partitions.find((p) => p.errorCode !== 0);
      if (failed) throw protocolError(failed.errorCode);
    }));
  }

  /** Queries of random items, without a key, as a console producer sends them. */
  async #ask(client: KafkaClient, topic: string, stop: AbortSignal): Promise<void> {
    const partitions = client.topics.get(topic) ?? 0;
    if (partitions === 0) {
      throw new ParameterError(`Topic ${topic} of queries is missing`);
    }
    const codec = codecOf(formatOf(this.params));
    for (let queryId = 1n; !stop.aborted; queryId++) {
      const value = encodeUtf8(codec.formatQuery(randomQuery(queryId, this.params, this.chance)));
      const partition = Math.floor(this.chance() * partitions);
      const bytes = encodeBatch([{ timestamp: this.clock.now(), key: null, value }]);
      await this.#produce(client, [{ topic, partition, bytes }]);
      await this.clock.sleep(QUERY_INTERVAL_MS, stop);
    }
  }

  async #report(stop: AbortSignal): Promise<void> {
    let before = 0;
    let at = this.clock.monotonic();
    const total = this.params.get("generate.count");
    for (let tick = 1; !stop.aborted; tick++) {
      await this.clock.sleep(TICK_MS, stop);
      if (total > 0) {
        const over = stop.aborted || this.#records >= total;
        this.onProgress({ work: "generate", by: "", done: this.#records, total, over });
      }
      if (tick % TELL_TICKS !== 0 && !stop.aborted) continue;
      const now = this.clock.monotonic();
      log.info("{rate} records/s, {records} records", {
        rate: Math.round(1000 * (this.#records - before) / Math.max(1, now - at)),
        records: this.#records,
      });
      before = this.#records;
      at = now;
    }
  }
}
