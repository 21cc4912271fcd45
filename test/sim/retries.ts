// Clients that repeat transactions, a log that remembers them, and programs of the version before that are replaced by this
// one. What a seed decides of it is drawn apart, so that the other draws of its run are what they were.
//
// P11: a transaction that is repeated is executed once, and each repetition has the outcome of the first. It is looked at
// in what readers see, without the model, in runs where nothing is forgotten.

import {
  codecOf,
  decodeBatch,
  decodeUtf8,
  encodeUtf8,
  Format,
  type NewRecord,
} from "../../src/types/mod.ts";
import type { RememberOptions } from "../../src/wasm/mod.ts";
import { Random } from "../../tools/kit/random.ts";
import type { Plan } from "./plan.ts";
import type { Sim } from "./sim.ts";

const SALT = 0x7e7a;
const DATE_MAX = 8.64e15;
/** A log that remembers so much forgets nothing in a run. */
const WINDOW_MS = 86_400_000;
const MAX = 1_000_000;

/** Records of a run and of a long one at the most, those that are sent again included. */
const RECORDS_MAX = 340;
const LONG_RECORDS_MAX = 4 * RECORDS_MAX;

export interface RetryPlan {
  /** Share of records that are sent again, in hundred; nothing is repeated in a run of 0. */
  readonly repeated: number;
  readonly remember: RememberOptions | undefined;
  /** When programs of version 1 of the fold are replaced, virtual ms; null = there are none. */
  readonly raisedAtMs: number | null;
}

/** Draws what a seed decides of retries. */
export function retriesOf(seed: number, { durationMs }: Pick<Plan, "durationMs">): RetryPlan {
  const random = new Random(seed ^ SALT);
  const pick = <T>(...list: T[]): T => list[random.below(list.length)]!;
  switch (random.below(5)) {
    case 0:
      return { repeated: 0, remember: undefined, raisedAtMs: null };
    case 1:
      return { repeated: 0, remember: undefined, raisedAtMs: random.below(durationMs) };
    default: {
      const forgets = pick(true, false);
      const remember = forgets
        ? { windowMs: pick(50, 1000, 20_000), max: pick(10, 60, 1500), secret: null }
        : { windowMs: WINDOW_MS, max: MAX, secret: null };
      return { repeated: pick(5, 20, 50), remember, raisedAtMs: null };
    }
  }
}

/** A plan with what a seed decides of retries. */
export function withRetries(plan: Plan, retries: RetryPlan): Plan {
  return { ...plan, core: { ...plan.core, remember: retries.remember } };
}

/** What clients do with what they have sent before. */
export class Repeaters {
  readonly #random: Random;
  /** Valid records by partition. */
  readonly #sent = new Map<number, NewRecord[]>();
  /** Records that may be sent again. */
  #left: number;

  constructor(readonly sim: Sim) {
    this.#random = new Random(sim.seed ^ SALT ^ 1);
    const { records } = sim.plan;
    this.#left = (records > RECORDS_MAX ? LONG_RECORDS_MAX : RECORDS_MAX) - records;
  }

  /** What is sent in place of a new record of a partition: mostly that itself. */
  instead(partition: number, fresh: NewRecord): NewRecord {
    const { retries: { repeated, raisedAtMs } } = this.sim;
    const random = this.#random;
    if (raisedAtMs !== null && random.below(20) === 0) {
      return { ...fresh, timestamp: DATE_MAX + 1 + random.below(1000) };
    }
    if (repeated === 0) return fresh;
    const sent = this.#sent.get(partition) ?? [];
    this.#sent.set(partition, sent);
    if (sent.length > 0 && random.below(100) < repeated) {
      const old = sent[sent.length - 1 - random.below(Math.min(sent.length, 40))]!;
      const record = random.below(12) === 0 ? this.#conflicting(old) : old;
      // The timestamp of a repetition is its own.
      return random.below(2) === 0 ? record : { ...record, timestamp: fresh.timestamp };
    }
    if (this.#isValid(fresh)) sent.push(fresh);
    return fresh;
  }

  #isValid({ value }: NewRecord): boolean {
    try {
      codecOf(this.sim.plan.core.format).parseTransactionBytes(value!);
      return true;
    } catch {
      return false;
    }
  }

  /** Another transaction under the same identity. */
  #conflicting(record: NewRecord): NewRecord {
    const codec = codecOf(this.sim.plan.core.format);
    const t = codec.parseTransactionBytes(record.value!);
    const other = this.#random.below(2) === 0
      ? { ...t, quantity: t.quantity === 7 ? 8 : 7 }
      : { ...t, ts: t.ts === 5 ? 6 : 5 };
    return { ...record, value: encodeUtf8(codec.formatTransaction(other)) };
  }

  /** Whether clients send so many records again that were not answered; a run has a bounded number of records. */
  mayRepeat(count: number): boolean {
    if (this.sim.retries.repeated === 0 || count > this.#left) return false;
    this.#left -= count;
    return true;
  }

  /** Does something after a while, as a client that waited for an answer in vain. */
  later(act: () => void): void {
    this.sim.scheduler.after(1 + this.#random.below(800), act);
  }

  /** Whether the answer to a producer is lost, though its records are there. */
  loses(): boolean {
    return this.sim.retries.repeated > 0 && this.#random.below(4) === 0;
  }
}

/** P11: looks at the results that become visible. */
export class RetryAudit {
  /** The outcome of each transaction by partition, item, id, ts and quantity. */
  readonly #first = new Map<string, boolean>();

  constructor(readonly sim: Sim, readonly topic: string) {}

  /** Batches of a partition that became visible, as `topic/partition`. */
  look(name: string, batches: readonly Uint8Array[]): void {
    const { sim } = this;
    const { remember } = sim.retries;
    if (remember?.windowMs !== WINDOW_MS || !name.startsWith(`${this.topic}/`)) return;
    const codec = codecOf(sim.plan.core.format ?? Format.Text);
    for (const { value, headers } of batches.flatMap((batch) => decodeBatch(batch))) {
      const text = decodeUtf8(value!)!;
      const { transaction: t, success } = codec.parseTransactionResult(text);
      const key = `${name} ${JSON.stringify([t.itemId, String(t.transactionId)])}`;
      const first = this.#first.get(key);
      const isRepetition = headers.some((header) => header.key === "stockflow.duplicate");
      if (!isRepetition && first !== undefined) sim.violate("P11", `executed twice: ${text}`);
      else if (isRepetition && first !== success) {
        sim.violate("P11", `a repetition of ${first} was answered ${success}: ${text}`);
      }
      this.#first.set(key, success);
    }
  }
}
