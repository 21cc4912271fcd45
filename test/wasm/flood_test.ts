import { assert, assertEquals } from "@std/assert";
import { BatchBuilder, encodeUtf8, setBaseOffset, systemChance } from "../../src/types/mod.ts";
import { Code, Core } from "../../src/wasm/mod.ts";
import { bytesHash, type Flood, FLOODS } from "../../tools/kit/floods.ts";
import { timesOfTest } from "../../tools/kit/random.ts";
import { hashOfCore } from "../model/state_hash.ts";
import { Driver, PLAIN } from "./driver.ts";

/** Ids that take long to find are fewer. */
const COUNT: Record<Flood, number> = {
  "numbered, one segment and line": timesOfTest(30, 20),
  "prefixes of one bucket": timesOfTest(60, 40),
  "inline, one segment": timesOfTest(300),
  "stored, one hash": timesOfTest(5000, 2000),
  "stored, one segment": timesOfTest(300),
};

/** With so many of one hash, their segment is cut into two shards, or three. */
const MANY = timesOfTest(1) > 1 ? 110_000 : 70_000;

const found = new Map<Flood, readonly string[]>();

/** The ids of a kind: it takes long to find them, so all tests have the same ones. */
function floodOf(kind: Flood): readonly string[] {
  const ids = found.get(kind) ?? FLOODS[kind](COUNT[kind]);
  found.set(kind, ids);
  return ids;
}

let ofOneHash: readonly string[] | null = null;

function many(): readonly string[] {
  return ofOneHash ??= FLOODS["stored, one hash"](MANY);
}

/** Some UUIDs of the segment in which those stand. */
function uuidsBeside(): string[] {
  const segment = bytesHash(many()[0]!) >> 56n;
  const uuids: string[] = [];
  for (let i = 0; uuids.length < 30; i++) {
    const id = `018f4c2e-91d3-7a10-8000-${i.toString(16).padStart(12, "0")}`;
    if (bytesHash(id) >> 56n === segment) uuids.push(id);
  }
  return uuids;
}

/** Adds so much to each item, or as much as its id is long, in a minute of event time. */
function fold(
  core: Core,
  ids: readonly string[],
  minuteOf: (i: number) => number = () => 0,
  quantity?: number,
): void {
  for (let at = 0; at < ids.length; at += 1000) {
    const builder = new BatchBuilder(64_000);
    ids.slice(at, at + 1000).forEach((id, i) => {
      const text = `1\t${60_000 * minuteOf(at + i)}\t${id}\t${quantity ?? id.length}`;
      builder.add({ timestamp: 1_200_000, key: null, value: encodeUtf8(text) });
    });
    const batch = builder.build();
    setBaseOffset(batch, Number(core.position));
    assertEquals(core.begin(batch, { emit: false }), Code.Done);
    assertEquals(core.run(), Code.Done);
  }
}

Deno.test("ids that were chosen so that they meet stand as far apart as any others", () => {
  for (const kind of Object.keys(FLOODS) as Flood[]) {
    const ids = floodOf(kind);
    const core = new Core(PLAIN, systemChance);
    fold(core, ids);
    assertEquals(core.state.items, BigInt(ids.length));
    // Ordinary ids pass 0.1 to 0.5 lines each; those that share a home line pass a sixth of their number.
    const passed = core.linesPassed() / ids.length;
    assert(passed < 2, `${kind}: ${passed} lines an item`);
    const restored = Driver.restore(PLAIN, segmentsOf(core), core.state).core;
    assert(restored.linesPassed() / ids.length < 2, kind);
  }
});

function segmentsOf(core: Core): Map<number, Uint8Array> {
  assertEquals(core.cut(), Code.Done);
  const segments = new Map<number, Uint8Array>();
  for (let next = core.encodeNext(); next; next = core.encodeNext()) {
    segments.set(next.segment, next.bytes);
  }
  core.endCut(false);
  return segments;
}

