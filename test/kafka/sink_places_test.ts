// Where sinks go on, before brokers that are made up.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { OffsetReset } from "../../src/log/mod.ts";
import { ErrorCode, isUnavailable } from "../../src/kafka/client/errors.ts";
import {
  decodeSinkMetadata,
  encodeSinkMetadata,
  UNKNOWN_LOG,
} from "../../src/kafka/committed_metadata.ts";
import type { TopicReader } from "../../src/kafka/log_identity.ts";
import { keepsBatches, limitsOf } from "../../src/kafka/output_limits.ts";
import { type SinkOffset, sinkPlaces } from "../../src/kafka/sink_places.ts";
import { ReplacedLogError } from "../../src/kafka/topics_view.ts";
import { batchInfo, encodeBatch, encodeUtf8, setBaseOffset } from "../../src/types/mod.ts";
import { capturingLogs } from "../engine/captured_logs.ts";
import { ManualClock } from "../engine/manual_clock.ts";

const ID = "AAAAAAAAAAAAAAAAAAAAAQ";
const NEXT_ID = "AAAAAAAAAAAAAAAAAAAAAg";

function batchAt(offset: number, value: string): Uint8Array {
  const batch = encodeBatch([{ timestamp: 1, key: null, value: encodeUtf8(value) }]);
  setBaseOffset(batch, offset);
  return batch;
}

/** A log of one-record batches. */
interface Log {
  readonly values: readonly string[];
  /** What lies before it, retention has removed. */
  readonly start?: number;
  /** Records at the end that the leader does not show. */
  readonly hidden?: number;
}

/** A topic as its brokers give it. */
function topicOf(id: string | null, ...logs: Log[]): TopicReader {
  const endOf = (partition: number) => logs[partition]!.values.length;
  const startOf = (partition: number) => logs[partition]!.start ?? 0;
  return {
    leaderOf: () => "1",
    describe: ([topic]) => {
      const leaderEpochs = logs.map((_, partition) => 10 + partition);
      const facts = { errorCode: 0, id, partitions: logs.length, offline: [], leaderEpochs };
      return Promise.resolve(new Map([[topic!, { topic: topic!, ...facts }]]));
    },
    offsets: (_, partitions, which) => {
      const of = which === "earliest" ? startOf : endOf;
      return Promise.resolve(new Map(partitions.map((p) => [p, of(p)])));
    },
    fetch: (_, _topic, from) => {
      const partitions = from.map(({ partition, offset, leaderEpoch }) => {
        assertEquals(leaderEpoch, 10 + partition, "each fetch names the epoch of its leader");
        const { values, hidden = 0 } = logs[partition]!;
        const isOutside = offset < startOf(partition) || offset > values.length;
        const isShown = !isOutside && offset < values.length - hidden;
        return {
          partition,
          errorCode: isOutside ? ErrorCode.OffsetOutOfRange : 0,
          highWatermark: values.length,
          lastStableOffset: values.length,
          logStart: -1,
          aborted: [],
          records: isShown ? batchAt(offset, values[offset]!) : new Uint8Array(),
        };
      });
      return Promise.resolve({ clientSideThrottleTime: 0, errorCode: 0, partitions });
    },
  };
}

/** An offset that was committed behind a value. */
function behind(topicId: string | null, offset: number, value: string): SinkOffset {
  const { crc } = batchInfo(batchAt(offset - 1, value));
  return { offset, identity: { topicId, last: { baseOffset: offset - 1, crc } } };
}

const clock = new ManualClock();

function places(
  client: TopicReader,
  id: string | null,
  partitions: number,
  committed: readonly [number, SinkOffset][],
  offsetReset: OffsetReset = "earliest",
  isCompacted = false,
) {
  const found = sinkPlaces({
    client,
    clock,
    topic: { name: "t", id, groupId: "group-s", isQueries: true, isCompacted },
    partitions: Array.from({ length: partitions }, (_, p) => p),
    name: "s",
    offsetReset,
    committed: new Map(committed),
  });
  found.catch(() => {}); // awaited below
  return clock.run(found, "it is known where the sink goes on");
}

const briefly = ({ offset, isBegun }: { offset: number; isBegun: boolean }) => [offset, isBegun];

const NEW_LOG: Log = { values: ["A", "B", "C", "D"], start: 1 };
const OTHERS: readonly [what: string, id: string | null, SinkOffset, Log, reason: string][] = [
  ["has another id", NEXT_ID, behind(ID, 2, "b"), NEW_LOG, `its id was ${ID}, and is ${NEXT_ID}`],
  [
    "has another batch, and no id",
    null,
    behind(null, 3, "c"),
    NEW_LOG,
    "another batch at offset 2",
  ],
  ["has its id and another batch", ID, behind(ID, 3, "c"), NEW_LOG, "has lost records"],
  ["is too short", ID, behind(ID, 5, "e"), NEW_LOG, "it ends at offset 4"],
];

for (const [what, id, committed, log, reason] of OTHERS) {
  Deno.test(`a sink begins with the first record of a topic that ${what}, and that is logged`, async () => {
    for (const reset of ["earliest", "latest"] as const) {
      await capturingLogs(async (logged) => {
        const found = await places(topicOf(id, log), id, 1, [[0, committed]], reset);
        assertEquals(found, [
          { partition: 0, offset: 1, end: 4, leaderEpoch: 10, last: null, isBegun: true },
        ]);
        assertEquals(logged.length, 1);
        assert(logged[0]!.startsWith("error Sink s: t-0 is not the log any more"), logged[0]);
        assert(logged[0]!.includes(reason), logged[0]);
      });
    }
  });
}

