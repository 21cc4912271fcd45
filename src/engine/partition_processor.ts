import { getLogger } from "@logtape/logtape";
import type { CommittedPosition, OnOutcomes, TopicOutput } from "../log/mod.ts";
import type { Committable, PendingTransactions, Runner } from "./pending.ts";
import type { BatchMark } from "../state/mod.ts";
import {
  assertThat,
  batchInfo,
  type Clock,
  decodeBatch,
  decodeUtf8,
  type NewRecord,
  Reason,
  reasonName,
  splitIntoBatches,
} from "../types/mod.ts";
import { Code, type Core, CoreError, type DeadLetter, type Output } from "../wasm/mod.ts";
import { deadLetterRecord, letterBytesMax } from "./dead_letters.ts";
import type { RecordCheck, StockCheck } from "./figures.ts";
import { HotItems } from "./hot_items.ts";
import type { StrayGuard } from "./stray_records.ts";
import { withTraces } from "./traced_read.ts";
import { DamagedBatchError, StopError } from "../log/mod.ts";

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
  /** Largest batch of a dead letter alone, if that is another. */
  readonly deadLetterBytesMax?: number;
  /** Nobody wants results: they are not even encoded. */
  readonly discardResults?: boolean;
}

/** Why a fold stopped before a record: the bound of the state's memory, or the limit of the partition's own. */
export type MemoryStop = "bound" | "limit";

/** What a checkpoint being cut must let happen; see Checkpointer. */
export interface CutGate {
  /** Encodes at least one more segment, if a cut is active. */
  advance(): Promise<void>;
  /** Resolves when no cut is active. */
  encoded(): Promise<void>;
}

/**
 * Folds one partition and keeps what it put out until that is committed. Between two calls the
 * processor is at rest: everything due is fired, and (position, watermark) determines its state.
 */