Deno.test("two secrets place items differently, and give equal states", () => {
  const ids = (Object.keys(FLOODS) as Flood[]).flatMap((kind) => floodOf(kind).slice(0, 2000));
  const [one, other] = [0.25, 0.75].map((secret) => {
    const core = new Core(PLAIN, () => secret);
    fold(core, ids);
    return core;
  }) as [Core, Core];
  assert(one.linesPassed() !== other.linesPassed());
  assertEquals(hashOfCore(one), hashOfCore(other));
  assertEquals(segmentsOf(one), segmentsOf(other));
});

/** Windows open in any order for ten minutes, so that none closes here. */
const WINDOWS = { ...PLAIN, windowMs: 60_000, eventTime: true, outOfOrderMs: 600_000 };

Deno.test("a segment with most of the items is encoded and restored in slices, while folding goes on", () => {
  const uuids = uuidsBeside();
  const ids = [...many(), ...uuids];
  const minuteOf = (i: number) => 20 + i % 3;
  const core = new Core(WINDOWS, systemChance);
  fold(core, ids, minuteOf);
  assert(core.linesPassed() / ids.length < 2);
  assertEquals(core.cut(), Code.Done);
  const segments = new Map<number, Uint8Array>();
  let slices = 0;
  for (let next = core.encodeSome(); next; next = core.encodeSome()) {
    slices++;
    // What is folded between slices is not part of the cut: sales of its items, new items, older windows.
    const some = [
      ...ids.slice(slices * 50, slices * 50 + 40),
      uuids[slices % uuids.length]!,
      `new-item-of-slice-${slices}x`,
    ];
    if (slices % 3 === 0) fold(core, some, (i) => 12 + (slices + i) % 8);
    if (next !== "more") segments.set(next.segment, next.bytes);
  }
  core.endCut(true);
  assert(slices > 20, `${slices}`);
  assertEquals(segments.size, 1);
  const fresh = new Core(WINDOWS, systemChance);
  fold(fresh, ids, minuteOf);
  const { state } = fresh;
  assertEquals(segmentsOf(fresh), segments);

  const restored = new Core(WINDOWS, systemChance);
  restored.restoreScalars(state);
  let restores = 0;
  for (const [segment, bytes] of segments) {
    for (const _slice of restored.restoreInSlices(segment, bytes)) {
      restores++;
      assertEquals(restored.cut(), Code.State);
    }
  }
  assert(restores >= 4, `${restores}`);
  assert(restored.linesPassed() / ids.length < 2);
  assertEquals(restored.state, state);
  assertEquals(segmentsOf(restored).size, 0, "a restored segment counts as unchanged");
  restored.markSegments(segments.keys());
  assertEquals(segmentsOf(restored), segments);
});

Deno.test("items of a block in which their segment grows keep what is booked on them", () => {
  const all = floodOf("inline, one segment");
  const ids = all.slice(0, 250);
  for (const options of [PLAIN, WINDOWS]) {
    // Known items before and behind the ones that make the segment grow, in the same block.
    const order = ids.flatMap((id, i) => [id, ids[i * 7 % (i + 1)]!, id, ids[i * 11 % (i + 1)]!]);
    const core = new Core(options, systemChance);
    fold(core, order, () => 0, 1);
    fold(core, [...order].reverse(), () => 0, 1);
    const expected = ids.map((id) => 2n * BigInt(order.filter((other) => other === id).length));
    assertEquals(core.lookUp(ids.map((id) => encodeUtf8(id))), expected);
    assert(core.info.growths > 3);
  }
});

Deno.test("unseen items leave a segment that was cut into shards", () => {
  const ids = [...many().slice(0, 70_000), ...uuidsBeside()];
  const driver = new Driver(WINDOWS);
  fold(driver.core, ids.slice(0, 1000), () => 20);
  fold(driver.core, ids, () => 20, -1000);
  assertEquals(driver.core.info.slots, ids.length);
  driver.idle();
  assertEquals(driver.core.info.slots, 1000);
  const bytes = ids.slice(0, 1001).map((id) => encodeUtf8(id));
  assertEquals(driver.core.lookUp(bytes), [...Array(1000).fill(145n), null]);
  assert(driver.core.linesPassed() < 100);
});
