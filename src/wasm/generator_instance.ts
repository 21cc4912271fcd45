// @ts-types="./generator.d.ts"
import compiled from "./generator.js";
import * as c from "../../wasm/contract.ts";

export { GENERATOR_ITEMS_MAX, GENERATOR_RECORDS_MAX } from "../../wasm/contract.ts";

/** What decides the records of a generated partition. */
export interface GeneratorOptions {
  readonly seed: bigint;
  /** Items of all partitions: item_1 .. item_<items>. */
  readonly items: number;
  /** Shape of the Pareto distribution that item numbers are drawn from. */
  readonly shape: number;
  readonly format: c.Format;
  /** By which the items of a partition are found. */
  readonly partitioner: c.Partitioner;
  readonly partition: number;
  readonly partitions: number;
}

/** When generated records happened: the record at offset `since` at `origin`. */
export interface GeneratorTiming {
  /** ms since the epoch */
  readonly origin: number;
  readonly since: number;
  readonly msPerRecord: number;
}

interface Exports {
  readonly memory: WebAssembly.Memory;
  address(): number;
  init(): number;
  generate(
    first: bigint,
    count: number,
    origin: bigint,
    since: bigint,
    msPerRecord: number,
  ): number;
  batchLength(): number;
}

/**
 * The transactions of one generated partition: record o is a pure function of (seed, partition, o) and
 * of its time, on every machine.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { decodeBatch, Format, Partitioner } from "../types/mod.ts";
 * const generator = new Generator({
 *   seed: 1n,
 *   items: 1000,
 *   shape: 15,
 *   format: Format.Text,
 *   partitioner: Partitioner.Murmur2,
 *   partition: 0,
 *   partitions: 4,
 * });
 * const timing = { origin: 1_700_000_000_000, since: 0, msPerRecord: 1 };
 * const records = decodeBatch(generator.batch(500, 10, timing));
 * assertEquals(records[9]!.offset, 509);
 * assertEquals(records[9]!.timestamp, 1_700_000_000_509);
 * ```
 */
export class Generator {
  readonly #exports: Exports;
  /** Items of this partition; without any there are no records. */
  readonly items: number;

  constructor(readonly options: GeneratorOptions) {
    const abort = () => {
      throw new Error("The generator was aborted");
    };
    this.#exports = new WebAssembly.Instance(compiled, { env: { abort } })
      .exports as unknown as Exports;
    const { seed, items, shape, format, partitioner, partition, partitions } = options;
    const view = new DataView(this.#exports.memory.buffer, this.#exports.address());
    view.setBigUint64(c.GENERATOR_SEED, BigInt.asUintN(64, seed), true);
    view.setFloat64(c.GENERATOR_SHAPE, shape, true);
    view.setUint32(c.GENERATOR_ITEMS, items, true);
    view.setUint32(c.GENERATOR_FORMAT, format, true);
    view.setUint32(c.GENERATOR_PARTITIONER, partitioner, true);
    view.setUint32(c.GENERATOR_PARTITION, partition, true);
    view.setUint32(c.GENERATOR_PARTITIONS, partitions, true);
    this.items = this.#exports.init() >>> 0;
  }

  /**
   * The records from an offset on, as one record batch with that base offset.
   *
   * @param count at most GENERATOR_RECORDS_MAX
   */
  batch(first: number, count: number, timing: GeneratorTiming): Uint8Array<ArrayBuffer> {
    const { origin, since, msPerRecord } = timing;
    const at = this.#exports.generate(
      BigInt(first),
      count,
      BigInt(origin),
      BigInt(since),
      msPerRecord,
    ) >>> 0;
    const bytes = new Uint8Array(
      this.#exports.memory.buffer as ArrayBuffer,
      at,
      this.#exports.batchLength(),
    );
    return bytes.slice();
  }
}
