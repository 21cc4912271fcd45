// Transactions as their coordinator keeps them: producers' epochs, what belongs to the open
// transaction, and its end by markers.

import { ErrorCode } from "../../../src/kafka/client/errors.ts";
import { protocolError } from "../../../src/kafka/client/internals.ts";
import type { CommittedOffset } from "../../../src/kafka/protocol/offsets.ts";
import { decompressBatch } from "../../../src/kafka/codecs.ts";
import { NO_LIMITS, type OutputLimits } from "../../../src/kafka/output_limits.ts";
import { decodeBatch, isIntact } from "../../../src/types/mod.ts";
import type { Broker, Transaction } from "../broker.ts";
import type { SimProcess } from "../process.ts";
import type { Sim } from "../sim.ts";
import type { Group } from "./group.ts";
import type { OffsetCommitRequest } from "./wire_answers.ts";

const TRANSACTIONAL = 0x10;
const BATCH_BYTES_MAX = 1024 * 1024;
/** How often a coordinator looks for the leader of a partition that lacks its marker. */
const MARKER_LOOK_MS = 50;

/** Why a topic refuses a batch; 0 = it takes it. */
function refusalBy(limits: OutputLimits, batch: Uint8Array, now: number): number {
  if (limits === NO_LIMITS) return 0;
  if (batch.length > limits.batchBytes) return ErrorCode.MessageTooLarge;
  for (const { timestamp, key } of decodeBatch(decompressBatch(batch, BATCH_BYTES_MAX))) {
    if (timestamp < now - limits.beforeMs || timestamp > now + limits.afterMs) {
      return ErrorCode.InvalidTimestamp;
    }
    if (limits.needsKey && key === null) return ErrorCode.InvalidRecord;
  }
  return 0;
}

/** A batch that became visible. */
export interface CommittedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Uint8Array;
}

/** What a transaction made visible. */
export interface CommittedTransaction {
  readonly offsets: ReadonlyMap<string, CommittedOffset>;
  readonly batches: readonly CommittedBatch[];
}

interface Open {
  readonly transaction: Transaction;
  /** Partitions that it knows, as `topic/partition`. */
  readonly partitions: Set<string>;
  /** Whether the group's offsets may be part of it. */
  withOffsets: boolean;
  readonly offsets: Map<string, CommittedOffset>;
  readonly batches: CommittedBatch[];
}

interface Producer {
  readonly id: bigint;
  readonly transactionalId: string;
  epoch: number;
  timeoutMs: number;
  state: "empty" | "open" | "ending" | "ended";
  /** How the transaction before ends, or ended. */
  commits: boolean;
  open: Open | null;
  /** Next sequence number by `topic/partition` of the epoch. */
  readonly sequences: Map<string, number>;
  /** Offset of the batch that was appended last, by `topic/partition`. */
  readonly baseOffsets: Map<string, number>;
}

/** What a broker says of a batch: an error code, 0 = it has it, and from which offset on. */
export interface Written {
  readonly errorCode: number;
  readonly baseOffset: number;
}

export interface Identity {
  readonly transactionalId: string;
  readonly producerId: string;
  readonly producerEpoch: number;
}

export class Transactions {
  readonly #producers = new Map<string, Producer>();

  constructor(
    readonly sim: Sim,
    readonly storage: Broker,
    readonly group: Group,
    /** A transaction is decided to be committed. */
    readonly onCommit: (process: SimProcess, committed: CommittedTransaction) => void,
    readonly limitsOf: (topic: string) => OutputLimits,
    /** Whether a partition, `topic/partition`, has a leader. */
    readonly isLed: (name: string) => boolean,
  ) {}

