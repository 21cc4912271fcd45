// Fetches under read_committed: whole batches up to the last stable offset, those of aborted
// transactions and markers too, and perhaps a part of one more.

import { ErrorCode } from "../../../src/kafka/client/errors.ts";
import { NO_EPOCH } from "../../../src/kafka/protocol/fetch.ts";
import { crc32c, encodeBatch, setBaseOffset } from "../../../src/types/mod.ts";
import { stamp } from "../../../src/kafka/batches.ts";
import type { BrokerPartition, LogEntry, Transaction } from "../broker.ts";
import type { Sim } from "../sim.ts";
import type { Node } from "./brokers.ts";
import type { SimCluster } from "./sim_cluster.ts";
import { fetchAnswer, type FetchRequest, type PartitionAnswer } from "./wire_answers.ts";

const CONTROL_AND_TRANSACTIONAL = 0x30;

/** Answers at once if there is something to answer, else when something came, or the time is over. */
export function answerFetch(
  cluster: SimCluster,
  node: Node,
  request: FetchRequest,
): Uint8Array | Promise<Uint8Array> {
  const { brokers, process } = cluster;
  const { sim } = process;
  const topic = request.byId ? brokers.nameOf(request.topic) : request.topic;
  const answers = (): PartitionAnswer[] =>
    request.partitions.map(({ partition, offset, leaderEpoch }) => {
      // What is fetched by an id that is not there any more is not fetched by its name.
      const isThere = topic !== null && (!request.byId || brokers.idOf(topic) === request.topic);
      if (!isThere || !brokers.isThere(topic)) {
        return goneAnswer(partition, request.byId);
      }
      const tp = brokers.storage.topic(topic)[partition]!;
      const led = brokers.leader(topic, partition) === node;
      const epochs = { asked: leaderEpoch!, current: brokers.leaderEpoch(topic, partition) };
      const refusal = led ? refusalOf(epochs) : ErrorCode.NotLeader;
      return partitionAnswer(sim, tp, brokers.stableEnd(tp), refusal, offset);
    });
  const first = answers();
  const reports = first.some((p) => p.errorCode !== 0 || p.records.length > 0);
  if (reports || request.maxWaitMs === 0) return fetchAnswer(request, first);
  return new Promise((resolve) => {
    const end = () => {
      event.run = null;
      resolve(fetchAnswer(request, answers()));
    };
    const event = sim.scheduler.after(request.maxWaitMs, end);
    let over = false;
    const wake = () => {
      if (over) return;
      over = true;
      // What came may be part of a transaction that is still open.
      sim.scheduler.after(sim.between(0.01, 0.5), () => event.run && end());
    };
    for (const { partition } of request.partitions) {
      brokers.storage.topic(topic!)[partition]!.waitForMore(wake);
    }
  });
}

/** What a leader says of the epoch that a fetch names (KIP-320); 0 = it may be answered. */
function refusalOf({ asked, current }: { asked: number; current: number }): number {
  if (asked === NO_EPOCH || asked === current) return 0;
  return asked < current ? ErrorCode.FencedLeaderEpoch : ErrorCode.UnknownLeaderEpoch;
}

function goneAnswer(partition: number, byId: boolean): PartitionAnswer {
  const errorCode = byId ? ErrorCode.UnknownTopicId : ErrorCode.UnknownTopicOrPartition;
  return {
    partition,
    errorCode,
    highWatermark: -1,
    lastStableOffset: -1,
    logStart: -1,
    aborted: [],
    records: new Uint8Array(),
  };
}

function partitionAnswer(
  sim: Sim,
  tp: BrokerPartition,
  stableEnd: number,
  refusal: number,
  offset: number,
): PartitionAnswer {
  const facts = {
    partition: tp.partition,
    highWatermark: tp.end,
    lastStableOffset: stableEnd,
    logStart: tp.start,
    aborted: [],
    records: new Uint8Array(),
  };
  if (refusal !== 0) return { ...facts, errorCode: refusal };
  if (offset < tp.start || offset > tp.end) {
    // Brokers do not say with it where the log begins and ends.
    const unknown = { highWatermark: -1, lastStableOffset: -1, logStart: -1 };
    return { ...facts, ...unknown, errorCode: ErrorCode.OffsetOutOfRange };
  }
  const entries = entriesFrom(tp, offset).filter((entry) => entry.base < stableEnd);
  if (entries.length === 0) return { ...facts, errorCode: 0 };
  const cut = sim.happens("records cut") ? 1 + sim.random.below(entries.length) : entries.length;
  const whole = entries.slice(0, cut).map(bytesOf);
  const next = entries[cut];
  if (next && sim.happens("records torn")) {
    const bytes = bytesOf(next);
    whole.push(bytes.subarray(0, sim.random.below(bytes.length)));
  }
  const records = new Uint8Array(whole.reduce((n, bytes) => n + bytes.length, 0));
  whole.reduce((at, bytes) => (records.set(bytes, at), at + bytes.length), 0);
  return { ...facts, errorCode: 0, aborted: abortedIn(tp, entries.slice(0, cut)), records };
}

/** Entries that reach behind an offset, in their order. */
function entriesFrom({ entries }: BrokerPartition, offset: number): readonly LogEntry[] {
  let at = entries.length;
  while (at > 0 && entries[at - 1]!.last >= offset) at--;
  return entries.slice(at);
}

/** A batch as it stands in the log; a marker is a control batch. */
function bytesOf({ base, bytes, transaction, writtenAt }: LogEntry): Uint8Array {
  if (bytes) return bytes;
  const { producerId, state } = transaction!;
  const key = new Uint8Array([0, 0, 0, state === "committed" ? 1 : 0]);
  const batch = encodeBatch([{ timestamp: writtenAt!, key, value: new Uint8Array(6) }]);
  stamp(batch, { id: producerId, epoch: 0 }, -1);
  const view = new DataView(batch.buffer);
  view.setInt16(21, CONTROL_AND_TRANSACTIONAL);
  view.setUint32(17, crc32c(batch, 21));
  setBaseOffset(batch, base);
  return batch;
}

function abortedIn(tp: BrokerPartition, entries: readonly LogEntry[]): PartitionAnswer["aborted"] {
  const aborted = new Set<Transaction>();
  for (const { transaction } of entries) {
    if (transaction?.state === "aborted") aborted.add(transaction);
  }
  return [...aborted].map((transaction) => ({
    producerId: transaction.producerId,
    firstOffset: transaction.partitions.get(tp)!,
  }));
}
