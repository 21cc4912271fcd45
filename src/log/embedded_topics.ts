// The topics of an embedded log as they stand in its KV (embedded_log.ts has the keys): created, found, and which of them
// have positions.

import { getLogger } from "@logtape/logtape";
import { type Chance, type Clock, randomId, type Tracing } from "../types/mod.ts";
import { type Kv, SoleWrites } from "../kv/mod.ts";
import {
  type CommittedPosition,
  firstPosition,
  type Restoration,
  type RestoredFrom,
} from "./port.ts";

const log = getLogger(["stockflow", "log"]);
import { TopicPartition } from "./topic_partition.ts";

/** 2: with how long transactions are remembered. A log of version 1 becomes one of version 2 when it is opened. */
export const FORMAT_VERSION = 2;

export interface EmbeddedLogOptions {
  /** Partitions by topic; a topic keeps the number that it was created with. */
  readonly topics: Readonly<Record<string, number>>;
  /** Topics that are claimed and committed; they are among the topics. */
  readonly inputs: readonly string[];
  /** Creates the log with partitions of this topic that begin at the positions of a savepoint. */
  readonly restore?: { readonly topic: string; readonly restoration: Restoration };
  /** How long transactions are remembered, if the log is created now and does not begin with a savepoint: 0 by default. */
  readonly idempotencyWindowMs?: number;
  /** Inputs whose records are computed: nobody appends to them, so their commits wait when appends are refused. */
  readonly computed?: readonly string[];
  /** Why nothing may be appended now, such as a disk that is nearly full; null = it may. */
  readonly refusal?: () => string | null;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Null or left away: nothing is traced. */
  readonly tracing?: Tracing | null;
}

/** What the KV says of the log as a whole. */
export interface Identity {
  readonly version: number;
  readonly id: string;
  readonly restoredFrom?: RestoredFrom;
  /** How long transactions are remembered unless parameters say so, in ms; absent in version 1, which remembers none. */
  readonly idempotencyWindowMs?: number;
}

/** Adds the topics of other jobs on the log: they can be looked into, and old records of their outputs are removed. */
export async function readOthers(kv: Kv, topics: Map<string, TopicPartition[]>): Promise<void> {
  for await (const { key, value } of kv.list<{ partitions: number }>({ prefix: ["topic"] })) {
    const topic = key[1] as string;
    if (topics.has(topic)) continue;
    const all = Array.from({ length: value.partitions }, (_, p) => new TopicPartition(topic, p));
    topics.set(topic, all);
  }
}

/** A position as it stands in the KV; those of earlier versions have less. */
export type StoredPosition = Omit<CommittedPosition, "parametersHash" | "secret" | "raisedAt"> & {
  readonly parameters: string;
  readonly secret?: CommittedPosition["secret"];
  readonly raisedAt?: CommittedPosition["raisedAt"];
};

export function storedPosition({ parametersHash, ...position }: CommittedPosition): StoredPosition {
  return { ...position, parameters: parametersHash };
}

export function positionOf(
  { parameters, secret = null, raisedAt = null, ...position }: StoredPosition,
): CommittedPosition {
  return { ...position, parametersHash: parameters, secret, raisedAt };
}

/** The writes of the log, of which one that failed is logged and tried again. */
export function openWrites(kv: Kv, waits: EmbeddedLogOptions): Promise<SoleWrites> {
  const onRetry = ({ message }: Error) =>
    log.warn("The log's file is tried again: {reason}", { reason: message });
  return SoleWrites.open(kv, { key: ["commit"], waits: { ...waits, onRetry }, what: "log" });
}

/** The topics that have positions; an output that becomes an input gets them, at its first record. */
export async function readInputs(
  kv: Kv,
  writes: SoleWrites,
  topics: ReadonlyMap<string, readonly TopicPartition[]>,
  options: EmbeddedLogOptions,
): Promise<string[]> {
  const inputs: string[] = [];
  for (const [topic, { length }] of topics) {
    const { value } = await kv.get(["committed", topic, 0]);
    if (!value && !options.inputs.includes(topic)) continue;
    inputs.push(topic);
    if (value) continue;
    const starts = await Promise.all(
      Array.from({ length }, (_, p) => kv.get<number>(["start", topic, p])),
    );
    await writes.commit((atomic) => {
      for (const [p, { value: start }] of starts.entries()) {
        const offset = start ?? 0;
        atomic.set(["committed", topic, p], storedPosition(firstPosition(offset)));
      }
    });
  }
  return inputs;
}

/** Creates topics and positions in one commit, so that a log either has all of them or does not exist. */
export async function createLog(
  writes: SoleWrites,
  options: EmbeddedLogOptions,
): Promise<Identity> {
  const { restore } = options;
  const id = randomId(options.chance);
  const { idempotencyWindowMs = 0 } = restore?.restoration ?? options;
  const identity: Identity = {
    version: FORMAT_VERSION,
    id,
    ...(restore ? { restoredFrom: restore.restoration.from } : {}),
    idempotencyWindowMs,
  };
  await writes.commit((atomic) => {
    atomic.check({ key: ["log"], versionstamp: null }).set(["log"], identity);
    for (const topic of Object.keys(options.topics)) createTopic(atomic, topic, options);
  });
  return identity;
}

/**
 * A log of an earlier version goes on as one of this: whoever knows the earlier one alone must not fold it any more, for
 * it would not fold it in the same way.
 */
export async function upgradeLog(writes: SoleWrites, identity: Identity): Promise<Identity> {
  const upgraded = { ...identity, version: FORMAT_VERSION, idempotencyWindowMs: 0 };
  await writes.commit((atomic) => void atomic.set(["log"], upgraded));
  return upgraded;
}

/** Adds a topic to a commit; an input has its positions from the beginning. */
export function createTopic(
  atomic: Deno.AtomicOperation,
  topic: string,
  { topics, inputs, restore }: EmbeddedLogOptions,
): void {
  const partitions = topics[topic]!;
  atomic.set(["topic", topic], { partitions });
  if (!inputs.includes(topic)) return;
  for (let p = 0; p < partitions; p++) {
    const restored = topic === restore?.topic ? restore.restoration.positions[p] : undefined;
    atomic.set(["committed", topic, p], storedPosition(restored ?? firstPosition(0)));
    if (!restored) continue;
    // Offsets go on behind the savepoint's, so that its checkpoints are of this log's past.
    atomic.set(["start", topic, p], restored.offset).set(["end", topic, p], restored.offset);
  }
}
