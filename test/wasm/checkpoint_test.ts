import { assert, assertEquals } from "@std/assert";
import { encodeBatch, encodeUtf8, setBaseOffset } from "../../src/types/mod.ts";
import { Code, CoreError } from "../../src/wasm/mod.ts";
import { Model, type ModelOptions } from "../model/model.ts";
import { mutate } from "../model/arbitraries.ts";
import { Random, sayOfTest, seedOfTest, timesOfTest } from "../../tools/kit/random.ts";
import { contents, Driver, PLAIN } from "./driver.ts";

const EVENT: ModelOptions = {
  ...PLAIN,
  windowMs: 60_000,
  eventTime: true,
  alertTotalMin: 0,
  alertRateMin: 0,
};

/** Ids of every kind of key code, so many that the dictionary of prefixes overflows. */
function anyId(random: Random, spread: number): string {
  const n = random.below(spread);
  switch (random.below(8)) {
    case 0:
      return `item_${n}`;
    case 1:
      return `p${n}_${n % 7}`; // a prefix of its own
    case 2:
      return "k" + n.toString(36) + "z";
    case 3:
      return `0f8fad5b-d9cd-469f-a165-${n.toString(16).padStart(11, "0")}x`;
    case 4:
      return `0f8fad5b-d9cd-469f-a165-${n.toString(16).padStart(12, "0")}`;
    case 5:
      return `a longer name, number ${n}`;
    case 6:
      return `${n}`;
    default:
      return `käse ${n} é`;
  }
}

class Pair {
  readonly model: Model;

  constructor(readonly driver: Driver, readonly random: Random) {
    this.model = new Model(driver.options as ModelOptions);
  }

  fold(n: number, spread: number): Code {
    const base = Number(this.driver.core.position);
    const records = Array.from({ length: n }, (_, i) => {
      const timestamp = 1_700_000_000_000 + 20 * (base + i);
      const ts = timestamp + this.random.below(60_000) - 50_000;
      const value = encodeUtf8(
        `${i}\t${ts}\t${anyId(this.random, spread)}\t${this.random.below(100) - 60}`,
      );
      return { timestamp, key: null, value };
    });
    const batch = encodeBatch(records);
    setBaseOffset(batch, base);
    const code = this.driver.fold(batch, { emit: false });
    records.forEach((record, i) => this.model.fold({ ...record, offset: base + i }));
    return code;
  }

  assertEqual(): void {
    const ids = [...this.model.stock.keys()];
    assertEquals(
      this.driver.core.lookUp(ids.map((id) => encodeUtf8(id))),
      ids.map((id) => this.model.stock.get(id)!),
    );
  }
}

function snapshot(model: Model): { stock: Map<string, bigint>; windows: Model["windows"] } {
  return structuredClone({ stock: model.stock, windows: model.windows });
}

function assertHolds(segments: Map<number, Uint8Array>, model: ReturnType<typeof snapshot>): void {
  const { stock, windows } = contents(segments);
  assertEquals(stock, model.stock);
  assertEquals(
    new Map([...windows].map(([n, items]) => [Number(n) * 60_000, items])),
    model.windows,
  );
}

Deno.test("a checkpoint is the state at its cut, while folding goes on", () => {
  const seed = seedOfTest();
  sayOfTest(`seed ${seed}`);
  for (const options of [EVENT, { ...EVENT, windowMs: 0 }, { ...EVENT, eventTime: false }]) {
    const pair = new Pair(new Driver(options), new Random(seed));
    const { driver, random } = pair;
    const chain = new Map<number, Uint8Array>();
    for (let round = 0; round < timesOfTest(2, 1); round++) {
      for (let i = 0; i < 8; i++) assertEquals(pair.fold(700, 4000), Code.Done);
      const expected = snapshot(pair.model);
      const scalars = driver.core.state;
      assertEquals(driver.core.cut(), Code.Done);
      for (let left = true; left;) {
        // Windows that become due must wait for the checkpoint, so time stands still here.
        if (random.below(20) === 0 && !windowsNear(pair, 300)) pair.fold(300, 6000);
        const next = driver.core.encodeNext();
        if (next) chain.set(next.segment, next.bytes);
        left = next !== null;
      }
      driver.core.endCut(true);
      assertHolds(chain, expected);
      const restored = Driver.restore(options, chain, scalars);
      assertEquals(restored.core.info.slots, expectedSlots(expected));
      pair.assertEqual();
      assertEquals(driver.core.info.copyBytes, 0);
    }
  }
});

