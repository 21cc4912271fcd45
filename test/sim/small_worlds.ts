// deno task sim:worlds [--operations=N]
//
// Small worlds, all of them: every sequence of up to N transactions on two items, with a crash behind
// every prefix. A walk over the tree of sequences: each step restores a new core from the checkpoints of
// the step before, folds one transaction, and is held against the model. At each leaf a core is restored
// from one of the checkpoints on the way, and folds the rest again in silence, as recovery does.

import { commandLine } from "../../tools/kit/command_line.ts";
import { assertEquals } from "@std/assert";
import { encodeBatch, encodeUtf8, type NewRecord, setBaseOffset } from "../../src/types/mod.ts";
import { isEmptySegment } from "../../src/state/mod.ts";
import { Code, type CoreOptions, type StateScalars } from "../../src/wasm/mod.ts";
import { Model, type ModelOptions } from "../model/model.ts";
import { contents, Driver, PLAIN, restoreRemembered } from "../wasm/driver.ts";
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
const AREAS = { inputBytes: 1024, resultBytes: 139_000, summaryBytes: 4096 };
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
  /** Header and pieces of what is remembered. */
  readonly remembered: readonly Uint8Array[];
}

interface Step {
  readonly record: NewRecord;
  readonly batch: Uint8Array;
}

/** Which transactions come, and on which log; the first ones are on one of the items, by symmetry. */
export interface Kind {
  readonly options: ModelOptions;
  /** What may come at a depth, of one item. */
  readonly lines: (depth: number, itemId: string) => readonly string[];
}

/** Every transaction is another one. */
export const DIFFERENT: Kind = {
  options: OPTIONS,
  lines: (depth, itemId) =>
    QUANTITIES.map((quantity) => `${depth}\t${timeAt(depth)}\t${itemId}\t${quantity}`),
};

/** Two ids and two quantities: the log remembers three transactions, for as many records. */
export const REPEATED: Kind = {
  options: {
    ...OPTIONS,
    remember: { windowMs: 3, max: 3, secret: Uint8Array.from({ length: 16 }, (_, i) => i) },
  },
  lines: (_depth, itemId) =>
    [1, 2].flatMap((id) => [1, -1].map((quantity) => `${id}\t${EPOCH}\t${itemId}\t${quantity}`)),
};

function timeAt(depth: number): number {
  return EPOCH + TIMES[depth % TIMES.length]!;
}

