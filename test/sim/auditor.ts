// Holds every commit, every recovery and every answer against the model, as it happens.

import type { Commit, CommittedPosition } from "../../src/log/mod.ts";
import type { Partition } from "../../src/engine/partition.ts";
import { foldParametersHash, foldParametersOf } from "../../src/state/mod.ts";
import type { PartitionProcessor } from "../../src/engine/partition_processor.ts";
import { batchInfo, decodeBatch, encodeUtf8, type LogRecord } from "../../src/types/mod.ts";
import {
  type Core,
  NO_TIME,
  OUTCOME_ACCEPTED,
  OUTCOME_DUPLICATE,
  OUTCOME_INVALID,
  OUTCOME_REJECTED,
} from "../../src/wasm/mod.ts";
import { Model, type Outcome } from "../model/model.ts";
import type { SimProcess } from "./process.ts";
import type { Sim } from "./sim.ts";
import { Expectations, type ExpectedOutput } from "./expectations.ts";

/** An idle firing: where the partition stood, and the watermark that it moved to. */
export interface Firing {
  readonly position: number;
  readonly watermark: bigint;
}

/** A look-up that was answered; held against the model at the end. */
interface LookUp {
  readonly partition: number;
  readonly itemId: string;
  readonly stock: bigint | null;
  /** The log's end at the claim, and at the answer. */
  readonly from: number;
  readonly to: number;
}

/** The input as readers see it. */
export interface InputView {
  /** Visible batches of a partition in their order, from the n-th on. */
  batches(partition: number, from: number): readonly Uint8Array[];
}

export type PositionOf = { readonly partition: number } & CommittedPosition;

/** One partition of the input as the model has it. */
class Audit {
  readonly model: Model;
  offset = 0;
  watermark = NO_TIME;
  /** Idle firings that were committed. */
  readonly firings: (Firing | "raised")[] = [];
  /** What a core's counters are at each committed position. */
  readonly counters = new Map<string, readonly string[]>();
  /** From here on it is folded as version 2 of the fold does; null = as the first one. */
  raisedAt: number | null;
  /** The outcome of each offset. */
  readonly outcomes = new Map<number, number>();
  /** The stocks of each item, with the offsets behind which they hold. */
  readonly timelines = new Map<string, [number, bigint][]>();
  /** Batches that were looked at, and the records of them that wait to be folded. */
  taken = 0;
  waiting: LogRecord[] = [];

  constructor(model: Model) {
    this.model = model;
    this.raisedAt = model.options.foldVersion === 1 ? null : 0;
    this.remember();
  }

  remember(): void {
    const { model } = this;
    const all = [countersOfModel(model)];
    // Whoever recovers it may raise it there.
    if (this.raisedAt === null && hasImpossible(model)) {
      all.push(countersOfModel(model, DATE_MAX));
    }
    this.counters.set(`${this.offset}/${this.watermark}`, all);
  }
}

export class Auditor {
  readonly partitions: Audit[];
  readonly expectations: Expectations;
  readonly #lookUps: LookUp[] = [];
  /** Idle firings of each process' newest processors, and those sent with each commit. */
  readonly #firings = new Map<string, Firing[]>();
  readonly #sent = new Map<string, readonly Firing[]>();
  /** Outcomes that were reported before their offset was committed. */
  readonly #given: { partition: number; offset: number; outcome: number }[] = [];
  commits = 0;
  recoveries = 0;
  /** Of the fold parameters under version 2 of the fold. */
  readonly #raisedHash: string;

  constructor(
    readonly sim: Sim,
    readonly input: InputView,
    readonly topics: { results: string; summaries: string; deadLetters: string },
    hasGrown: (topic: string) => boolean = () => false,
  ) {
    const { partitions, core, sidePartitions } = sim.plan;
    const first = sim.retries.raisedAtMs === null ? undefined : 1;
    const { foldVersion } = foldParametersOf({ ...core, partition: 0 });
    this.#raisedHash = foldParametersHash(foldParametersOf({ ...core, foldVersion, partition: 0 }));
    this.partitions = Array.from(
      { length: partitions },
      (_, partition) => new Audit(new Model({ ...core, foldVersion: first, partition })),
    );
    this.expectations = new Expectations(sim, topics, sidePartitions, hasGrown);
  }

  // ---- what a process does ----

