import { assertEquals, assertRejects } from "@std/assert";
import { LostError } from "../../src/log/mod.ts";
import type { BrokerInternals, Exchange } from "../../src/kafka/client/internals.ts";
import { encodeMetadata, UNKNOWN_LOG } from "../../src/kafka/committed_metadata.ts";
import { claimMethods, type KafkaCalls, type KafkaLog } from "../../src/kafka/kafka_log.ts";
import { ActiveGeneration } from "../../src/kafka/active_generation.ts";
import type { Membership } from "../../src/kafka/membership.ts";
import { KafkaThreadLog } from "../../src/kafka/thread_log.ts";
import { NO_TIME } from "../../src/wasm/mod.ts";
import type { ConditionCalls } from "../../src/engine/threads/remote_conditions.ts";
import { channel } from "../engine/channel.ts";
import { ManualClock } from "../engine/manual_clock.ts";
import { connectionTo } from "./connection.ts";

const TOPIC = "transactions";
const view = { topics: { [TOPIC]: { id: null, partitions: 1, offline: [] } }, limits: {} };
const member = { memberId: "me", generation: 7 };

/** A broker with one empty partition, at whose start the group stands. */
function emptyBroker(): Partial<BrokerInternals> {
  const metadata = encodeMetadata(
    { start: 0, watermark: NO_TIME, parametersHash: "", secret: null, raisedAt: null },
    UNKNOWN_LOG,
  );
  const committed = { partition: 0, offset: 0, metadata, errorCode: 0 };
  const facts = { errorCode: 0, id: null, partitions: 1, offline: [], leaderEpochs: [0] };
  const answers: Record<string, unknown> = {
    OffsetFetch: { topics: [{ topic: TOPIC, partitions: [committed] }], errorCode: 0 },
    Metadata: { clientSideThrottleTime: 0, topics: [{ topic: TOPIC, ...facts }] },
  };
  return {
    initProducerId: () => Promise.resolve({ producerId: "1", producerEpoch: 0 }),
    listOffsets: () =>
      Promise.resolve({
        responses: [{ topic: TOPIC, partitions: [{ partition: 0, offset: "0" }] }],
      }),
    connectionPool: {
      send: <T>({ request }: Exchange<T>) => {
        const answer = answers[request.apiName];
        return answer ? Promise.resolve(answer as T) : new Promise(() => {});
      },
      getConnection: () => new Promise(() => {}),
    },
  };
}

Deno.test("a thread's session that is closed is forgotten while its generation stands; the others end with it", async () => {
  const active = new ActiveGeneration(member.memberId, member.generation);
  const membership: Partial<Membership> = { generation: () => active };
  const { kafkaEnded } = claimMethods({ membership } as KafkaLog);
  let waiting = 0;
  const { near } = channel<KafkaCalls & ConditionCalls>({
    kafkaClaim: ([partitions]) => ({ member, view, partitions, transactionalId: "group-t-0" }),
    kafkaEnded: async (args, signal) => {
      waiting++;
      return await Promise.resolve(kafkaEnded(args, signal)).finally(() => waiting--);
    },
  });
  const clock = new ManualClock();
  const outputs = { always: [], rarely: [] };
  const session = {
    connection: connectionTo(emptyBroker()),
    groupId: "group",
    transactionTimeoutMs: 60_000,
    topics: [TOPIC],
    compression: "none",
    inputBatchBytesMax: 1000,
    paceMs: 0,
    queryPaceMs: 0,
  } as const;
  const log = new KafkaThreadLog(
    { id: "log", topicId: null, view, deadLetters: null, outputs, session },
    near,
    clock,
  );
  for (let recovery = 0; recovery < 5; recovery++) {
    const lost = await log.claim(TOPIC, [0]);
    await clock.settle();
    assertEquals(waiting, 1);
    lost.close();
    await clock.settle();
    assertEquals(waiting, 0, "closed sessions that wait for the end of the generation");
  }
  const last = await log.claim(TOPIC, [0]);
  const reading = last.read(0, 0, { maxBytes: 1, waitMs: 1000 });
  await clock.settle();
  active.end(new LostError("The group has a new generation"));
  await assertRejects(() => reading, LostError, "The group has a new generation");
  assertEquals(waiting, 0);
});

Deno.test("a thread that is gone holds its generation up no longer than a session that is closed", async () => {
  const active = new ActiveGeneration(member.memberId, member.generation);
  const membership: Partial<Membership> = { generation: () => active };
  const { kafkaEnded } = claimMethods({ membership } as KafkaLog);
  let isReleased = false;
  const threads = [0, 1].map(() => {
    active.claim([0]);
    const over = new AbortController();
    return { over, ended: Promise.resolve(kafkaEnded([member.generation], over.signal)) };
  });
  active.whenReleased(() => isReleased = true);
  for (const { over, ended } of threads) {
    assertEquals(isReleased, false);
    over.abort("gone");
    await assertRejects(() => ended, LostError, "The session is over");
  }
  assertEquals(isReleased, true);
});
