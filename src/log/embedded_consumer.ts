import { isNoRoom, type Kv } from "../kv/mod.ts";
import type { ConsumerSpec, TopicConsumer } from "./consumer.ts";
import type { AppendableLog } from "./capabilities.ts";
import { LostError } from "./errors.ts";
import type { LogWriter } from "./log_writer.ts";
import type { ReadAnswer, ReadOptions } from "./port.ts";

/** The log, and the KV that it is kept in. */
type StoredLog = AppendableLog & { readonly kv: Kv };

/** Consumes a topic of the embedded log; its offsets stand beside the committed positions of the inputs. */
export class EmbeddedConsumer implements TopicConsumer {
  readonly #ended = new AbortController();

  private constructor(
    readonly log: StoredLog,
    readonly writer: Pick<LogWriter, "set">,
    readonly spec: ConsumerSpec,
    readonly committed: ReadonlyMap<number, number>,
  ) {}

  /** Offsets that were never committed are committed before anything can be read. */
  static async open(
    log: StoredLog,
    writer: Pick<LogWriter, "set">,
    spec: ConsumerSpec,
  ): Promise<EmbeddedConsumer> {
    const { topic, name, offsetReset } = spec;
    const committed = new Map<number, number>();
    const entries = log.kv.list<number>({ prefix: ["consumed", name, topic] });
    for await (const { key, value } of entries) committed.set(key[3] as number, value);
    const first = new Map<number, number>();
    for (let partition = 0; partition < log.partitionsOf(topic); partition++) {
      if (committed.has(partition)) continue;
      const { start, end } = log.bounds(topic, partition);
      first.set(partition, offsetReset === "earliest" ? start : end);
    }
    const consumer = new EmbeddedConsumer(log, writer, spec, new Map([...committed, ...first]));
    if (first.size > 0) await consumer.commit(first);
    return consumer;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer> {
    return this.log.read(this.spec.topic, partition, offset, options);
  }

  endOf(partition: number): number {
    return this.log.bounds(this.spec.topic, partition).end;
  }

  /** @throws {NoRoomError} when the disk has no room */
  async commit(offsets: ReadonlyMap<number, number>): Promise<void> {
    const { topic, name } = this.spec;
    try {
      await this.writer.set(
        [...offsets].map(([partition, offset]) => [["consumed", name, topic, partition], offset]),
      );
    } catch (error) {
      // It happened or not: what is committed is read again, as after any commit that is lost.
      if (isNoRoom(error)) throw error;
      throw new LostError(`A commit of sink ${name} was lost: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  close(): void {}
}
