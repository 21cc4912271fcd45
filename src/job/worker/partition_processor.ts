import { getLogger } from "@logtape/logtape";
import type { CommittedPosition, TopicOutput } from "../../log/mod.ts";
import type { CommitSource, Pending } from "./committer.ts";
import type { BatchMark } from "../../state/mod.ts";
import {
  batchInfo,
  type Clock,
  type NewRecord,
  Reason,
  reasonName,
  splitIntoBatches,
} from "../../types/mod.ts";
import { Code, type Core, CoreError, type DeadLetter, type Output } from "../../wasm/mod.ts";
import { deadLetterRecord } from "./dead_letters.ts";
import { StopError } from "../errors.ts";
import { RateLimit } from "./rate_limit.ts";

const log = getLogger(["stockflow", "job"]);

/** Where a partition's outputs go; null = not written. */
export interface OutputTopics {
  readonly input: string;
  readonly results: string | null;
  readonly summaries: string | null;
  readonly deadLetters: string | null;
  /** Number of partitions of a topic. */
  partitionsOf(topic: string): number;
  /** Largest record and batch that the log takes. */
  readonly batchBytesMax: number;
}

/** Is told what became of records that were folded just now. */
export type OnOutcomes = (partition: number, firstOffset: number, outcomes: Uint8Array) => void;

/** What a partition has ready to be committed. */
export interface PendingTransactions extends Pending {
  readonly results: readonly Uint8Array[];
  readonly summaries: readonly Uint8Array[];
}

/** What a checkpoint being cut must let happen; see Checkpointer. */
export interface CutGate {
  /** Encodes at least one more segment, if a cut is active. */
  advance(): Promise<void>;
  /** Resolves when no cut is active. */
  encoded(): Promise<void>;
}

/**
 * Folds one partition and keeps what it put out until that is committed. Between two calls the
 * processor is at rest: everything due is fired, and (position, watermark) tells its state.
 */
export class PartitionProcessor implements CommitSource<PendingTransactions> {
  #pending: { results: Uint8Array[]; summaries: Uint8Array[]; deadLetters: NewRecord[] } = empty();
  /** Bytes of finished outputs that wait for a commit. */
  pendingBytes = 0;
  /** Offset of the next outcome to be told. */
  #outcomesFrom = 0;
  /** Whether a fold or a firing is under way. */
  #busy = false;
  /** The record batch folded last. */
  lastBatch: BatchMark | null = null;
  /** Records folded with outputs since the start of the process. */
  recordsIn = 0;
  recordsSinceCheckpoint = 0;
  /** Position and watermark that were acknowledged last. */
  acknowledged: CommittedPosition;
  readonly #limit: RateLimit;
  gate: CutGate = { advance: () => Promise.resolve(), encoded: () => Promise.resolve() };

  constructor(
    readonly partition: number,
    readonly core: Core,
    readonly topics: OutputTopics,
    readonly clock: Clock,
    committed: CommittedPosition,
    /** Hash of the fold parameters, for the committed position. */
    readonly parameters: string,
    readonly onOutcomes: OnOutcomes | null,
  ) {
    this.acknowledged = committed;
    this.#limit = new RateLimit(clock);
  }

  /** Next offset to fold. */
  get position(): number {
    return Number(this.core.position);
  }

  /** Whether position and watermark tell the whole state. */
  get atRest(): boolean {
    return !this.#busy;
  }

  /** Folds a batch and commits nothing; what it puts out is pending afterwards. */
  async fold(batch: Uint8Array): Promise<void> {
    await this.#fold(batch, null);
  }

  /** Folds a batch again, up to an offset, below the committed position: nothing is put out. */
  async replay(batch: Uint8Array, until: number): Promise<void> {
    await this.#fold(batch, until);
  }