/** Whether folding n more records of Pair may fire a window. */
function windowsNear(pair: Pair, n: number): boolean {
  const { windowMs, eventTime, outOfOrderMs } = pair.driver.options;
  if (windowMs === 0) return false;
  const end = 1_700_000_000_000 + 20 * (Number(pair.driver.core.position) + n) + 10_000 -
    (eventTime ? outOfOrderMs : 0);
  return Math.min(...pair.model.windows.keys()) + windowMs <= end;
}

function expectedSlots({ stock, windows }: ReturnType<typeof snapshot>): number {
  const ids = new Set(stock.keys());
  for (const items of windows.values()) for (const id of items.keys()) ids.add(id);
  return ids.size;
}

Deno.test("state is equal for 10,000 prefixes in two arrival orders, restored once", () => {
  const ids = Array.from({ length: 10_000 }, (_, i) => [`pre${i}_1`, `pre${i}_22`]).flat();
  const foldAll = (driver: Driver, order: readonly string[]): void => {
    for (let at = 0; at < order.length; at += 1000) {
      const batch = encodeBatch(
        order.slice(at, at + 1000).map((id) => ({
          timestamp: 0,
          key: null,
          value: encodeUtf8(`1\t0\t${id}\t${id.length}`),
        })),
      );
      setBaseOffset(batch, Number(driver.core.position));
      assertEquals(driver.fold(batch, { emit: false }), Code.Done);
    }
  };
  const shuffled = ids.toSorted((a, b) => a.length - b.length || (a < b ? 1 : -1));
  const one = new Driver(EVENT);
  const other = new Driver(EVENT);
  foldAll(one, ids);
  foldAll(other, shuffled);
  const encoded = one.checkpoint();
  assertEquals(encoded.size, 256);
  assertEquals(other.checkpoint(), encoded);
  const restored = Driver.restore(EVENT, encoded, one.core.state);
  foldAll(one, shuffled);
  foldAll(other, ids);
  foldAll(restored, ids);
  const twice = one.checkpoint();
  assertEquals(other.checkpoint(), twice);
  assertEquals(restored.checkpoint(), twice);
});

Deno.test("only changed segments are encoded again", () => {
  const driver = new Driver(EVENT);
  const put = (value: string): void => {
    const batch = encodeBatch([{ timestamp: 1000, key: null, value: encodeUtf8(value) }]);
    setBaseOffset(batch, Number(driver.core.position));
    assertEquals(driver.fold(batch), Code.Done);
  };
  for (let i = 0; i < 2000; i++) put(`1\t0\titem_${i}\t5`);
  assertEquals(driver.checkpoint().size, 256);
  assertEquals(driver.checkpoint().size, 0);
  put("1\t0\titem_7\t1");
  assertEquals(driver.checkpoint(false).size, 1);
  put("1\t0\titem_8\t-1");
  assertEquals(driver.checkpoint().size, 2); // the one that was not published is in again
  put("1\t0\tnever\t-1"); // only counted in a window
  assertEquals(driver.checkpoint().size, 1);
  driver.idle(); // its window goes, and with it what changed by firing
  assertEquals(driver.checkpoint().size, 256);
});

Deno.test("a transaction that fails changes no segment and nothing of a cut, unless a window counts it", () => {
  const ids = ["item_1", "cup", "a longer name", "0f8fad5b-d9cd-469f-a165-70867728950e"];
  for (const options of [PLAIN, EVENT]) {
    const driver = new Driver(options);
    const fold = (quantity: number, list: readonly string[]) => {
      const batch = encodeBatch(list.map((id) => ({
        timestamp: 1_200_000,
        key: null,
        value: encodeUtf8(`1\t1200000\t${id}\t${quantity}`),
      })));
      setBaseOffset(batch, Number(driver.core.position));
      assertEquals(driver.fold(batch), Code.Done);
    };
    fold(5, ids);
    const stock = new Map(ids.map((id) => [id, 5n]));
    assertEquals(driver.core.cut(), Code.Done);
    fold(-6, ids);
    assertEquals(contents(driver.encodeAll()).stock, stock);
    fold(-6, ids);
    assertEquals(driver.core.state.rejected, 8n);
    assertEquals(driver.checkpoint().size > 0, options.windowMs > 0);
    fold(-5, ids.slice(0, 1));
    assertEquals(driver.checkpoint().size, 1);
  }
});

