import { assert, assertEquals, assertRejects } from "@std/assert";
import { firstPosition, StopError } from "../../src/log/mod.ts";
import { PartitionProcessor } from "../../src/engine/partition_processor.ts";
import {
  STRAY_RANGE,
  StrayGuard,
  StrayRecords,
  STRAYS_MAX,
  whatFits,
} from "../../src/engine/stray_records.ts";
import {
  type Codec,
  codecOf,
  encodeBatch,
  encodeUtf8,
  Format,
  Partitioner,
  partitionOf,
  setBaseOffset,
  systemChance,
} from "../../src/types/mod.ts";
import { Core, type DeadLetter, NO_TIME } from "../../src/wasm/mod.ts";
import { PLAIN } from "../wasm/driver.ts";
import { ManualClock } from "./manual_clock.ts";

const PLACE = {
  topic: "in",
  codec: codecOf(Format.Text),
  partitioner: Partitioner.Murmur2,
  partition: 0,
  partitions: 4,
};
const TOPICS = {
  input: "in",
  results: "out",
  summaries: null,
  deadLetters: "dead",
  partitionsOf: () => 4,
  batchBytesMax: 4000,
};

/** Item ids of which a partitioner puts each into partition 0, or not; never the same twice. */
function* ids(kind: Partitioner, isHere: boolean): Generator<string> {
  for (let i = 0;; i++) {
    if ((partitionOf(kind, encodeUtf8(`i${i}`), 4) === 0) === isHere) yield `i${i}`;
  }
}

/** Batches of ten records; of each the first so many are of other partitions. */
class Producer {
  readonly #here = ids(Partitioner.Murmur2, true);
  readonly #elsewhere = ids(Partitioner.Murmur2, false);
  offset = 0;

