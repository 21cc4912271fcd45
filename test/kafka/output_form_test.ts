import { assert, assertEquals, assertThrows } from "@std/assert";
import { LostError, RefusedError, StopError } from "../../src/log/mod.ts";
import { isStamped, minTimestamp, recordsOf, sequenceOf, stamp } from "../../src/kafka/batches.ts";
import { ErrorCode } from "../../src/kafka/client/errors.ts";
import { OutputForm, windowOf } from "../../src/kafka/output_form.ts";
import { limitsOf, NO_LIMITS } from "../../src/kafka/output_limits.ts";
import { decodeBatch, decodeUtf8, encodeBatch, encodeUtf8, isIntact } from "../../src/types/mod.ts";

const NOW = 1_700_000_000_000;
const PRODUCER = { id: 7n, epoch: 1 };
const NO_SUCH_TIMESTAMP = {
  topic: "results",
  partition: 0,
  message: "",
  errorCode: ErrorCode.InvalidTimestamp,
};

function batchOf(timestamps: readonly number[], bytes = 10): Uint8Array {
  const key = encodeUtf8("item");
  const value = encodeUtf8("x".repeat(bytes));
  return encodeBatch(timestamps.map((timestamp) => ({ timestamp, key, value })));
}

function formWith(limits: Partial<typeof NO_LIMITS>, topic = "results"): OutputForm {
  const form = new OutputForm("letters");
  form.use({ [topic]: { ...NO_LIMITS, ...limits } });
  return form;
}

Deno.test("what an output takes stays as it is, the very same bytes", () => {
  const batches = [batchOf([1, 2]), batchOf([NOW])];
  for (const form of [new OutputForm(null), formWith({ beforeMs: 2 * NOW, afterMs: 3_600_000 })]) {
    assertEquals(form.fit("results", 0, batches, PRODUCER, NOW) === batches, true);
  }
});

Deno.test("no timestamp is moved before the broker refused one: the job's clock may be wrong", () => {
  const form = formWith({ beforeMs: 600_000, afterMs: 600_000 });
  const batches = [batchOf([NOW - 1_000_000, NOW, NOW + 1_000_000])];
  assertEquals(form.fit("results", 0, batches, PRODUCER, NOW), batches);
  // Nor by what another topic refused.
  form.onRefusal({ ...NO_SUCH_TIMESTAMP, topic: "summaries" }, "");
  assertEquals(form.fit("results", 0, batches, PRODUCER, NOW), batches);
});

Deno.test("timestamps outside of the limits are moved to within them, and marked; the others stay", () => {
  const form = formWith({ beforeMs: 600_000, afterMs: 600_000 });
  form.onRefusal(NO_SUCH_TIMESTAMP, "");
  const timestamps = [NOW - 1_000_000, NOW, NOW + 1_000_000];
  const [batch] = form.fit("results", 0, [batchOf(timestamps)], PRODUCER, NOW);
  assert(isIntact(batch!));
  const records = decodeBatch(batch!);
  assertEquals(records.map((r) => r.timestamp - NOW), [-540_000, 0, 540_000]);
  assertEquals(
    records.map((r) => r.headers.map((h) => [h.key, decodeUtf8(h.value!)])),
    timestamps.map((t) => t === NOW ? [] : [["stockflow.original.timestamp", String(t)]]),
  );
});

Deno.test("the margin grows with refusals: inside the limits, the present, the other side of it", () => {
  const limits = { beforeMs: 1000, afterMs: 3_600_000 };
  const earliestAfter = (refusals: number) => windowOf(limits, refusals, NOW).earliest - NOW;
  assertEquals([0, 1, 2, 3].map(earliestAfter), [-Infinity, -500, 0, 10_000]);
  // A topic whose settings the user may not see.
  assertEquals(windowOf(NO_LIMITS, 1, NOW), { earliest: NOW, latest: NOW });
  // What cannot be kept inside is at least no contradiction.
  const { earliest, latest } = windowOf({ beforeMs: 0, afterMs: 0 }, 3, NOW);
  assert(earliest <= latest);
});