  /** A processor stands at its claim's position: its counters are those of the model there. */
  onOwner(process: SimProcess, partition: number, owner: Partition): void {
    const { processor } = owner;
    this.recoveries++;
    this.sim.trace(process.name, () => `owns ${partition}@${processor.position}`);
    const key = `${processor.position}/${processor.core.watermark}`;
    const expected = this.partitions[partition]!.counters.get(key);
    const found = countersOfCore(processor.core);
    if (expected === undefined) {
      this.sim.violate("P1", `partition ${partition} was recovered at ${key}: never committed`);
    } else if (!expected.includes(found)) {
      this.sim.violate(
        "P3",
        `partition ${partition} was recovered at ${key} with ${found}, not ${
          expected.join(" or ")
        }`,
      );
    }
    this.#watchFirings(process, processor);
  }

  #watchFirings(process: SimProcess, processor: PartitionProcessor): void {
    const firings: Firing[] = [];
    this.#firings.set(`${process.name}/${processor.partition}`, firings);
    const fireIdle = processor.fireIdle.bind(processor);
    processor.fireIdle = async () => {
      const { position } = processor;
      await fireIdle();
      firings.push({ position, watermark: processor.core.watermark });
      this.sim.trace(process.name, () => `idle firing ${processor.partition}@${position}`);
    };
  }

  /** A commit leaves its process. */
  onSend(process: SimProcess, { positions }: Commit): void {
    for (const { partition, offset, watermark } of positions) {
      const firings = this.#firings.get(`${process.name}/${partition}`) ?? [];
      this.#sent.set(`${process.name}/${partition}/${offset}/${watermark}`, [...firings]);
    }
  }

  onOutcomes(partition: number, first: number, outcomes: Uint8Array): void {
    // Offsets that readers skip have no outcome: only without gaps are offsets known.
    if (this.sim.plan.log !== "embedded") return;
    outcomes.forEach((outcome, i) => this.#given.push({ partition, offset: first + i, outcome }));
  }

  /** Looks an item up; the log ended at `from` when the partition was claimed, and at `to` now. */
  read(owner: Partition, partition: number, itemId: string, from: number, to: number): LookUp {
    const [stock] = owner.processor.core.lookUp([encodeUtf8(itemId)]);
    return { partition, itemId, stock: stock!, from, to };
  }

  /** What was read is given as an answer. */
  answered(lookUp: LookUp): void {
    this.#lookUps.push(lookUp);
  }

  // ---- what becomes visible ----

  /** A commit took effect: moves the model, and answers what must have become visible with it. */
  onCommit(process: SimProcess, positions: readonly PositionOf[]): ExpectedOutput {
    this.commits++;
    const expected = this.expectations.begin();
    for (const position of positions) {
      const { partition, offset, watermark, start } = position;
      const audit = this.partitions[partition]!;
      const name = `partition ${partition} was committed at ${offset}/${watermark}`;
      if (offset < audit.offset || watermark < audit.watermark) {
        this.sim.violate("P1", `${name}, behind ${audit.offset}/${audit.watermark}`);
        continue;
      }
      if (audit.raisedAt === null && position.parametersHash === this.#raisedHash) {
        audit.raisedAt = audit.offset;
        audit.model.raise();
        audit.firings.push("raised");
      }
      if (start !== 0) this.sim.violate("P1", `${name} with start ${start}`);
      if (audit.raisedAt && position.raisedAt !== audit.raisedAt) {
        this.sim.violate("P1", `${name}, raised at ${position.raisedAt}, not ${audit.raisedAt}`);
      }
      const sent = this.#sent.get(`${process.name}/${partition}/${offset}/${watermark}`) ?? [];
      const counts = this.expectations.countsOf(audit.model);
      this.#advance(audit, partition, offset, watermark, sent);
      expected.add(partition, audit.model, counts);
      if (timeOf(audit.model.watermark) !== watermark) {
        this.sim.violate("P9", `${name}; the model's watermark is ${audit.model.watermark}`);
      }
      audit.offset = offset;
      audit.watermark = watermark;
      audit.remember();
    }
    return expected;
  }

  #advance(
    audit: Audit,
    partition: number,
    offset: number,
    watermark: bigint,
    sent: readonly Firing[],
  ): void {
    for (const firing of sent) {
      if (firing.watermark <= timeOf(audit.model.watermark) || firing.watermark > watermark) {
        continue;
      }
      this.#foldTo(audit, partition, firing.position);
      audit.model.idle();
      if (timeOf(audit.model.watermark) !== firing.watermark) {
        this.sim.violate(
          "P9",
          `partition ${partition} fired at ${firing.position} up to ${firing.watermark}, ` +
            `the model up to ${audit.model.watermark}`,
        );
      }
      audit.firings.push(firing);
    }
    this.#foldTo(audit, partition, offset);
    const { position } = audit.model;
    // The real reader of Kafka moves over markers and aborted transactions, batch by batch.
    const skips = this.sim.plan.log === "kafka" && position < offset &&
      this.input.batches(partition, 0).some((batch) => batchInfo(batch).lastOffset + 1 === offset);
    if (position !== offset && !skips) {
      this.sim.violate(
        "P1",
        `partition ${partition} was committed at ${offset}, which is not a record's end: ` +
          `the one before it ends at ${audit.model.position}`,
      );
    }
  }

  #foldTo(audit: Audit, partition: number, offset: number): void {
    for (const batch of this.input.batches(partition, audit.taken)) {
      if (batchInfo(batch).baseOffset >= offset) break;
      audit.waiting.push(...decodeBatch(batch));
      audit.taken++;
    }
    let n = 0;
    for (; n < audit.waiting.length && audit.waiting[n]!.offset < offset; n++) {
      const record = audit.waiting[n]!;
      const outcome = audit.model.fold(record);
      audit.outcomes.set(record.offset, outcomeByte(outcome));
      if (outcome === true) this.#rememberStock(audit, record.offset);
      if (typeof outcome === "number") this.expectations.onInvalid(partition, record);
    }
    if (n > 0) audit.waiting = audit.waiting.slice(n);
  }

  /** The transaction at an offset was accepted: its item's stock holds from there on. */
  #rememberStock({ model, timelines }: Audit, offset: number): void {
    const { key } = model.results.at(-1)!;
    let timeline = timelines.get(key);
    if (!timeline) timelines.set(key, timeline = []);
    timeline.push([offset + 1, model.stock.get(key)!]);
  }

  // ---- at the end ----

  /** Outcomes and look-ups that were answered must be those of the model. */
  checkAnswers(): void {
    for (const { partition, offset, outcome } of this.#given) {
      const expected = this.partitions[partition]!.outcomes.get(offset);
      if (expected === outcome) continue;
      this.sim.violate("P1", `outcome of ${partition}@${offset}: ${outcome}, not ${expected}`);
    }
    for (const { partition, itemId, stock, from, to } of this.#lookUps) {
      const timeline = this.partitions[partition]!.timelines.get(itemId) ?? [];
      const before = timeline.findLast(([offset]) => offset <= from)?.[1] ?? null;
      const within = timeline.filter(([offset]) => offset > from && offset <= to);
      const allowed = [before, ...within.map(([, s]) => s)];
      if (allowed.includes(stock)) continue;
      this.sim.violate(
        "look-up",
        `${itemId} of partition ${partition}: ${stock} was answered; ` +
          `from ${from} to ${to} it was ${allowed.join(", ")}`,
      );
    }
  }
}