  batch(strays: number): Uint8Array {
    const records = Array.from({ length: 10 }, (_, i) => {
      const id = (i < strays ? this.#elsewhere : this.#here).next().value as string;
      return { timestamp: 1, key: encodeUtf8(id), value: encodeUtf8(`1\t1\t${id}\t1`) };
    });
    const batch = encodeBatch(records);
    setBaseOffset(batch, this.offset);
    this.offset += records.length;
    return batch;
  }
}

/** A processor of partition 0 that was committed up to an offset. */
function processorAt(
  offset: number,
  { stops = true, strays = [] }: { stops?: boolean; strays?: readonly number[] } = {},
): PartitionProcessor {
  const core = new Core({ ...PLAIN, ...PLACE, batchBytesMax: 4000 }, systemChance);
  core.position = BigInt(offset);
  const committed = {
    offset: offset + 1,
    watermark: NO_TIME,
    start: 0,
    parametersHash: "p",
    secret: null,
    raisedAt: null,
  };
  const guard = new StrayGuard(PLACE, stops, strays);
  return new PartitionProcessor(0, core, TOPICS, new ManualClock(), committed, "p", null, guard);
}

Deno.test("StrayRecords bears a hundred of a thousand offsets, and no more, wherever they begin", () => {
  for (const from of [0, 77]) {
    const strays = new StrayRecords();
    for (let i = 0; i < 3 * STRAYS_MAX; i++) assert(!strays.add(from + 10 * i));
    assertEquals(strays.offsets.length, STRAYS_MAX);
    const last = from + 10 * (3 * STRAYS_MAX - 1);
    assert(strays.add(last + 9), "the 101st within 1,000 offsets");
    assert(
      !new StrayRecords(strays.offsets).add(last + STRAY_RANGE),
      "those before are far behind",
    );
  }
});

Deno.test("a partition stops over more than a tenth of stray records, in its first thousand or later", async () => {
  for (const clean of [0, 500]) {
    const producer = new Producer();
    const processor = processorAt(0);
    for (let i = 0; i < clean; i++) await processor.fold(producer.batch(0));
    for (let i = 0; i < 50; i++) await processor.fold(producer.batch(2));
    const error = await assertRejects(() => processor.fold(producer.batch(1)), StopError);
    assert(error.message.includes(`in-0 up to offset ${10 * clean + 500}`), error.message);
    assert(error.remedy.includes("wrong.partition=deadletter"), error.remedy);
  }
});

Deno.test("one stray record in ten, or any number with wrong.partition=deadletter, stops nothing", async () => {
  const producer = new Producer();
  const processor = processorAt(0);
  for (let i = 0; i < 300; i++) await processor.fold(producer.batch(1));
  assertEquals(Number(processor.core.state.invalid[9]), 300);
  const all = new Producer();
  const patient = processorAt(0, { stops: false });
  for (let i = 0; i < 50; i++) await patient.fold(all.batch(10));
  assertEquals(Number(patient.core.state.invalid[9]), 500);
});

Deno.test("the very first records must belong to their partition, unless wrong.partition=deadletter", async () => {
  const place = { ...PLACE };
  for (const stops of [true, false]) {
    const committed = firstPosition(0);
    const core = new Core({ ...PLAIN, ...PLACE, batchBytesMax: 4000 }, systemChance);
    const guard = new StrayGuard(place, stops, []);
    const processor = new PartitionProcessor(
      0,
      core,
      TOPICS,
      new ManualClock(),
      committed,
      "p",
      null,
      guard,
    );
    const folded = processor.fold(new Producer().batch(1));
    if (!stops) await folded;
    else {
      const error = await assertRejects(() => folded, StopError);
      assert(error.message.includes("The record at offset 0 of in-0"), error.message);
    }
  }
});

Deno.test("a restart counts stray records on: those of the checkpoint, and those that are folded again", async () => {
  const producer = new Producer();
  const first = processorAt(0);
  for (let i = 0; i < 30; i++) await first.fold(producer.batch(2));
  const kept = first.strays!.offsets;
  assertEquals(kept.length, 60);
  const again = Array.from({ length: 20 }, () => producer.batch(2));
  const second = processorAt(300, { strays: kept });
  for (const batch of again) await second.replay(batch, 500);
  assertEquals(second.strays!.offsets.length, STRAYS_MAX);
  await assertRejects(() => second.fold(producer.batch(1)), StopError, "up to offset 500");
});

/** Dead letters of records with these items, and keys made of them. */
async function lettersOf(
  items: Iterable<string>,
  keyOf: (id: string) => Uint8Array | null,
): Promise<readonly DeadLetter[]> {
  const core = new Core({ ...PLAIN, ...PLACE, batchBytesMax: 4000 }, systemChance);
  const ids = [...items];
  const batch = encodeBatch(
    ids.map((id) => ({ timestamp: 1, key: keyOf(id), value: encodeUtf8(`1\t1\t${id}\t1`) })),
  );
  core.begin(batch, {});
  while (core.run() > 0);
  return await Promise.resolve(core.take().deadLetters);
}

/** Of these ids those that do not belong to partition 0 by murmur2. */
function* straysOf(ids: Iterable<string>, count: number): Generator<string> {
  let found = 0;
  for (const id of ids) {
    if (partitionOf(Partitioner.Murmur2, encodeUtf8(id), 4) === 0) continue;
    yield id;
    if (++found === count) return;
  }
}

Deno.test("whatFits names the partitioner that puts all stray records where they are", async () => {
  const names = {
    "java-hash": Partitioner.JavaHash,
    "consistent": Partitioner.Consistent,
    "fnv1a": Partitioner.Fnv1a,
  };
  for (const [name, kind] of Object.entries(names)) {
    const letters = await lettersOf(straysOf(ids(kind, true), 20), encodeUtf8);
    assertEquals(letters.length, 20);
    assertEquals(whatFits(letters, PLACE), `transaction.partitioner=${name} fits`);
  }
});

Deno.test("a line about stray records looks at the first of them alone: it may be held back", async () => {
  const letters = await lettersOf(straysOf(ids(Partitioner.JavaHash, true), 60), encodeUtf8);
  let parsed = 0;
  const codec: Codec = {
    ...PLACE.codec,
    parseTransactionBytes: (bytes) => (parsed++, PLACE.codec.parseTransactionBytes(bytes)),
  };
  new StrayGuard({ ...PLACE, codec }, false, []).check(letters, false);
  assert(parsed > 0 && parsed <= 20, `${parsed} of 60 were looked at`);
});

Deno.test("whatFits says when records have no keys, or keys that are not their items", async () => {
  const mixed = () => straysOf(ids(Partitioner.Murmur2, false), 40);
  assertEquals(whatFits(await lettersOf(mixed(), () => null), PLACE), "they have no key");
  const order = (id: string) => encodeUtf8(`order-${id}`);
  assertEquals(whatFits(await lettersOf(mixed(), order), PLACE), "their keys are not their items");
  const fits = whatFits(await lettersOf(mixed(), encodeUtf8), PLACE);
  assertEquals(fits, "no partitioner that is known here fits");
});
