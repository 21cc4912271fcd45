import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { encodeBatch } from "../../src/types/mod.ts";
import { Code } from "../../src/wasm/mod.ts";
import { anyCase, type Case, mutate } from "../model/arbitraries.ts";
import { Model } from "../model/model.ts";
import { sayOfTest, seedOfTest, timesOfTest } from "../../tools/kit/random.ts";
import { assertSame, assertSameState, foldBoth, readStrictly } from "./against_model.ts";
import { contents, Driver } from "./driver.ts";

/** `deno task test` runs 48 times as many, `deno task fuzz:tests` more, with a seed of its own. */
const RUNS = timesOfTest(210, 120);

/** Runs a property with the seed of the tests, which it prints. */
function check<T>(arbitrary: fc.Arbitrary<T>, numRuns: number, test: (value: T) => void): void {
  const seed = seedOfTest() | 0;
  sayOfTest(`${numRuns} cases, seed ${seed}`);
  fc.assert(fc.property(arbitrary, test), { seed, numRuns });
}

/** Fails unless the checkpoint holds the model's state. */
function assertSameContents(segments: Map<number, Uint8Array>, model: Model): void {
  const { stock, unseen, windows } = contents(segments);
  assertEquals(stock, model.stock);
  for (const id of unseen) assertEquals(model.stock.has(id), false);
  const length = BigInt(model.options.windowMs);
  assertEquals(
    new Map([...windows].map(([number, items]) => [Number(number * length), items])),
    model.windows,
  );
}

/** The last complete encoding of each segment: what a chain of checkpoints restores. */
class Chain {
  readonly segments = new Map<number, Uint8Array>();

  add(driver: Driver, published: boolean): void {
    for (const [i, bytes] of driver.checkpoint(published)) {
      if (published) this.segments.set(i, bytes);
    }
  }
}

function runCase({ options: first, steps }: Case): void {
  let options = first;
  let driver = new Driver(options);
  const model = new Model(options);
  const chain = new Chain();
  for (const step of steps) {
    foldBoth(driver, model, step.records);
    if (step.then === "idle") {
      driver.idle();
      model.idle();
    } else if (step.then === "raise") {
      driver.core.raise();
      model.raise();
      options = { ...options, foldVersion: 2 };
    } else if (step.then === "checkpoint") {
      chain.add(driver, step.records.length % 3 !== 0);
    } else if (step.then === "restore") {
      chain.add(driver, true);
      assertSameContents(chain.segments, model);
      const restored = Driver.restore(options, chain.segments, driver.core.state);
      for (const list of ["results", "summaries", "deadLetters"] as const) {
        (restored[list] as unknown[]).push(...driver[list]);
      }
      driver = restored;
    }
    assertSameState(driver, model);
  }
  assertSame(driver, model);
  driver.core.idle();
  driver.fire(true);
  model.idle();
  assertSame(driver, model);
}

Deno.test("core equals the model on random and mutated batches", () => {
  check(anyCase, RUNS, runCase);
});

interface MutatedBatch extends Case {
  readonly changes: readonly (readonly [number, number, number])[];
}

const mutatedBatch: fc.Arbitrary<MutatedBatch> = fc.tuple(
  anyCase,
  fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom(0, 0, 1, 2)), {
    minLength: 1,
    maxLength: 3,
  }),
).map(([c, changes]) => ({ ...c, changes }));

Deno.test("core folds of a mutated batch exactly the records before the first that does not fit", () => {
  check(mutatedBatch, RUNS, ({ options, steps, changes }) => {
    const batch = changes.reduce<Uint8Array>(
      (bytes, [at, byte, kind]) => mutate(bytes, at, byte, kind),
      encodeBatch(steps[0]!.records),
    );
    batch.fill(0, 0, Math.min(2, batch.length)); // offsets that a double holds
    const intact = new Driver(options);
    const before = intact.core.state;
    if (intact.fold(batch, { checkCrc: true }) < 0) assertEquals(intact.core.state, before);
    const driver = new Driver(options);
    const code = driver.fold(batch, { checkCrc: false });
    const position = driver.core.position;
    if (code < 0 && code !== Code.Record) {
      assertEquals(driver.core.state, before);
      return;
    }
    const model = new Model(options);
    try {
      for (const record of readStrictly(batch)) {
        if (BigInt(record.offset) >= position) break;
        model.fold(record);
      }
    } catch (error) {
      // What the reader cannot read, the core must have refused.
      if (!(error instanceof RangeError) || code !== Code.Record) throw error;
    }
    if (code === Code.Done) model.position = Number(position);
    assertSame(driver, model);
  });
});
