// What simulated clients write: transactions of few items, valid and invalid in every way.

import {
  encodeUtf8,
  Format,
  type NewRecord,
  Partitioner,
  partitionOf,
} from "../../src/types/mod.ts";
import { Repeaters } from "./retries.ts";
import type { Sim } from "./sim.ts";

/** Ids of every kind of key code. */
const ODD_IDS = [
  "cup",
  "7",
  "item_007",
  "seven77",
  "eightbyt",
  "x1000000000000000",
  "prefix-of-more-than-8-bytes-12",
  "0f8fad5b-d9cd-469f-a165-70867728950e",
  "käse_1",
  "😀",
  'quote"5',
] as const;

const LONG = "n".repeat(230);

const BAD_NUMBERS = ["", "+5", "007", "-0", "1e3", "1.5", " 5", "x", "99999999999999999999"];

interface Fields {
  readonly id: string;
  readonly ts: string;
  readonly itemId: string;
  readonly quantity: string;
}

export class Workload {
  /** Item ids by the partition that they belong to. */
  readonly #ids: string[][];
  #count = 0;
  readonly repeaters: Repeaters;

  /** @param mayStray whether a partition is committed beyond its start: before, a stray record stops the job */
  constructor(readonly sim: Sim, readonly mayStray: (partition: number) => boolean) {
    this.repeaters = new Repeaters(sim);
    const { partitions, core, items, longIds } = sim.plan;
    this.#ids = Array.from({ length: partitions }, () => []);
    const wanted = Math.max(items, partitions);
    for (let n = 0; this.#ids.some((ids) => ids.length === 0) || n < wanted; n++) {
      const odd = ODD_IDS[n % (3 * ODD_IDS.length)];
      const id = n % 3 === 2 && odd
        ? `${odd}${n < 33 ? "" : n}`
        : `${longIds ? LONG : "item_"}${n}`;
      const home = core.partitioner === Partitioner.None
        ? n % partitions
        : partitionOf(core.partitioner, encodeUtf8(id), partitions);
      this.#ids[home]!.push(id);
    }
  }

  /** An item of a partition; the first ones come often. */
  itemOf(partition: number): string {
    const ids = this.#ids[partition]!;
    const { random } = this.sim;
    return ids[Math.min(random.below(ids.length), random.below(ids.length))]!;
  }

  /** So many records for a partition, mostly valid ones. */
  records(partition: number, n: number): NewRecord[] {
    return Array.from(
      { length: n },
      () => this.repeaters.instead(partition, this.#record(partition)),
    );
  }

  #record(partition: number): NewRecord {
    const { sim } = this;
    const timestamp = sim.chance(0.03) ? -1 : sim.wall + Math.floor(sim.between(-60, 60));
    const invalid = sim.chance(sim.plan.invalid);
    const itemId = this.itemOf(
      invalid && sim.chance(0.15) && this.mayStray(partition)
        ? sim.random.below(sim.plan.partitions)
        : partition,
    );
    const key = sim.chance(0.1) ? null : encodeUtf8(itemId);
    const value = invalid ? this.#invalidValue(itemId) : encodeUtf8(this.#value({ itemId }));
    return { timestamp, key, value };
  }

  #fields(): Fields {
    const { sim } = this;
    return {
      id: this.#nextId(),
      ts: String(sim.wall + Math.floor(this.#tsError())),
      itemId: "",
      quantity: String(
        sim.chance(0.02) ? sim.pick([0, 2147483647, -2147483648]) : sim.random.below(100) - 45,
      ),
    };
  }

  #nextId(): string {
    const n = ++this.#count;
    return this.sim.chance(0.1) ? String(BigInt(n) + 2n ** 62n) : String(n);
  }

  /** How far event time is off: mostly little, sometimes late, sometimes far ahead. */
  #tsError(): number {
    const { sim } = this;
    if (sim.chance(0.05)) return -sim.between(0, 20_000);
    if (sim.chance(0.03)) return sim.between(0, 200_000_000);
    return sim.between(-300, 300);
  }

  #value(changes: Partial<Fields>): string {
    const { id, ts, itemId, quantity } = { ...this.#fields(), ...changes };
    if (this.sim.plan.core.format === Format.Text) return [id, ts, itemId, quantity].join("\t");
    return `{"transactionId":${id},"ts":${ts},"itemId":${
      JSON.stringify(itemId)
    },"quantity":${quantity}}`;
  }

  #invalidValue(itemId: string): Uint8Array | null {
    const { sim } = this;
    switch (sim.random.below(9)) {
      case 0:
        return null;
      case 1:
        return encodeUtf8("not a transaction");
      case 2:
        return encodeUtf8(this.#value({ itemId, id: sim.pick(BAD_NUMBERS) }));
      case 3:
        return encodeUtf8(this.#value({ itemId, ts: sim.pick(["-1", "9007199254740992"]) }));
      case 4:
        return encodeUtf8(this.#value({ itemId, quantity: sim.pick(["2147483648", "1.5"]) }));
      case 5:
        return encodeUtf8(this.#value({ itemId: "" }));
      case 6:
        return encodeUtf8(this.#value({ itemId: "n".repeat(250) }));
      case 7:
        return encodeUtf8(this.#value({ itemId: "with\u007fdelete" }));
      default:
        return Uint8Array.from(
          encodeUtf8(this.#value({ itemId })),
          (byte, i) => i === 3 ? 0xff : byte,
        );
    }
  }
}
