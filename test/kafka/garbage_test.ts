// Records that are malformed in every way, among good ones: each is a dead letter, as it came, and
// nothing else is touched. Starts a broker of its own (tools/kit/test_broker.ts).

import { assert, assertEquals } from "@std/assert";
import type { IHeaders } from "kafkajs";
import {
  encodeUtf8,
  Format,
  type NewRecord,
  Partitioner,
  partitionOf,
  Reason,
  reasonName,
  REASONS,
} from "../../src/types/mod.ts";
import { Model } from "../model/model.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { Stage } from "./scene.ts";
import { stockOf } from "./until.ts";
import { witness, type WitnessedRecord } from "./witness.ts";

const PARTITIONS = 2;
const RECORDS = 10_000;
const GARBAGE_EVERY = 100;
const ITEMS = 50;
const LETTER_BYTES_MAX = 8192;

const TEXT_GARBAGE: readonly string[] = [
  "",
  "1",
  "1\t1\titem_1",
  "1\t1\titem_1\t5\t6",
  "1\t1\titem_1\t5\n",
  " 1\t1\titem_1\t5",
  "+1\t1\titem_1\t5",
  "01\t1\titem_1\t5",
  "-0\t1\titem_1\t5",
  "1.0\t1\titem_1\t5",
  "1e3\t1\titem_1\t5",
  "\t1\titem_1\t5",
  "1\tnow\titem_1\t5",
  "1\t1\titem_1\t0x5",
  "1\t1\titem_1\t-",
  "9223372036854775808\t1\titem_1\t5",
  "-9223372036854775809\t1\titem_1\t5",
  "1\t-1\titem_1\t5",
  "1\t9007199254740992\titem_1\t5",
  "1\t1\t\t5",
  `1\t1\t${"x".repeat(250)}\t5`,
  "1\t1\tite\u0001m\t5",
  "1\t1\titem\u007f\t5",
  "1\t1\titem_1\t2147483648",
  "1\t1\titem_1\t-2147483649",
  "x".repeat(2 * LETTER_BYTES_MAX),
];

const JSON_GARBAGE: readonly string[] = [
  "",
  "null",
  "[]",
  "{}",
  "{",
  '{"transactionId":1,"ts":2,"itemId":"item_1","quantity":5',
  '{"transactionId":1,"ts":2,"itemId":"item_1","quantity":5} x',
  '{"transactionId":1,"ts":2,"itemId":"item_1"}',
  '{"transactionId":"1","ts":2,"itemId":"item_1","quantity":5}',
  '{"transactionId":1,"ts":2,"itemId":7,"quantity":5}',
  '{"transactionId":1,"ts":2,"itemId":"item_1","quantity":5,"quantity":5}',
  '{"transactionId":1,"ts":2,"itemId":"item_1","quantity":-0}',
  '{"transactionId":1,"ts":2,"itemId":"item_1","quantity":5.0}',
  '{"transactionId":1,"ts":2,"itemId":"item_1","quantity":5e0}',
  '{"transactionId":1,"ts":2,"itemId":"item_1","quantity":05}',
  '{"transactionId":1,"ts":2,"itemId":"\\ud800","quantity":5}',
  '{"transactionId":1,"ts":2,"itemId":"\\x41","quantity":5}',
  '{"transactionId":9223372036854775808,"ts":2,"itemId":"item_1","quantity":5}',
  '{"transactionId":1,"ts":-2,"itemId":"item_1","quantity":5}',
  '{"transactionId":1,"ts":2,"itemId":"","quantity":5}',
  `{"transactionId":1,"ts":2,"itemId":"${"x".repeat(250)}","quantity":5}`,
  '{"transactionId":1,"ts":2,"itemId":"\\u0001","quantity":5}',
  '{"transactionId":1,"ts":2,"itemId":"item_1","quantity":2147483648}',
  "x".repeat(2 * LETTER_BYTES_MAX),
];

const GOOD: Record<"text" | "json", (id: number, item: string, quantity: number) => string> = {
  text: (id, item, quantity) => `${id}\t${id}\t${item}\t${quantity}`,
  json: (id, item, quantity) =>
    `{"other":[{}],"quantity":${quantity},"itemId":"${item}","ts":${id},"transactionId":${id}}`,
};

const stage = await Stage.shared();

/** Headers as a producer may make them: bytes that are not text, a name that comes twice. */
function headersOf(id: number) {
  return [
    { key: "origin", value: encodeUtf8(`load ${id}`) },
    { key: "bytes", value: new Uint8Array([0, 255, id & 255]) },
    { key: "twice", value: encodeUtf8("1") },
    { key: "twice", value: encodeUtf8("2") },
    { key: "empty", value: new Uint8Array(0) },
  ];
}

/** Bytes as text, so that what was read can be compared. */
function plain(value: IHeaders[string] | Uint8Array | null): unknown {
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Uint8Array ? value.toHex() : value ?? null;
}

/** A dead letter without its headers of provenance, and those. */
function split({ timestamp, bytes, headers }: WitnessedRecord) {
  const own = Object.entries(headers).filter(([key]) => !key.startsWith("stockflow."));
  const provenance = Object.entries(headers).filter(([key]) => key.startsWith("stockflow."))
    .map(([key, value]) => [key.slice("stockflow.".length), String(value)]);
  return {
    timestamp,
    key: plain(bytes.key),
    value: plain(bytes.value),
    headers: Object.fromEntries(own.map(([key, value]) => [key, plain(value)])),
    provenance: Object.fromEntries(provenance),
  };
}