export class PartitionProcessor implements Committable<PendingTransactions> {
  #pending: {
    results: Uint8Array<ArrayBuffer>[];
    summaries: Uint8Array[];
    deadLetters: NewRecord[];
  } = empty();
  /** Bytes of finished outputs that wait for a commit. */
  pendingBytes = 0;
  /** Offset of the next outcome to be reported. */
  #outcomesFrom = 0;
  /** Whether the batch at hand is folded again. */
  #replaying = false;
  /** Position and watermark up to which outputs were taken, acknowledged or not; null = none yet. */
  #taken: CommittedPosition | null = null;
  /** Whether a fold or a firing is under way. */
  #busy = false;
  /** The record batch folded last. */
  lastBatch: BatchMark | null = null;
  /** Records folded with outputs since the start of the process. */
  recordsIn = 0;
  recordsSinceCheckpoint = 0;
  /** Records of the batches that led to the state; see RecordCheck. */
  #consumed: number;
  #recordCheck: RecordCheck;
  stockCheck: StockCheck | null = null;
  /** Time spent firing windows, with what it waits for meanwhile. */
  firingMs = 0;
  /** Items that many records are of. */
  readonly hot: HotItems;
  /** Position and watermark that were acknowledged last. */
  acknowledged: CommittedPosition;
  /** By which transactions are remembered; null = none is. */
  readonly secret: string | null;
  /** Offset from which on the newest version of the fold counts; null = from the start on. */
  raisedAt: number | null;
  /** Null: it does not run, so nothing of it may be committed. */
  runner: Runner | null = null;
  gate: CutGate = { advance: () => Promise.resolve(), encoded: () => Promise.resolve() };

  constructor(
    readonly partition: number,
    readonly core: Core,
    readonly topics: OutputTopics,
    readonly clock: Clock,
    committed: CommittedPosition,
    /** Of the fold parameters, for the committed position. */
    public parametersHash: string,
    readonly onOutcomes: OnOutcomes | null,
    /** Reports records that belong elsewhere, and stops over many of them; null: they are reported like others. */
    readonly strays: StrayGuard | null = null,
  ) {
    this.acknowledged = committed;
    this.raisedAt = committed.raisedAt;
    this.secret = core.options.remember?.secret?.toHex() ?? null;
    this.hot = new HotItems(core, clock);
    const outcomes = countOutcomes(core);
    this.#consumed = outcomes;
    this.#recordCheck = { outcomes, consumed: outcomes };
    if (outcomes > 0) this.checkStocks(core.state.quantitySum);
  }

  /** Compares the stocks, as they were just encoded or restored, with the quantities that were accepted by then. */
  checkStocks(accepted: bigint): void {
    this.stockCheck = { at: this.clock.now(), stock: this.core.stockSum, accepted };
  }

  /** Outcomes and consumed records, as of the last call that came between two batches. */
  recordCheck(): RecordCheck {
    if (!this.#busy) {
      this.#recordCheck = { outcomes: countOutcomes(this.core), consumed: this.#consumed };
    }
    return this.#recordCheck;
  }

  /** Next offset to fold. */
  get position(): number {
    return Number(this.core.position);
  }

  /** Whether position and watermark determine the whole state. */
  get atRest(): boolean {
    return !this.#busy;
  }

  /**
   * Folds a batch and commits nothing; what it puts out is pending afterwards.
   *
   * @param knownItems stops before a record that would add an item
   * @returns why it stopped before the end of the batch, at the record that position names; null = at its end
   */
  fold(batch: Uint8Array, knownItems = false): Promise<MemoryStop | null> {
    return this.#fold(batch, null, knownItems);
  }

  /** Folds a batch again, up to an offset, below the committed position: nothing is put out. */
  async replay(batch: Uint8Array, until: number): Promise<void> {
    await this.#fold(batch, until);
  }

  async #fold(
    batch: Uint8Array,
    replayUntil: number | null,
    knownItems = false,
  ): Promise<MemoryStop | null> {
    this.#busy = true;
    const first = this.position;
    const replay = replayUntil !== null;
    const code = this.core.begin(
      batch,
      replay
        ? { replay, emit: false, until: BigInt(replayUntil), outcomes: this.strays?.stops ?? false }
        : {
          outcomes: this.onOutcomes !== null,
          discardResults: this.topics.discardResults === true,
          knownItems,
        },
    );
    if (code === Code.OutOfMemory && !replay) {
      this.#busy = false;
      return "limit";
    }
    this.#check(code);
    const info = batchInfo(batch);
    this.#outcomesFrom = Math.max(first, info.baseOffset);
    this.#replaying = replay;
    let stopped: MemoryStop | null = null;
    for (let next = this.core.run(); next !== Code.Done; next = this.core.run()) {
      if (next === Code.StateFull) stopped = "bound";
      else if (next === Code.OutOfMemory && !replay) stopped = "limit";
      if (stopped) break;
      this.#check(next);
      if (next === Code.WindowsDue) await this.#fire(!replay);
      else if (next === Code.CheckpointFirst) await this.gate.advance();
      this.#keep(this.#drain(next));
    }
    this.#keep(this.core.takeFinished());
    const folded = this.position - first;
    // A batch beyond `until` was only looked at: a checkpoint must not name it, for it may come differently.
    if (folded > 0) {
      const { baseOffset, crc } = batchInfo(batch);
      this.lastBatch = { baseOffset, crc };
    }
    this.#consumed += recordsWithin(batch, first, this.position);
    this.hot.afterFold(folded);
    if (!replay) this.recordsIn += folded;
    this.recordsSinceCheckpoint += folded;
    this.#busy = false;
    return stopped;
  }

  /** A full area is emptied whole: an open batch may be all that fills it. */
  #drain(code: Code): Output {
    return code === Code.OutputFull ? this.core.take() : this.core.takeFinished();
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
    throw new DamagedBatchError(
      where,
      `The log is damaged: ${error.message}`,
      "restore the log from a copy; skipping the batch would lose records",
      { cause: error },
    );
  }

  /** Summaries without a topic stand in the log of the program alone; repeats are held back there. */
  #logSummaries({ summaries }: Output): void {
    for (const { value } of summaries.flatMap(({ bytes }) => decodeBatch(bytes))) {
      log.info("Summary of {topic}-{partition}: {summary}", {
        topic: this.topics.input,
        partition: this.partition,
        summary: decodeUtf8(value!),
      });
    }
  }

  /** Keeps what the core finished, and reports outcomes. */
  #keep(output: Output): void {
    for (const { bytes } of output.results) {
      this.#pending.results.push(bytes);
      this.pendingBytes += bytes.length;
    }
    for (const { bytes } of output.summaries) {
      this.#pending.summaries.push(bytes);
      this.pendingBytes += bytes.length;
    }
    if (this.topics.summaries === null) this.#logSummaries(output);
    this.#logInvalid(output.deadLetters);
    for (const letter of output.deadLetters) {
      if (this.topics.deadLetters === null) continue;
      const place = { topic: this.topics.input, partition: this.partition };
      this.#pending.deadLetters.push(
        deadLetterRecord(letter, place, letterBytesMax(this.topics)),
      );
      this.pendingBytes += letter.record.length;
    }
    const { length } = output.outcomes;
    if (length === 0) return;
    const first = this.#outcomesFrom;
    this.#outcomesFrom += length;
    if (this.#replaying) return this.strays?.replayed(output.outcomes, first);
    // Whoever gets the outcomes owns them: they may be moved to another thread.
    this.onOutcomes?.(this.partition, first, output.outcomes);
  }

  #logInvalid(letters: readonly DeadLetter[]): void {
    const isFirst = !this.#taken && this.acknowledged.offset === this.acknowledged.start;
    const strays = letters.filter(({ reason }) => reason === Reason.WrongPartition);
    this.strays?.check(strays, isFirst);
    for (const [reason, of] of Map.groupBy(letters, (letter) => letter.reason)) {
      if (reason === Reason.WrongPartition && this.strays) continue; // reported there
      log.warn(
        "Invalid in {topic}-{partition} from offset {offset} on: {count} records, {reason}",
        {
          topic: this.topics.input,
          partition: this.partition,
          offset: Number(of[0]!.offset),
          count: of.length,
          reason: reasonName(reason),
        },
      );
    }
  }

  /** Fires what is due; a checkpoint being cut is encoded first. */
  async #fire(emit: boolean): Promise<void> {
    const busy = this.#busy;
    const from = this.clock.monotonic();
    this.#busy = true;
    await this.gate.encoded();
    for (let code = this.core.fire(emit); code !== Code.Done; code = this.core.fire(emit)) {
      this.#check(code);
      this.#keep(this.#drain(code));
      if (code === Code.State) await this.gate.encoded();
      else await this.clock.yield();
    }
    this.firingMs += this.clock.monotonic() - from;
    this.#busy = busy;
  }

  /** Fires all open windows, because the partition is idle. */
  async fireIdle(): Promise<void> {
    this.core.idle();
    await this.#fire(true);
  }

  /** Fires the windows that end by a watermark, because the source says that no earlier event follows. */
  async fireUpTo(watermark: bigint): Promise<void> {
    this.core.advance(watermark);
    await this.#fire(true);
  }

  /** Moves the watermark to one that is committed already; its windows were published then. */
  async dropFired(watermark: bigint): Promise<void> {
    this.core.advance(watermark);
    await this.#fire(false);
  }

  /** What is new since the last time; null if nothing is, or the processor is not at rest. */
  take(): PendingTransactions | null {
    const { traced } = this.#assertRuns();
    if (this.#busy) return null;
    const offset = this.position;
    const watermark = this.core.watermark;
    const before = this.#taken ?? this.acknowledged;
    if (offset === before.offset && watermark === before.watermark) return null;
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
      parametersHash: this.parametersHash,
      secret: this.secret,
      raisedAt: this.raisedAt,
    };
    this.#taken = position;
    const summaryRecords = recordsOf(summaries);
    const outputRecords = outputs.reduce((n, output) => n + recordsOf(output.batches), 0);
    const pending = { position, outputs, results, summaryRecords, outputRecords };
    return traced ? withTraces(pending, traced) : pending;
  }

  /**
   * From here on it is folded by the newest version of the fold.
   *
   * @param parametersHash of the fold parameters under that version
   */
  raiseFold(parametersHash: string): void {
    this.core.raise();
    this.parametersHash = parametersHash;
    this.raisedAt = this.position;
  }

  /** The start of the log does not lead to this state: there were other fold parameters before. */
  forgetStart(): void {
    this.acknowledged = { ...this.acknowledged, start: null };
    this.raisedAt = null;
  }

  /** Takes over what another processor of the partition had pending; its core is not used any more. */
  adopt(old: PartitionProcessor): void {
    old.#keep(old.core.take());
    this.#pending = old.#pending;
    this.pendingBytes = old.pendingBytes;
  }

  /** Whether all that was folded and fired, and the last acknowledged commit, stand at a position. */
  standsAt({ offset, watermark, start, parametersHash }: CommittedPosition): boolean {
    const { acknowledged, core } = this;
    const folded = this.position === offset && core.watermark === watermark;
    const known = acknowledged.offset === offset && acknowledged.watermark === watermark;
    const same = acknowledged.start === start && acknowledged.parametersHash === parametersHash;
    return !this.#busy && folded && known && same;
  }

  /** Where its results go; null = nowhere. */
  get resultsTo(): { readonly topic: string; readonly partition: number } | null {
    const { results, partitionsOf } = this.topics;
    return results === null
      ? null
      : { topic: results, partition: this.partition % partitionsOf(results) };
  }

  /** The result batches carry a producer, and sequence numbers from this one on. */
  produceAs(
    { id, epoch }: { readonly id: bigint; readonly epoch: number },
    sequence: number,
  ): void {
    this.core.setProducer(id, epoch, sequence);
  }

  acknowledge(pending: PendingTransactions): void {
    const runner = this.#assertRuns();
    this.acknowledged = pending.position;
    runner.onCommitted(pending);
  }

  #assertRuns(): Runner {
    assertThat(this.runner !== null, `partition ${this.partition} commits while it runs`);
    return this.runner;
  }
}

function recordsOf(batches: readonly Uint8Array[]): number {
  return batches.reduce((n, batch) => n + batchInfo(batch).records, 0);
}

/** Records of a batch from one offset on and below another. */
function recordsWithin(batch: Uint8Array, from: number, to: number): number {
  const { baseOffset, lastOffset, records } = batchInfo(batch);
  if (from <= baseOffset && to > lastOffset) return records;
  const first = Math.max(from, baseOffset), end = Math.min(to, lastOffset + 1);
  if (records === lastOffset - baseOffset + 1) return Math.max(0, end - first);
  // Some of its records are gone.
  return decodeBatch(batch).filter(({ offset }) => offset >= first && offset < end).length;
}

/** Records that have an outcome; repetitions of transactions have one too, which is counted since the core was made. */
function countOutcomes(
  { state: { accepted, rejected, invalid }, info: { duplicates } }: Core,
): number {
  return Number(invalid.reduce((sum, n) => sum + n, accepted + rejected)) + duplicates;
}

function empty() {
  return { results: [], summaries: [], deadLetters: [] };
}