  init(transactionalId: string, timeoutMs: number): { producerId: string; producerEpoch: number } {
    let producer = this.#producers.get(transactionalId);
    if (!producer) {
      producer = {
        id: this.storage.newProducerId(),
        transactionalId,
        epoch: -1,
        timeoutMs,
        state: "empty",
        commits: false,
        open: null,
        sequences: new Map(),
        baseOffsets: new Map(),
      };
      this.#producers.set(transactionalId, producer);
    }
    if (producer.state === "open") this.#abort(producer);
    if (producer.state === "ending") throw protocolError(ErrorCode.ConcurrentTransactions);
    producer.timeoutMs = timeoutMs;
    this.#nextEpoch(producer);
    producer.state = "empty";
    return { producerId: String(producer.id), producerEpoch: producer.epoch };
  }

  #nextEpoch(producer: Producer): void {
    producer.epoch++;
    producer.sequences.clear();
  }

  /** Ends a transaction by itself; whoever wrote it is fenced. */
  #abort(producer: Producer): void {
    this.#nextEpoch(producer);
    this.#decide(producer, false);
  }

  #producer({ transactionalId, producerId, producerEpoch }: Identity): Producer {
    const producer = this.#producers.get(transactionalId);
    if (!producer || String(producer.id) !== producerId) {
      throw protocolError(ErrorCode.InvalidProducerIdMapping);
    }
    if (producer.epoch !== producerEpoch) throw protocolError(ErrorCode.InvalidProducerEpoch);
    return producer;
  }

  /** The open transaction of a producer; begins one. */
  #openOf(identity: Identity): Open {
    const producer = this.#producer(identity);
    if (producer.state === "ending") throw protocolError(ErrorCode.ConcurrentTransactions);
    if (producer.open) return producer.open;
    const open: Open = {
      transaction: { state: "open", partitions: new Map(), producerId: producer.id },
      partitions: new Set(),
      withOffsets: false,
      offsets: new Map(),
      batches: [],
    };
    producer.open = open;
    producer.state = "open";
    this.sim.scheduler.after(producer.timeoutMs, () => {
      if (producer.open !== open || producer.state !== "open") return;
      this.sim.trace(
        "broker",
        `aborts the transaction of ${producer.transactionalId}: its time is over`,
      );
      this.#abort(producer);
    });
    return open;
  }

  addPartitions(identity: Identity, names: readonly string[]): void {
    const open = this.#openOf(identity);
    for (const name of names) open.partitions.add(name);
  }

  addOffsets(identity: Identity): void {
    this.#openOf(identity).withOffsets = true;
  }

  end(identity: Identity, commits: boolean, process: SimProcess): void {
    const producer = this.#producer(identity);
    const { state } = producer;
    if (state === "ended" && producer.commits === commits) return;
    if (state === "ending" && producer.commits === commits) {
      throw protocolError(ErrorCode.ConcurrentTransactions);
    }
    if (state !== "open") throw protocolError(ErrorCode.InvalidTransactionState);
    const open = producer.open!;
    this.#decide(producer, commits);
    if (commits) this.onCommit(process, open);
  }

  /** From here on the end is certain; readers see it when the markers are written. */
  #decide(producer: Producer, commits: boolean): void {
    const { sim, storage, group } = this;
    const open = producer.open!;
    producer.state = "ending";
    producer.commits = commits;
    const late = sim.happens("markers late");
    const { markersMs } = sim.plan.kafka;
    sim.scheduler.after(late ? sim.between(20, 1500) : sim.between(0, markersMs), () => {
      storage.end(open.transaction, commits ? "committed" : "aborted");
      if (commits) { for (const [name, offset] of open.offsets) group.offsets.set(name, offset); }
      producer.open = null;
      this.#endWhenLed(producer, open);
    });
  }

  /** A transaction has ended when its markers are in all its partitions: one without a leader takes none. */
  #endWhenLed(producer: Producer, open: Open): void {
    if ([...open.partitions].every((name) => this.isLed(name))) producer.state = "ended";
    else this.sim.scheduler.after(MARKER_LOOK_MS, () => this.#endWhenLed(producer, open));
  }

  /** Writes a batch into the open transaction. */
  write(transactionalId: string, batch: CommittedBatch): Written {
    const errorCode = this.#refusalOf(transactionalId, batch);
    if (errorCode !== 0) return { errorCode, baseOffset: -1 };
    return { errorCode, baseOffset: this.#append(this.#producers.get(transactionalId)!, batch) };
  }

  #refusalOf(transactionalId: string, { topic, partition, bytes }: CommittedBatch): number {
    const name = `${topic}/${partition}`;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const producer = this.#producers.get(transactionalId);
    const isTransactional = (view.getInt16(21) & TRANSACTIONAL) !== 0;
    if (!isIntact(bytes) || !isTransactional) return ErrorCode.CorruptMessage;
    const refusal = refusalBy(this.limitsOf(topic), bytes, this.sim.wall);
    if (refusal !== 0) return refusal;
    if (view.getBigInt64(43) !== producer?.id) return ErrorCode.InvalidProducerIdMapping;
    if (view.getInt16(51) !== producer.epoch) return ErrorCode.InvalidProducerEpoch;
    const open = producer.state === "open" ? producer.open : null;
    if (!open?.partitions.has(name)) return ErrorCode.InvalidTransactionState;
    const next = producer.sequences.get(name) ?? 0;
    return view.getInt32(53) > next ? ErrorCode.OutOfOrderSequence : 0;
  }

  /** Appends a batch; one whose sequence number was seen is acknowledged, and not appended. */
  #append(producer: Producer, { topic, partition, bytes }: CommittedBatch): number {
    const name = `${topic}/${partition}`;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const sequence = view.getInt32(53);
    if (sequence < (producer.sequences.get(name) ?? 0)) {
      this.sim.violate("P2", `a batch of ${name} was acknowledged, and not appended`);
      return producer.baseOffsets.get(name)!;
    }
    const open = producer.open!;
    const baseOffset = this.storage.topic(topic)[partition]!.append(bytes, open.transaction);
    producer.sequences.set(name, sequence + view.getInt32(57));
    producer.baseOffsets.set(name, baseOffset);
    open.batches.push({ topic, partition, bytes });
    return baseOffset;
  }

  /** Makes offsets part of the open transaction; an error code, 0 = done. */
  commitOffsets(request: OffsetCommitRequest): number {
    const { transactionalId, producerId, producerEpoch, generation, memberId, topics } = request;
    const producer = this.#producers.get(transactionalId);
    if (producer?.id !== producerId) return ErrorCode.InvalidProducerIdMapping;
    if (producer.epoch !== producerEpoch) return ErrorCode.InvalidProducerEpoch;
    if (producer.state !== "open" || !producer.open!.withOffsets) {
      return ErrorCode.InvalidTransactionState;
    }
    const refusal = this.group.refusalOfCommit(memberId, generation);
    if (refusal !== 0) return refusal;
    for (const { topic, partitions } of topics) {
      if (this.sim.plan.kafka.shared) this.#checkCommitter(request, topic, partitions);
      for (const offset of partitions) {
        producer.open!.offsets.set(`${topic}/${offset.partition}`, offset);
      }
    }
    return 0;
  }

  /** By generation and partition: the transactional id that commits it. */
  readonly #committers = new Map<string, string>();

  /** In one generation one session after the other of one worker commits a partition, and no other. */
  #checkCommitter(
    { transactionalId, generation }: OffsetCommitRequest,
    topic: string,
    partitions: readonly CommittedOffset[],
  ): void {
    const id = transactionalId.replace(/-spare-.*/, "");
    for (const { partition } of partitions) {
      const key = `${generation} ${topic}/${partition}`;
      const before = this.#committers.get(key) ?? id;
      this.#committers.set(key, id);
      if (before === id) continue;
      this.sim.violate(
        "P5",
        `${topic}/${partition} is committed by ${before} and ${id} in one generation`,
      );
    }
  }

  /** Whether the committed offset of a partition may still change by a transaction under way. */
  isUnstable(name: string): boolean {
    return [...this.#producers.values()].some((p) => p.open?.offsets.has(name));
  }
}