/** All transactions that may come at a depth. */
function stepsAt({ lines }: Kind, depth: number): Step[] {
  return ITEMS.flatMap((itemId) =>
    lines(depth, itemId).map((line): Step => {
      const value = encodeUtf8(line);
      const record = { timestamp: timeAt(depth), key: encodeUtf8(itemId), value };
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

  constructor(readonly operations: number, readonly kind = DIFFERENT) {
    this.#steps = Array.from({ length: operations }, (_, depth) => stepsAt(kind, depth));
  }

  get #core(): CoreOptions {
    return { ...this.kind.options, ...AREAS };
  }

  #restore({ segments, scalars, remembered: [header, ...pieces] }: Checkpoint): Driver {
    const driver = Driver.restore(this.#core, segments, scalars);
    if (header) restoreRemembered(driver, header, pieces);
    return driver;
  }

  /** @throws {AssertionError} with the sequence whose core is not as the model */
  check(): Counts {
    this.#walk([], [checkpointOf(new Driver(this.#core), new Map())]);
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
    for (const step of path.length === 0 ? all.slice(0, all.length / ITEMS.length) : all) {
      const next = [...path, step];
      this.#walk(next, [...checkpoints, this.#step(next, checkpoints.at(-1)!)]);
    }
  }

  #modelOf(path: readonly Step[]): Model {
    const model = new Model(this.kind.options);
    path.forEach(({ record }, offset) => model.fold({ ...record, offset }));
    return model;
  }

  /** The last transaction of a path, on a core that was restored from what the crash before it left. */
  #step(path: readonly Step[], before: Checkpoint): Checkpoint {
    this.#walked++;
    const driver = this.#restore(before);
    assertEquals(driver.fold(path.at(-1)!.batch), Code.Done, nameOfPath(path));
    const model = this.#modelOf(path);
    const prior = this.#modelOf(path.slice(0, -1));
    assertEquals(
      [driver.results, driver.summaries.map(({ value }) => value).toSorted()],
      [model.results.slice(prior.results.length), summariesOf(model, prior)],
      nameOfPath(path),
    );
    assertEquals(countersOfCore(driver.core), countersOfModel(model), nameOfPath(path));
    const checkpoint = checkpointOf(driver, before.segments);
    const { stock, windows } = contents(checkpoint.segments);
    assertEquals(stock, model.stock, nameOfPath(path));
    assertEquals(
      new Map([...windows].map(([n, items]) => [Number(n) * OPTIONS.windowMs, items])),
      model.windows,
      nameOfPath(path),
    );
    return checkpoint;
  }

  /** Recovery: a checkpoint on the way, then the rest again, without outputs. */
  #replay(path: readonly Step[], checkpoints: readonly Checkpoint[]): void {
    const from = this.#sequences++ % path.length;
    const last = checkpoints.at(-1)!;
    const driver = this.#restore(checkpoints[from]!);
    const { segments } = checkpoints[from]!;
    driver.core.advance(last.scalars.watermark);
    driver.fire(false);
    for (const { batch } of path.slice(from)) {
      assertEquals(driver.fold(batch, { replay: true, emit: false }), Code.Done, nameOfPath(path));
    }
    assertEquals([driver.results, driver.summaries], [[], []], nameOfPath(path));
    const found = checkpointOf(driver, segments);
    const name = `${nameOfPath(path)}, from ${from} on`;
    assertEquals(textOf(found.segments), textOf(last.segments), name);
    assertEquals(found.remembered, last.remembered, name);
    // A replay does not count what was late by the watermark of a later commit.
    assertEquals({ ...found.scalars, late: 0n }, { ...last.scalars, late: 0n }, name);
  }
}

function checkpointOf(driver: Driver, before: ReadonlyMap<number, Uint8Array>): Checkpoint {
  // Only what changed is encoded: the rest is what the checkpoint before has.
  const { core } = driver;
  core.remembered.mark(0n);
  assertEquals(core.cut(), Code.Done);
  const remembered: Uint8Array[] = [];
  if (core.options.remember) {
    remembered.push(core.remembered.encode().header);
    for (let next; (next = core.remembered.encodeNext());) remembered.push(next.bytes);
  }
  const segments = new Map([...before, ...driver.encodeAll()]);
  return { segments, scalars: core.state, remembered };
}

function textOf(segments: ReadonlyMap<number, Uint8Array>): string {
  return [...segments].filter(([, bytes]) => !isEmptySegment(bytes))
    .toSorted(([a], [b]) => a - b).map(([segment, bytes]) => `${segment} ${bytes}`).join("\n");
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

function nameOfPath(path: readonly Step[]): string {
  return path.map(({ record }) => new TextDecoder().decode(record.value!)).join(" | ");
}

if (import.meta.main) {
  const values = commandLine("sim:worlds", { operations: { type: "string", default: "5" } });
  const operations = Number(values.operations);
  if (!(operations >= 1 && operations <= 6)) {
    console.error(`--operations is a number from 1 to 6: ${values.operations}`);
    Deno.exit(2);
  }
  for (const [what, kind] of [["different", DIFFERENT], ["repeated", REPEATED]] as const) {
    const { sequences, withSymmetry, steps } = new SmallWorlds(operations, kind).check();
    console.log(
      `${what}: ${sequences} sequences of ${operations} operations (${withSymmetry} with the items exchanged), ` +
        `${steps} crashes, all as the model`,
    );
  }
}