  async #fold(batch: Uint8Array, replayUntil: number | null): Promise<void> {
    this.#busy = true;
    const first = this.position;
    const replay = replayUntil !== null;
    const code = this.core.begin(
      batch,
      replay
        ? { replay, emit: false, until: BigInt(replayUntil) }
        : { outcomes: this.onOutcomes !== null },
    );
    this.#check(code);
    this.#outcomesFrom = first;
    for (let next = this.core.run(); next !== Code.Done; next = this.core.run()) {
      this.#check(next);
      if (next === Code.WindowsDue) await this.#fire(!replay);
      else if (next === Code.CheckpointFirst) await this.gate.advance();
      this.#keep(this.core.takeFinished());
    }
    this.#keep(this.core.takeFinished());
    const info = batchInfo(batch);
    this.lastBatch = { baseOffset: info.baseOffset, crc: info.crc };
    const folded = this.position - first;
    if (!replay) this.recordsIn += folded;
    this.recordsSinceCheckpoint += folded;
    this.#busy = false;
  }

  #check(code: Code): void {
    if (code >= 0) return;
    const where = `${this.topics.input}-${this.partition} at offset ${this.position}`;
    const error = new CoreError(code, `Cannot fold ${where}`);
    if (code === Code.OutOfMemory) {
      throw new StopError(
        `Partition ${where} has more items than its memory of 4 GiB holds`,
        "spread the items over more partitions",
        { cause: error },
      );
    }
    throw new StopError(
      `The log is damaged: ${error.message}`,
      "restore the log from a copy; skipping the batch would lose records",
      { cause: error },
    );
  }

  /** Keeps what the core finished, and tells outcomes. */
  #keep(output: Output): void {
    for (const { bytes } of output.results) {
      this.#pending.results.push(bytes);
      this.pendingBytes += bytes.length;
    }
    for (const { bytes } of output.summaries) {
      this.#pending.summaries.push(bytes);
      this.pendingBytes += bytes.length;
    }
    for (const letter of output.deadLetters) {
      this.#tellInvalid(letter);
      if (this.topics.deadLetters === null) continue;
      const source = { topic: this.topics.input, partition: this.partition };
      this.#pending.deadLetters.push(
        deadLetterRecord(letter, source, this.topics.batchBytesMax - 100),
      );
      this.pendingBytes += letter.record.length;
    }
    const { length } = output.outcomes;
    if (length === 0) return;
    const first = this.#outcomesFrom;
    this.#outcomesFrom += length;
    // Whoever is told owns the outcomes: they may be moved to another thread.
    this.onOutcomes?.(this.partition, first, output.outcomes);
  }

  #tellInvalid({ offset, reason }: DeadLetter): void {
    if (reason === Reason.WrongPartition && this.acknowledged.offset === this.acknowledged.start) {
      throw new StopError(
        `The record at offset ${offset} of ${this.topics.input}-${this.partition} belongs to another ` +
          "partition by its item",
        "set transaction.partitioner to what the producers use; all records of an item must be in one partition",
      );
    }
    const held = this.#limit.pass(String(reason));
    if (held === null) return;
    log.warn(
      "Invalid record in {topic}-{partition} at offset {offset}: {reason} ({held} more held back)",
      {
        topic: this.topics.input,
        partition: this.partition,
        offset: Number(offset),
        reason: reasonName(reason),
        held,
      },
    );
  }

  /** Fires what is due; a checkpoint being cut is encoded first. */
  async #fire(emit: boolean): Promise<void> {
    const busy = this.#busy;
    this.#busy = true;
    await this.gate.encoded();
    for (let code = this.core.fire(emit); code !== Code.Done; code = this.core.fire(emit)) {
      this.#check(code);
      this.#keep(this.core.takeFinished());
      if (code === Code.State) await this.gate.encoded();
      else await this.clock.yield();
    }
    this.#busy = busy;
  }

  /** Fires all open windows, because the partition is idle. */
  async fireIdle(): Promise<void> {
    this.core.idle();
    await this.#fire(true);
  }

  /** Moves the watermark to one that is committed already; its windows were published then. */
  async dropFired(watermark: bigint): Promise<void> {
    this.core.advance(watermark);
    await this.#fire(false);
  }

  /** What is new since the last commit; null if nothing is, or the processor is not at rest. */
  take(): PendingTransactions | null {
    if (this.#busy) return null;
    const offset = this.position;
    const watermark = this.core.watermark;
    if (offset === this.acknowledged.offset && watermark === this.acknowledged.watermark) {
      return null;
    }
    this.#keep(this.core.take());
    const { results, summaries, deadLetters } = this.#pending;
    this.#pending = empty();
    this.pendingBytes = 0;
    const { topics, partition } = this;
    const outputs: TopicOutput[] = [];
    const add = (topic: string | null, batches: readonly Uint8Array[]) => {
      if (topic === null || batches.length === 0) return;
      outputs.push({ topic, partition: partition % topics.partitionsOf(topic), batches });
    };
    add(topics.results, results);
    add(topics.summaries, summaries);
    add(topics.deadLetters, splitIntoBatches(deadLetters, topics.batchBytesMax));
    const position = {
      offset,
      watermark,
      start: this.acknowledged.start,
      parameters: this.parameters,
    };
    return { position, outputs, results, summaries };
  }

  /** Takes over what another processor of the partition had pending; its core is not used any more. */
  adopt(old: PartitionProcessor): void {
    old.#keep(old.core.take());
    this.#pending = old.#pending;
    this.pendingBytes = old.pendingBytes;
  }

  acknowledge({ position }: PendingTransactions): void {
    this.acknowledged = position;
  }
}

function empty() {
  return { results: [], summaries: [], deadLetters: [] };
}
