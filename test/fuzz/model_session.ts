// A session that the reference model follows: core and model agree on every outcome, output and figure.

import { assertEquals } from "@std/assert";
import { setBaseOffset } from "../../src/types/mod.ts";
import { Code } from "../../src/wasm/mod.ts";
import { Model, type ModelRecord } from "../model/model.ts";
import type { FastRandom } from "../../tools/kit/random.ts";
import { assertSame, assertSameState, outcomeByte, readStrictly } from "../wasm/against_model.ts";
import { Driver } from "../wasm/driver.ts";
import type { Session, Tally } from "./fuzz.ts";
import { GuardedCore, type GuardedOptions, noise } from "./guarded_core.ts";
import type { MutatedBatch } from "./mutated_batch.ts";

export class ModelSession implements Session {
  readonly #guarded: GuardedCore;
  readonly #driver: Driver;
  readonly #model: Model;

  constructor(
    readonly options: GuardedOptions,
    readonly random: FastRandom,
    readonly tally: Tally,
  ) {
    this.#guarded = new GuardedCore(options, noise(random), () => random.fraction());
    this.#driver = new Driver(options);
    this.#driver.core = this.#guarded.core;
    this.#model = new Model(options);
  }

  get position(): bigint {
    return BigInt(this.#model.position);
  }

  fold({ bytes }: MutatedBatch): Code {
    // The model counts offsets in doubles; the CRC does not cover the base offset.
    const model = this.#model;
    const { position } = model;
    if (bytes.length >= 8) setBaseOffset(bytes, position + (this.random.oneIn(8) ? 7 : 0));
    const before = this.#driver.core.state;
    const outcomes = this.#driver.outcomes.length;
    this.#guarded.expect(bytes);
    const code = this.#driver.fold(bytes, { outcomes: true });
    this.#guarded.check();
    if (code < 0 && code !== Code.Record) {
      assertEquals(this.#driver.core.state, before);
      return code;
    }
    const reached = this.#driver.core.position;
    const expected = this.#read(bytes, reached, code).map((record) => model.fold(record));
    if (code === Code.Done) model.position = Number(reached);
    assertEquals(this.#driver.outcomes.slice(outcomes), expected.map(outcomeByte));
    assertSameState(this.#driver, model);
    this.tally.comparedWithModel++;
    return code;
  }

  /** The records of the batch below an offset, as the format has them. */
  #read(bytes: Uint8Array, end: bigint, code: Code): ModelRecord[] {
    const records: ModelRecord[] = [];
    try {
      for (const record of readStrictly(bytes)) {
        if (BigInt(record.offset) >= end) break;
        // Views of a buffer that the next batch overwrites are folded at once.
        records.push(record);
      }
    } catch (error) {
      // What the reader cannot read, the core must have refused.
      if (!(error instanceof RangeError) || code !== Code.Record) throw error;
    }
    return records;
  }

  between(): void {
    this.#driver.idle();
    this.#model.idle();
    assertSameState(this.#driver, this.#model);
  }

  end(): void {
    assertSame(this.#driver, this.#model);
    this.between();
    assertSame(this.#driver, this.#model);
  }
}
