// deno task sim:worlds [--operations=N]
//
// Small worlds, all of them: every sequence of up to N transactions on two items, with a crash behind
// every prefix. A walk over the tree of sequences: each step restores a new core from the checkpoints of
// the step before, folds one transaction, and is held against the model. At each leaf a core is restored
// from one of the checkpoints on the way, and folds the rest again in silence, as recovery does.

import { parseArgs } from "node:util";
import { assertEquals } from "@std/assert";
import { encodeBatch, encodeUtf8, type NewRecord, setBaseOffset } from "../../src/types/mod.ts";
import { isEmptySegment } from "../../src/state/checkpoint_draft.ts";
import { Code, type StateScalars } from "../../src/wasm/mod.ts";
import { Model, type ModelOptions } from "../model/model.ts";
import { contents, Driver, PLAIN } from "../wasm/driver.ts";
import { countersOfCore, countersOfModel } from "./auditor.ts";

const ITEMS = ["item_1", "a name"] as const;
const QUANTITIES = [-2, -1, 0, 1, 2, -(2 ** 31), 2 ** 31 - 1] as const;
const OPTIONS: ModelOptions = {
  ...PLAIN,
  windowMs: 1000,
  eventTime: true,
  outOfOrderMs: 500,
  alertTotalMin: 0,
  alertRateMin: -1,
};
/** Small areas, because a core is made for each world. */
const CORE = { ...OPTIONS, inputBytes: 1024, resultBytes: 139_000, summaryBytes: 4096 };
const EPOCH = 1_700_000_000_000;
/** Between two transactions: every other one closes a window; the fourth is late. */
const TIMES = [0, 600, 1600, 200, 3200];

export interface Counts {
  /** Sequences of the full length that were walked through, and what they stand for by symmetry. */
  readonly sequences: number;
  readonly withSymmetry: number;
  /** Steps: prefixes that were crashed behind, restored, and compared. */
  readonly steps: number;
}

/** Where a walk stands: what a crash leaves. */
interface Checkpoint {
  readonly segments: Map<number, Uint8Array>;
  readonly scalars: StateScalars;
}

interface Step {
  readonly record: NewRecord;
  readonly batch: Uint8Array;
}

/** All transactions that may come at a depth. */
function stepsAt(depth: number): Step[] {
  return ITEMS.flatMap((itemId) =>
    QUANTITIES.map((quantity): Step => {
      const ts = EPOCH + TIMES[depth % TIMES.length]!;
      const value = encodeUtf8(`${depth}\t${ts}\t${itemId}\t${quantity}`);
      const record = { timestamp: ts, key: encodeUtf8(itemId), value };
      const batch = encodeBatch([record]);
      setBaseOffset(batch, depth);
      return { record, batch };
    })
  );
}

export class SmallWorlds {
  readonly #steps: readonly Step[][];
  #sequences = 0;
  #walked = 0;

  constructor(readonly operations: number) {
    this.#steps = Array.from({ length: operations }, (_, depth) => stepsAt(depth));
  }

  /** @throws {AssertionError} with the sequence whose core is not as the model */
  check(): Counts {
    const empty = new Driver(CORE);
    this.#walk([], [checkpointOf(empty, new Map())]);
    return {
      sequences: this.#sequences,
      // What begins with the other item is the same with the items' names exchanged.
      withSymmetry: ITEMS.length * this.#sequences,
      steps: this.#walked,
    };
  }

  #walk(path: readonly Step[], checkpoints: readonly Checkpoint[]): void {
    if (path.length === this.operations) return this.#replay(path, checkpoints);
    const all = this.#steps[path.length]!;
    for (const step of path.length === 0 ? all.slice(0, QUANTITIES.length) : all) {
      const next = [...path, step];
      this.#walk(next, [...checkpoints, this.#step(next, checkpoints.at(-1)!)]);
    }
  }

  /** The last transaction of a path, on a core that was restored from what the crash before it left. */
  #step(path: readonly Step[], before: Checkpoint): Checkpoint {
    this.#walked++;
    const driver = Driver.restore(CORE, before.segments, before.scalars);
    assertEquals(driver.fold(path.at(-1)!.batch), Code.Done, told(path));
    const model = modelOf(path);
    const prior = modelOf(path.slice(0, -1));
    assertEquals(
      [driver.results, driver.summaries.map(({ value }) => value).toSorted()],
      [model.results.slice(prior.results.length), summariesOf(model, prior)],
      told(path),
    );
    assertEquals(countersOfCore(driver.core), countersOfModel(model), told(path));
    const checkpoint = checkpointOf(driver, before.segments);
    const { stock, windows } = contents(checkpoint.segments);
    assertEquals(stock, model.stock, told(path));
    assertEquals(
      new Map([...windows].map(([n, items]) => [Number(n) * OPTIONS.windowMs, items])),
      model.windows,
      told(path),
    );
    return checkpoint;
  }

  /** Recovery: a checkpoint on the way, then the rest again, without outputs. */
  #replay(path: readonly Step[], checkpoints: readonly Checkpoint[]): void {
    const from = this.#sequences++ % path.length;
    const last = checkpoints.at(-1)!;
    const { segments, scalars } = checkpoints[from]!;
    const driver = Driver.restore(CORE, segments, scalars);
    driver.core.advance(last.scalars.watermark);
    driver.fire(false);
    for (const { batch } of path.slice(from)) {
      assertEquals(driver.fold(batch, { replay: true, emit: false }), Code.Done, told(path));
    }
    assertEquals([driver.results, driver.summaries], [[], []], told(path));
    const found = checkpointOf(driver, segments);
    const name = `${told(path)}, from ${from} on`;
    assertEquals(textOf(found.segments), textOf(last.segments), name);
    // A replay does not count what was late by the watermark of a later commit.
    assertEquals({ ...found.scalars, late: 0n }, { ...last.scalars, late: 0n }, name);
  }
}

function checkpointOf(driver: Driver, before: ReadonlyMap<number, Uint8Array>): Checkpoint {
  // Only what changed is encoded: the rest is what the checkpoint before has.
  const segments = new Map([...before, ...driver.checkpoint()]);
  return { segments, scalars: driver.core.state };
}

function textOf(segments: ReadonlyMap<number, Uint8Array>): string {
  return [...segments].filter(([, bytes]) => !isEmptySegment(bytes))
    .toSorted(([a], [b]) => a - b).map(([segment, bytes]) => `${segment} ${bytes}`).join("\n");
}

function modelOf(path: readonly Step[]): Model {
  const model = new Model(OPTIONS);
  path.forEach(({ record }, offset) => model.fold({ ...record, offset }));
  return model;
}

function summariesOf(model: Model, prior: Model): string[] {
  return model.summaries.slice(prior.summaries.length).map(({ summary: s }) =>
    [
      s.itemId,
      s.windowStart,
      s.windowEnd,
      s.numSuccessfulTransactions,
      s.numFailedTransactions,
      s.totalVolume,
    ].join("\t")
  ).toSorted();
}

function told(path: readonly Step[]): string {
  return path.map(({ record }) => new TextDecoder().decode(record.value!)).join(" | ");
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { operations: { type: "string", default: "5" } } });
  const operations = Number(values.operations);
  if (!(operations >= 1 && operations <= 6)) {
    console.error(`--operations is a number from 1 to 6: ${values.operations}`);
    Deno.exit(2);
  }
  const { sequences, withSymmetry, steps } = new SmallWorlds(operations).check();
  console.log(
    `${sequences} sequences of ${operations} operations (${withSymmetry} with the items exchanged), ` +
      `${steps} crashes, all as the model`,
  );
}