Deno.test("a cut asks for its turn before too many pages are copied", () => {
  const options = { ...EVENT, windowMs: 0, copyPagesMax: 200 };
  const pair = new Pair(new Driver(options), new Random(seedOfTest()));
  for (let i = timesOfTest(60, 40); i > 0; i--) pair.fold(1000, 100_000);
  const expected = snapshot(pair.model);
  const chain = new Map<number, Uint8Array>();
  assertEquals(pair.driver.core.cut(), Code.Done);
  let asked = 0;
  let active = true;
  const encodeOne = (): void => {
    const next = pair.driver.core.encodeNext();
    if (next) chain.set(next.segment, next.bytes);
    else {
      pair.driver.core.endCut(true);
      active = false;
    }
  };
  pair.driver.onCheckpointFirst = () => {
    asked++;
    encodeOne();
  };
  for (let i = 0; i < 20; i++) {
    assertEquals(pair.fold(1000, 100_000), Code.Done);
    assert(pair.driver.core.info.copyBytes <= 200 * 16_384);
  }
  while (active) encodeOne();
  assert(asked > 10);
  assertHolds(chain, expected);
  pair.assertEqual();
});

Deno.test("restoreSegment refuses what does not follow the format, and never traps", () => {
  const seed = seedOfTest();
  sayOfTest(`seed ${seed}`);
  const random = new Random(seed);
  const pair = new Pair(new Driver(EVENT), random);
  for (let i = 0; i < 6; i++) pair.fold(1000, 3000);
  const segments = [...pair.driver.checkpoint()];
  let refused = 0;
  const times = timesOfTest(1) > 1 ? timesOfTest(750) : 250;
  for (let i = 0; i < times; i++) {
    const [index, bytes] = segments[random.below(segments.length)]!;
    let changed = bytes as Uint8Array;
    for (let k = 1 + random.below(3); k > 0; k--) {
      changed = mutate(changed, random.below(bytes.length), random.below(256), random.below(3));
    }
    if (random.below(4) === 0) changed = changed.slice(0, random.below(changed.length));
    const driver = new Driver(EVENT);
    try {
      driver.core.restoreSegment(index, changed);
    } catch (error) {
      assert(error instanceof CoreError, String(error));
      refused++;
    }
  }
  assert(refused > times / 2, `${refused}`);
});

Deno.test("restoreSegment refuses items of another segment and items given twice", () => {
  const pair = new Pair(new Driver(EVENT), new Random(1));
  pair.fold(500, 1000);
  const [[index, bytes]] = [...pair.driver.checkpoint()] as [[number, Uint8Array]];
  const driver = new Driver(EVENT);
  for (const [segment, value] of [[index + 1, bytes], [-1, bytes], [256, bytes]] as const) {
    try {
      driver.core.restoreSegment(segment, value);
      throw new Error("accepted");
    } catch (error) {
      assert(error instanceof CoreError && error.code === Code.Segment, String(error));
    }
  }
  const again = new Driver(EVENT);
  again.core.restoreSegment(index, bytes);
  try {
    again.core.restoreSegment(index, bytes);
    throw new Error("accepted");
  } catch (error) {
    assert(error instanceof CoreError && error.code === Code.State, String(error));
  }
});

Deno.test("unseen items are removed from crowded lines one by one", () => {
  // Seen and unseen items mixed in every line, windows closing in turn: every removal shifts others back.
  const random = new Random(seedOfTest());
  const driver = new Driver({ ...EVENT, outOfOrderMs: 240_000 });
  const model = new Model({ ...EVENT, outOfOrderMs: 240_000 });
  for (let round = 0; round < 60; round++) {
    const base = Number(driver.core.position);
    const records = Array.from({ length: 500 }, (_, i) => {
      const ts = round * 15_000 + random.below(15_000) + 240_000 - random.below(240_000);
      const id = anyId(random, 3000);
      const value = encodeUtf8(`${i}\t${ts}\t${id}\t${random.below(10) === 0 ? 5 : -1}`);
      return { timestamp: ts, key: null, value };
    });
    const batch = encodeBatch(records);
    setBaseOffset(batch, base);
    assertEquals(driver.fold(batch, { emit: false }), Code.Done);
    records.forEach((record, i) => model.fold({ ...record, offset: base + i }));
    assertEquals(driver.core.info.slots, expectedSlots(model));
  }
  const ids = [...model.stock.keys()];
  assertEquals(
    driver.core.lookUp(ids.map((id) => encodeUtf8(id))),
    ids.map((id) => model.stock.get(id)!),
  );
  assertHolds(driver.checkpoint(), model);
});