function timeOf(ms: number | null): bigint {
  return ms === null ? NO_TIME : BigInt(ms);
}

function outcomeByte(outcome: Outcome): number {
  if (typeof outcome === "number") return OUTCOME_INVALID | outcome;
  if (typeof outcome === "object") return OUTCOME_DUPLICATE | (outcome.repeats ? 1 : 0);
  return outcome ? OUTCOME_ACCEPTED : OUTCOME_REJECTED;
}

/** The last millisecond that a date can be. */
const DATE_MAX = 8.64e15;

function hasImpossible({ largestTimestamp }: Model): boolean {
  return (largestTimestamp ?? 0) > DATE_MAX;
}

/** All counters that the state hash covers, of a model and of a core. */
export function countersOfModel(m: Model, largestTimestamp = m.largestTimestamp): string {
  const invalid = [...m.invalid].toSorted(([a], [b]) => a - b).map(([r, n]) => `${r}:${n}`);
  const { remembered } = m;
  return `accepted ${m.accepted} rejected ${m.rejected} duplicate ${
    remembered?.duplicates ?? 0
  } remembered ${remembered ? remembered.head - remembered.tail : 0} far ahead ${m.farAhead} ` +
    `sum ${BigInt.asIntN(64, m.quantitySum)} items ${m.stock.size} largest ts ` +
    `${timeOf(m.largestTs)} largest timestamp ${timeOf(largestTimestamp)} invalid ${invalid}`;
}

export function countersOfCore(core: Core): string {
  const s = core.state;
  const invalid = [...s.invalid.entries()].filter(([, n]) => n > 0n).map(([r, n]) => `${r}:${n}`);
  const { duplicates, remembered } = core.info;
  return `accepted ${s.accepted} rejected ${s.rejected} duplicate ${duplicates} remembered ${remembered} far ahead ${s.farAhead} ` +
    `sum ${s.quantitySum} items ${s.items} largest ts ` +
    `${s.largestTs} largest timestamp ${s.largestTimestamp} invalid ${invalid}`;
}
