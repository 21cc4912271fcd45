import { assert, assertEquals, assertThrows } from "@std/assert";
// @ts-types="../../src/wasm/core.d.ts"
import compiled from "../../src/wasm/core.js";
import {
  crc32c,
  encodeBatch,
  encodeUtf8,
  type NewRecord,
  systemChance,
} from "../../src/types/mod.ts";
import { Code, Core, CoreError, Partitioner, Reason } from "../../src/wasm/mod.ts";
import { Random, seedOfTest } from "../../tools/kit/random.ts";
import { Driver, PLAIN } from "./driver.ts";

const text = (value: string, timestamp = 0): NewRecord => ({
  timestamp,
  key: null,
  value: encodeUtf8(value),
});

Deno.test("core imports nothing but abort", () => {
  const imports = WebAssembly.Module.imports(compiled);
  assertEquals(imports.filter((i) => i.module !== "env" || i.name !== "abort"), []);
});

Deno.test("Core refuses options that it does not support", () => {
  assertThrows(() => new Core({ ...PLAIN, windowMs: -1 }, systemChance), CoreError, "Config");
  assertThrows(
    () => new Core({ ...PLAIN, partition: 4, partitions: 4 }, systemChance),
    CoreError,
    "Config",
  );
  assertThrows(() => new Core({ ...PLAIN, batchBytesMax: 100 }, systemChance), CoreError, "Config");
  assertThrows(
    () => new Core({ ...PLAIN, memoryPagesMax: 20 }, systemChance),
    CoreError,
    "OutOfMemory",
  );
  assertThrows(
    () => new Core({ ...PLAIN, windowMs: 60_000, outOfOrderMs: 60_000 * 20_000 }, systemChance),
    CoreError,
    "Config",
  );
});

Deno.test("core computes CRC32C as the host does, at every length", () => {
  const core = new Core(PLAIN, systemChance);
  assertEquals(core.crc32c(encodeUtf8("123456789")), 0xe3069283); // the check value of RFC 3720
  const random = new Random(seedOfTest());
  // Around the lengths at which the core takes another way, or moves on within one.
  const around = [598, 5321, 32_768, 32_768 + 5321, 49_152 + 5321].flatMap((near) =>
    Array.from({ length: 49 }, (_, i) => near - 24 + i)
  );
  const all = Uint8Array.from({ length: 100_001 }, () => random.below(256));
  for (const length of [0, 1, 7, 8, 9, 4096, ...around, 100_001]) {
    const bytes = all.subarray(all.length - length);
    assertEquals(core.crc32c(bytes), crc32c(bytes), `${length} bytes`);
  }
});

Deno.test("begin refuses every batch that is not what it says, and folds nothing of it", () => {
  const driver = new Driver(PLAIN);
  const good = encodeBatch([text("1\t1\ta\t1"), text("2\t1\ta\t1")]);
  const v = (change: (view: DataView, bytes: Uint8Array) => void): Uint8Array => {
    const bytes = good.slice();
    change(new DataView(bytes.buffer), bytes);
    return bytes;
  };
  const cases: [string, Uint8Array, Code][] = [
    ["empty", new Uint8Array(0), Code.BatchLength],
    ["60 bytes", good.slice(0, 60), Code.BatchLength],
    ["cut", good.slice(0, -1), Code.BatchLength],
    ["longer", new Uint8Array([...good, 0]), Code.BatchLength],
    ["negative length", v((d) => d.setInt32(8, -5)), Code.BatchLength],
    ["magic 1", v((d) => d.setInt8(16, 1)), Code.BatchMagic],
    ["gzip", v((d) => d.setInt16(21, 1)), Code.BatchAttributes],
    ["control batch", v((d) => d.setInt16(21, 0x30)), Code.BatchAttributes],
    ["unknown attribute", v((d) => d.setInt16(21, 0x80)), Code.BatchAttributes],
    ["CRC", v((d) => d.setUint32(17, d.getUint32(17) ^ 1)), Code.BatchCrc],
    ["negative count", v((d) => d.setInt32(57, -1)), Code.BatchCount],
    ["too many", v((d) => d.setInt32(57, 2 ** 31 - 1)), Code.BatchCount],
    ["more than the last offset", v((d) => d.setInt32(23, 0)), Code.BatchCount],
    ["none, but bytes", v((d) => d.setInt32(57, 0)), Code.BatchCount],
    ["negative base offset", v((d) => d.setBigInt64(0, -1n)), Code.BatchCount],
    ["offsets beyond int64", v((d) => d.setBigInt64(0, 2n ** 63n - 2n)), Code.BatchCount],
    ["fewer records than there are", v((d) => d.setInt32(57, 1)), Code.Record],
  ];
  const before = driver.core.state;
  for (const [what, batch, code] of cases) {
    assertEquals(driver.fold(batch, { checkCrc: code === Code.BatchCrc }), code, what);
    if (code !== Code.Record) assertEquals(driver.core.state, before, what);
  }
});

Deno.test("CRC is compared unless it is turned off", () => {
  const batch = encodeBatch([text("1\t1\ta\t1")]);
  batch[20]! ^= 1;
  assertEquals(new Driver(PLAIN).fold(batch), Code.BatchCrc);
  assertEquals(new Driver(PLAIN).fold(batch, { checkCrc: false }), Code.Done);
});

