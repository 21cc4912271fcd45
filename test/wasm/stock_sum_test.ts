import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { encodeBatch, encodeUtf8, setBaseOffset } from "../../src/types/mod.ts";
import { Code } from "../../src/wasm/mod.ts";
import { Random, timesOfTest } from "../../tools/kit/random.ts";
import { Driver, PLAIN } from "./driver.ts";

/** A batch of transactions of text form, given as item and quantity. */
function batchOf(first: number, transactions: readonly (readonly [string, number])[]) {
  const batch = encodeBatch(transactions.map(([item, quantity], i) => ({
    timestamp: 1000 + i,
    key: null,
    value: encodeUtf8(`${first + i}\t5\t${item}\t${quantity}`),
  })));
  setBaseOffset(batch, first);
  return batch;
}

Deno.test("the stocks add up to what was accepted, over partial checkpoints, given up ones and restores", () => {
  const random = new Random(5);
  let driver = new Driver(PLAIN);
  let offset = 0;
  const segments = new Map<number, Uint8Array>();
  for (let round = 0; round < 30; round++) {
    const transactions = Array.from(
      { length: 1 + random.below(200) },
      () => [`item_${random.below(400)}`, random.below(2000) - 800] as const,
    );
    driver.fold(batchOf(offset, transactions));
    offset += transactions.length;
    assertEquals(driver.core.cut(), Code.Done);
    const { quantitySum } = driver.core.state;
    const published = random.below(3) > 0;
    const encoded: number[] = [];
    for (let n = random.below(2) ? 5 : Infinity; n > 0; n--) {
      const next = driver.core.encodeNext();
      if (!next) {
        // All that had changed is encoded: both sides are as of the cut.
        assertEquals(driver.core.stockSum, quantitySum);
        break;
      }
      encoded.push(next.segment);
      if (published) segments.set(next.segment, next.bytes);
    }
    const whole = driver.core.encodeNext() === null;
    driver.core.endCut(published && whole);
    if (!published || !whole) driver.core.markSegments(encoded);
  }
  const scalars = driver.core.state;
  for (const [segment, bytes] of driver.checkpoint()) segments.set(segment, bytes);
  assert(scalars.quantitySum > 0n);
  driver = Driver.restore(PLAIN, segments, scalars);
  assertEquals(driver.core.stockSum, scalars.quantitySum);
});

Deno.test("a checkpoint whose stocks are not those of its counters shows when it is restored", () => {
  const driver = new Driver(PLAIN);
  driver.fold(batchOf(0, [["a", 5]]));
  const [[segment, bytes]] = [...driver.checkpoint()] as [[number, Uint8Array]];
  // The stock plus one, and the number of windows.
  assertEquals([...bytes.slice(-2)], [6, 0]);
  bytes[bytes.length - 2] = 7;
  const restored = Driver.restore(PLAIN, new Map([[segment, bytes]]), driver.core.state);
  assertEquals([restored.core.stockSum, restored.core.state.quantitySum], [6n, 5n]);
});

Deno.test("a stock that is altered in memory shows at the next checkpoint", () => {
  const { Instance } = WebAssembly;
  let memory: WebAssembly.Memory | null = null;
  WebAssembly.Instance = class extends Instance {
    constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
      super(module, imports);
      memory = this.exports["memory"] as WebAssembly.Memory;
    }
  };
  const driver = new Driver(PLAIN);
  WebAssembly.Instance = Instance;
  driver.fold(batchOf(0, [["item_1", 1_234_567_891]]));
  const words = new BigInt64Array(memory!.buffer);
  // The first place is the sum of the accepted quantities, which stands before the table.
  const [, ...places] = words.keys().filter((i) => words[i] === 1_234_567_891n);
  for (const i of places) words[i]!++;
  driver.fold(batchOf(1, [["item_1", 1]]));
  driver.checkpoint();
  assertNotEquals(driver.core.stockSum, driver.core.state.quantitySum);
});

Deno.test("samples: one record in 64 on average, valid ones alone, whatever the period of the input", () => {
  const driver = new Driver(PLAIN);
  const records = 128_000;
  for (let first = 0; first < records; first += 1000) {
    // As many items as the mean gap: at a fixed step one of them would be all that is seen.
    const transactions = Array.from(
      { length: 1000 },
      (_, i) => [i % 100 === 99 ? "" : `item_${(first + i) % 64}`, 1] as const,
    );
    driver.fold(batchOf(first, transactions));
  }
  const { samples } = driver.core;
  assert(samples > 0.9 * records / 64 && samples < 1.1 * records / 64, String(samples));
  const items = driver.core.readSamples();
  assertEquals(items.reduce((sum, item) => sum + item.samples, 0), samples);
  assertEquals(new Set(items.map(({ itemId }) => itemId)).size, 64);
  assertEquals(items.length, 64);
  assert(items.every(({ itemId }) => itemId !== ""));
});

for (const length of [11, 249]) {
  Deno.test(`samples: what is hot stays, however many others come, with ids of ${length} bytes`, () => {
    const driver = new Driver(PLAIN);
    const id = (name: string) => name.padEnd(length, "x");
    const records = timesOfTest(100_000, 200_000);
    for (let first = 0; first < records; first += 1000) {
      const transactions = Array.from(
        { length: 1000 },
        (_, i) => [i % 4 ? id(`a${first + i}`) : id("hot"), -1] as const,
      );
      driver.fold(batchOf(first, transactions), { emit: false });
    }
    const items = driver.core.readSamples().toSorted((a, b) => b.samples - a.samples);
    assert(items.length <= 2048 && items.length > 100, String(items.length));
    assertEquals(new Set(items.map(({ itemId }) => itemId)).size, items.length);
    const [{ itemId, samples }, second] = items as [typeof items[0], typeof items[0]];
    assertEquals(itemId, id("hot"));
    // A quarter, within five deviations.
    const [expected, error] = [records / 4 / 64, 5 * Math.sqrt(records / 4 / 64)];
    assert(Math.abs(samples - expected) < error, `${samples}, not ${expected}`);
    assert(second!.samples < 5);
  });
}