Deno.test("a batch that is too large is split, and its parts share its sequence numbers", () => {
  const batch = batchOf(Array.from({ length: 100 }, (_, i) => i), 90);
  stamp(batch, PRODUCER, 2 ** 31 - 50);
  const parts = formWith({ batchBytes: 4300 }).fit("results", 0, [batch], PRODUCER, NOW);
  assert(parts.length > 1 && parts.every((p) => p.length <= 4300 && isIntact(p)));
  assert(parts.every((part) => isStamped(part, PRODUCER)));
  let sequence = 2 ** 31 - 50;
  for (const part of parts) {
    assertEquals(sequenceOf(part), sequence);
    sequence = (sequence + recordsOf(part)) % 2 ** 31;
  }
  assertEquals(sequence, 50);
  const timestamps = parts.flatMap((part) => decodeBatch(part)).map((r) => r.timestamp);
  assertEquals(timestamps, Array.from({ length: 100 }, (_, i) => i));
});

Deno.test("a result that no form makes fit stops the job with its topic, partition and key", () => {
  const fit = () =>
    formWith({ batchBytes: 5000 }).fit("results", 3, [batchOf([1], 6000)], PRODUCER, NOW);
  const { message } = assertThrows(fit, StopError);
  assert(/results-3 .* 5000 bytes .* key item/.test(message), message);
});

Deno.test("a refusal is lost and redone three times in a row, then it counts as one for good; others at once", () => {
  const form = new OutputForm(null);
  const refusal = { topic: "results", partition: 0, message: "no", errorCode: 32 };
  const kinds = () => form.onRefusal(refusal, "partition 0 from offset 5 on of t");
  for (let i = 0; i < 3; i++) assert(kinds() instanceof LostError);
  const last = kinds();
  assert(last instanceof RefusedError);
  assertEquals(
    last.message,
    "Topic results refuses records of partition 0, outputs of partition 0 from offset 5 on of t: no",
  );
  // Each topic has tries of its own.
  assert(form.onRefusal({ ...refusal, topic: "summaries" }, "t") instanceof LostError);
  form.onCommitted();
  assert(kinds() instanceof LostError);
  assert(form.onRefusal({ ...refusal, errorCode: 44 }, "t") instanceof RefusedError);
});

Deno.test("limits that the user may not see are learnt from refusals", () => {
  const form = new OutputForm("letters");
  const batch = encodeBatch([{ timestamp: 1, key: null, value: encodeUtf8("bad") }]);
  assertEquals(form.fit("letters", 0, [batch], PRODUCER, NOW), [batch]);
  const refusal = { ...NO_SUCH_TIMESTAMP, topic: "letters" };
  form.onRefusal({ ...refusal, errorCode: ErrorCode.InvalidRecord }, "");
  form.onRefusal(refusal, "");
  const [fitted] = form.fit("letters", 0, [batch], PRODUCER, NOW);
  const [record] = decodeBatch(fitted!);
  assertEquals([record!.timestamp, record!.key !== null], [NOW, true]);
});

Deno.test("limits are those of the topic's settings, of every version of brokers", () => {
  const settings = (entries: Record<string, string>) => limitsOf(new Map(Object.entries(entries)));
  const any = "9223372036854775807";
  assertEquals(limitsOf(undefined), NO_LIMITS);
  assertEquals(settings({ "message.timestamp.before.max.ms": any }).beforeMs, Infinity);
  const old = settings({ "message.timestamp.difference.max.ms": "5" });
  assertEquals([old.beforeMs, old.afterMs], [5, 5]);
  const appended = settings({
    "message.timestamp.type": "LogAppendTime",
    "message.timestamp.before.max.ms": "5",
  });
  assertEquals(appended.beforeMs, Infinity);
  assert(settings({ "cleanup.policy": "compact,delete" }).needsKey);
});

Deno.test("minTimestamp is that of the smallest record, wherever it stands", () => {
  assertEquals(minTimestamp(batchOf([5, 3, 2 ** 41, 4])), 3);
  assertEquals(minTimestamp(batchOf([2 ** 41, 7])), 7);
  // The largest date, and one before it by more than 2^52 ms: the sign must not be lost.
  assertEquals(minTimestamp(batchOf([8.64e15, 7])), 7);
  assertEquals(minTimestamp(batchOf([7, 8.64e15, 6])), 6);
});