Deno.test("an item of another partition is a dead letter, whatever the partitioner", () => {
  const { None: _, ...kinds } = Partitioner as unknown as Record<string, Partitioner>;
  for (
    const partitioner of Object.values(kinds).filter((kind) => typeof kind === "number" && kind > 0)
  ) {
    const drivers = [0, 1, 2].map((partition) =>
      new Driver({ ...PLAIN, partitioner, partition, partitions: 3 })
    );
    const batch = encodeBatch(Array.from({ length: 300 }, (_, i) => text(`${i}\t1\titem_${i}\t5`)));
    for (const driver of drivers) driver.fold(batch);
    assertEquals(drivers.reduce((n, d) => n + d.results.length, 0), 300);
    for (const driver of drivers) {
      assert(driver.results.length > 60, "all partitions have items");
      assertEquals(driver.results.length + driver.deadLetters.length, 300);
      assert(driver.deadLetters.every((d) => d.reason === Reason.WrongPartition));
    }
  }
});

Deno.test("lookUp answers null for what was never seen, and changes nothing", () => {
  const driver = new Driver(PLAIN);
  driver.fold(
    encodeBatch([text("1\t1\titem_1\t0"), text("2\t1\titem_2\t-1"), text("3\t1\tcup\t7")]),
  );
  const before = driver.core.info;
  const junk = Array.from(
    { length: 5000 },
    (_, i) => encodeUtf8(`some prefix ${i} and a long tail`),
  );
  const ids = ["item_1", "item_2", "cup", "", "n".repeat(250), "n".repeat(100_000)].map((id) =>
    encodeUtf8(id)
  );
  assertEquals(driver.core.lookUp([...ids, ...junk]).slice(0, 7), [
    0n,
    null,
    7n,
    null,
    null,
    null,
    null,
  ]);
  assertEquals(driver.core.info, before);
});

Deno.test("failed transactions of unseen items leave nothing in memory", () => {
  const driver = new Driver(PLAIN);
  const before = driver.core.info;
  for (let round = 0; round < 20; round++) {
    driver.fold(
      encodeBatch(
        Array.from(
          { length: 1000 },
          (_, i) => text(`1\t1\tjunk ${round} of many prefixes ${i} x\t-1`),
        ),
      ),
      { emit: false },
    );
    driver.core.position = 0n;
  }
  assertEquals(driver.core.state.rejected, 20_000n);
  assertEquals(driver.core.info, before);
});

Deno.test("run says OutOfMemory at the limit, and what was folded stays right", () => {
  const driver = new Driver({ ...PLAIN, memoryPagesMax: 120 });
  let code = Code.Done;
  let folded = 0;
  for (; code === Code.Done && folded < 2_000_000; folded += 1000) {
    const from = folded;
    code = driver.fold(
      encodeBatch(Array.from({ length: 1000 }, (_, i) => text(`1\t1\titem_${from + i}\t3`))),
      { emit: false },
    );
    if (code === Code.Done) driver.core.position = 0n;
  }
  assertEquals(code, Code.OutOfMemory);
  assert(driver.core.info.memoryBytes <= 120 * 65_536);
  const { items, accepted } = driver.core.state;
  assertEquals(items, accepted);
  const ids = Array.from({ length: Number(items) }, (_, i) => encodeUtf8(`item_${i}`));
  assert(driver.core.lookUp(ids).every((stock) => stock === 3n));
});

Deno.test("stock near the end of int64: a sum beyond it fails the transaction", () => {
  const driver = new Driver(PLAIN);
  driver.core.restoreScalars(driver.core.state);
  // One item, "cup", at 2^63 - 2: not numbered, length 3, stock + 1 as LEB128.
  const stock = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
  const probe = new Driver(PLAIN);
  probe.fold(encodeBatch([text("1\t1\tcup\t1")]));
  const [segment] = [...probe.checkpoint().keys()];
  driver.core.restoreSegment(segment!, Uint8Array.from([1, 0, 3, 0x63, 0x75, 0x70, ...stock, 0]));
  driver.fold(encodeBatch([
    text("1\t1\tcup\t2"),
    text("2\t1\tcup\t1"),
    text("3\t1\tcup\t1"),
    text("4\t1\tcup\t-2147483648"),
  ]));
  assertEquals(driver.results.map((r) => r.value.split("\t")[4]), [
    "false",
    "true",
    "false",
    "true",
  ]);
  assertEquals(driver.core.lookUp([encodeUtf8("cup")]), [2n ** 63n - 1n - 2n ** 31n]);
});

Deno.test("result batches carry producer, epoch and sequence numbers that wrap after 2^31 - 1", () => {
  const driver = new Driver({ ...PLAIN, batchBytesMax: 1100 });
  driver.core.setProducer(77n, 3, 2 ** 31 - 5);
  driver.fold(encodeBatch(Array.from({ length: 40 }, (_, i) => text(`${i}\t1\ta\t1`))));
  let expected = 2 ** 31 - 5;
  for (const batch of driver.batches) {
    const v = new DataView(batch.buffer);
    assert(batch.length <= 1100);
    assertEquals(v.getBigInt64(43), 77n);
    assertEquals(v.getInt16(51), 3);
    assertEquals(v.getInt16(21), 0x10);
    assertEquals(v.getInt32(53), expected);
    expected = (expected + v.getInt32(57)) % 2 ** 31;
  }
  assert(expected < 100, "the sequence wrapped");
});