for (const format of ["text", "json"] as const) {
  stage.test(`${format}: garbage of every kind becomes dead letters as it came`, async () => {
    const scene = await stage.scene(PARTITIONS);
    const { topics, start } = scene;
    const letters = `letters-${format}`;
    await stage.broker.createTopics([letters], PARTITIONS, {
      "max.message.bytes": String(LETTER_BYTES_MAX),
    });
    const input = topics["transaction.input.topic"];
    const loader = await Loader.open(stage.broker.bootstrap, input);
    const garbage = format === "text" ? TEXT_GARBAGE : JSON_GARBAGE;
    const values = [
      null,
      new Uint8Array([0xff, 0xfe]),
      ...garbage.map((value) => encodeUtf8(value)),
    ];
    const records: NewRecord[][] = [[], []];
    const put = (partition: number, value: Uint8Array | null, item: string, id: number) =>
      records[partition]!.push({
        timestamp: 1_700_000_000_000 + id,
        key: encodeUtf8(item),
        value,
        headers: headersOf(id),
      });
    for (let id = 1; id <= RECORDS; id++) {
      const item = `item_${id % ITEMS}`;
      const partition = partitionOf(Partitioner.Murmur2, encodeUtf8(item), PARTITIONS);
      const nth = id / GARBAGE_EVERY;
      const value = Number.isInteger(nth)
        ? values[nth % values.length]!
        : encodeUtf8(GOOD[format](id, item, id % 7 - 2));
      put(partition, value, item, id);
    }
    // Each way for both partitions, and items in the wrong one: that is a dead letter once something
    // was committed.
    const first = records.map((list) => list.length);
    for (const partition of [0, 1]) {
      for (const [i, value] of values.entries()) put(partition, value, "item_1", RECORDS + i);
      for (let i = 0; i < 10; i++) {
        const item = `stray_${i}`;
        const home = partitionOf(Partitioner.Murmur2, encodeUtf8(item), PARTITIONS);
        if (home !== partition) put(partition, encodeUtf8(GOOD[format](i, item, 1)), item, i);
      }
    }
    const service = await start({
      format,
      "deadletter.topic": letters,
      "enable.summaries": "false",
      "commit.interval.ms": "20",
    });
    await waitReady(service);
    const append = async (from: readonly number[], to: readonly number[]) => {
      await Promise.all(
        records.map((list, p) => loader.appendTo(p, list.slice(from[p], to[p]))),
      );
      await stage.untilCommitted(scene, to[0]! + to[1]!, service);
    };
    await append([0, 0], first);
    await append(first, records.map((list) => list.length));

    const inputs = await witness(stage.broker.bootstrap, input);
    const models = inputs.map((list, partition) => {
      const model = new Model({
        format: format === "text" ? Format.Text : Format.Json,
        partitioner: Partitioner.Murmur2,
        partition,
        partitions: PARTITIONS,
        windowMs: 0,
        eventTime: false,
        outOfOrderMs: 0,
        maxAheadMs: 0,
        alertTotalMin: 0,
        alertRateMin: 0,
      });
      for (const { offset, timestamp, bytes } of list) {
        model.fold({ offset, timestamp, value: bytes.value });
      }
      return model;
    });
    for (const [item, stock] of models.flatMap((model) => [...model.stock])) {
      assertEquals(BigInt(await stockOf(service, item)), stock);
    }
    await stopInGoodOrder(service);
    const [found, results] = await Promise.all([
      witness(stage.broker.bootstrap, letters),
      witness(stage.broker.bootstrap, topics["transaction.output.topic"]),
    ]);
    const reasons = new Set(models.flatMap((model) => [...model.invalid.keys()]));
    assertEquals(
      [...reasons].map(reasonName).toSorted(),
      // A job that does not remember transactions meets no conflict of their ids.
      REASONS.filter((r) => r !== Reason.IdConflict).map(reasonName).toSorted(),
    );
    for (const [partition, model] of models.entries()) {
      const expected = model.deadLetters.map(({ offset, reason, timestamp }) => {
        const { provenance: _, ...record } = split(
          inputs[partition]!.find((r) => r.offset === offset)!,
        );
        const provenance = {
          topic: input,
          partition: String(partition),
          offset: String(offset),
          timestamp: String(timestamp),
          reason: reasonName(reason),
        };
        return { ...record, provenance };
      });
      const isCut = (letter: ReturnType<typeof split>) => "original.length" in letter.provenance;
      const letters = found[partition]!.map(split);
      assertEquals(letters.length, expected.length);
      for (const [i, letter] of letters.entries()) {
        const whole = expected[i]!;
        if (!isCut(letter)) {
          assertEquals(letter, whole);
          continue;
        }
        const { "original.length": length, ...provenance } = letter.provenance;
        assertEquals(provenance, whole.provenance);
        assertEquals(length, String(2 * LETTER_BYTES_MAX));
        assert(String(whole.value).startsWith(String(letter.value)) && letter.value !== "");
      }
      assertEquals(
        results[partition]!.map(({ key, value, timestamp }) => ({
          key: key!,
          value: value!,
          timestamp,
        })),
        model.results,
      );
      assert(
        letters.some(isCut) &&
          letters.some((l) => l.provenance.reason === reasonName(Reason.WrongPartition)),
      );
    }
    await loader.close();
  });
}