Deno.test("a sink goes on at its offset in the topic that it was given, whoever has set the offset", async () => {
  const values = ["a", "b", "c", "d"];
  const [of2, of4] = [behind(ID, 2, "b"), behind(ID, 4, "d")];
  const known = await places(topicOf(ID, { values }), ID, 1, [[0, of2]]);
  assertEquals(known, [{
    partition: 0,
    offset: 2,
    end: 4,
    leaderEpoch: 10,
    last: of2.identity.last,
    isBegun: false,
  }]);
  const set: readonly SinkOffset[] = [
    { offset: 1, identity: UNKNOWN_LOG },
    { offset: 2, identity: { topicId: ID, last: null } },
    { offset: 1, identity: of4.identity },
    of4,
  ];
  for (const one of set) {
    const found = await places(topicOf(ID, { values }), ID, 1, [[0, one]]);
    assertEquals(found.map(briefly), [[one.offset, false]]);
  }
  // Retention has removed the batch: nothing is known against the log.
  const removed = await places(topicOf(ID, { values, start: 3 }), ID, 1, [[0, of2]]);
  assertEquals(removed.map(briefly), [[2, false]]);
});

Deno.test("batches of a topic that is compacted do not stay as they were: its id alone says whether it is another one", async () => {
  const rewritten = { values: ["a", "B", "c"] };
  for (const id of [ID, null]) {
    const committed: [number, SinkOffset][] = [[0, behind(id, 2, "b")]];
    const found = await places(topicOf(id, rewritten), id, 1, committed, "earliest", true);
    assertEquals(found.map(briefly), [[2, false]]);
  }
  await capturingLogs(async () => {
    const committed: [number, SinkOffset][] = [[0, behind(ID, 2, "b")]];
    const found = await places(
      topicOf(NEXT_ID, rewritten),
      NEXT_ID,
      1,
      committed,
      "earliest",
      true,
    );
    assertEquals(found.map(briefly), [[0, true]]);
  });
  const known = { cleanup: "delete", bytes: "1048576" };
  for (
    const [{ cleanup, bytes }, keeps] of [[known, true], [
      { ...known, cleanup: "compact" },
      false,
    ]] as const
  ) {
    const settings = new Map([["cleanup.policy", cleanup], ["max.message.bytes", bytes]]);
    assertEquals(keepsBatches(limitsOf(settings)), keeps);
  }
  assertEquals(keepsBatches(limitsOf(undefined)), false);
});

Deno.test("a log that seems to end early for a moment is not another one", async () => {
  const whole = topicOf(ID, { values: ["a", "b", "c"] });
  let looks = 0;
  const early: TopicReader = {
    ...whole,
    offsets: async (topic, partitions, which) =>
      which === "latest" && ++looks < 3
        ? new Map([[0, 1]])
        : await whole.offsets(topic, partitions, which),
  };
  const found = await places(early, ID, 1, [[0, behind(ID, 3, "c")]]);
  assertEquals(found.map(briefly), [[3, false]]);
});

Deno.test("a sink that is new begins where it is to; in a partition that came to its topic since, with the first record", async () => {
  const two = topicOf(ID, { values: ["a", "b"] }, { values: ["x", "y", "z"], start: 1 });
  assertEquals((await places(two, ID, 2, [])).map(briefly), [[0, true], [1, true]]);
  assertEquals((await places(two, ID, 2, [], "latest")).map(briefly), [[2, true], [3, true]]);
  const grown = await places(two, ID, 2, [[0, behind(ID, 2, "b")]], "latest");
  assertEquals(grown.map(briefly), [[2, false], [1, true]]);
});

Deno.test("a sink whose log cannot be compared yet is tried again, as is one whose topic is created anew meanwhile", async () => {
  const values = ["a", "b"];
  const hidden = topicOf(ID, { values, hidden: 1 });
  const error = await assertRejects(() => places(hidden, ID, 1, [[0, behind(ID, 2, "b")]]));
  assertEquals(isUnavailable(error), true);
  assertStringIncludes((error as Error).message, "t-0: ");
  const anew = topicOf(NEXT_ID, { values });
  await assertRejects(() => places(anew, ID, 1, [[0, behind(ID, 2, "b")]]), ReplacedLogError);
});

Deno.test("the offset of a sink says which log it is of; the form before said the topic's id", () => {
  const last = { baseOffset: 17, crc: 0xab };
  for (const topicId of [ID, null]) {
    for (const identity of [{ topicId, last }, { topicId, last: null }]) {
      assertEquals(decodeSinkMetadata(encodeSinkMetadata(identity)), identity);
    }
  }
  assertEquals(
    encodeSinkMetadata({ topicId: ID, last }),
    `stockflow-sink1 topic=${ID} last=17:000000ab`,
  );
  assertEquals(decodeSinkMetadata(ID), { topicId: ID, last: null });
  for (const other of ["", "by hand", "stockflow-sink9 topic=none last=none"]) {
    assertEquals(decodeSinkMetadata(other), UNKNOWN_LOG);
  }
});
