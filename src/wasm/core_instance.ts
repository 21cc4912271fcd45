// @ts-types="./core.d.ts"
import compiled from "./core.js";
import * as c from "../../wasm/contract.ts";
import type {
  CoreInfo,
  CoreOptions,
  DeadLetter,
  EncodedSegment,
  Exports,
  FoldOptions,
  Output,
  OutputBatch,
} from "./core_types.ts";
import type { Chance } from "../types/clock.ts";
import { writeConfig } from "./core_config.ts";
import { readInfo } from "./core_info.ts";
import { readDeadLetters, readFinished, readSamples } from "./core_output.ts";
import { RememberedTransactions } from "./core_remembered.ts";
import { readScalars, type StateScalars, writeScalars } from "./state_scalars.ts";

export {
  Code,
  DATE_MAX,
  FOLD_VERSION,
  Format,
  Partitioner,
  Reason,
  SEGMENT_FORMAT,
  SEGMENTS,
} from "../../wasm/contract.ts";
export {
  OUTCOME_ACCEPTED,
  OUTCOME_DUPLICATE,
  OUTCOME_INVALID,
  OUTCOME_REJECTED,
} from "../../wasm/contract.ts";

const { Area, Code } = c;

/** Stock of an item that was never seen, in a look-up's answer. */
const UNSEEN = -(2n ** 63n);

/** The core refused an input, or could not go on. */
export class CoreError extends Error {
  override readonly name = "CoreError";

  constructor(readonly code: c.Code, what: string) {
    super(`${what}: ${c.Code[code] ?? code}`);
  }
}

/**
 * The fold of one partition.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { decodeBatch, encodeBatch, systemChance } from "../types/mod.ts";
 * const core = new Core({
 *   format: Format.Text,
 *   partitioner: Partitioner.None,
 *   partition: 0,
 *   partitions: 1,
 *   windowMs: 0,
 *   eventTime: false,
 *   outOfOrderMs: 0,
 *   maxAheadMs: 0,
 *   alertTotalMin: 100,
 *   alertRateMin: 0.5,
 * }, systemChance);
 * const value = new TextEncoder().encode("1\t1700000000000\titem_2\t100");
 * core.begin(encodeBatch([{ timestamp: 0, key: null, value }]));
 * assertEquals(core.run(), Code.Done);
 * const [batch] = core.take().results;
 * const [result] = decodeBatch(batch!.bytes);
 * assertEquals(new TextDecoder().decode(result!.value!), "1\t1700000000000\titem_2\t100\ttrue");
 * ```
 */
export class Core {
  readonly #core: Exports;
  #bytes!: Uint8Array<ArrayBuffer>;
  #view!: DataView<ArrayBuffer>;
  /** Transactions that are remembered, to find their repetitions. */
  readonly remembered: RememberedTransactions;
  /** Repetitions that came before what is remembered now began, under other fold parameters. */
  duplicatesBefore = 0;
  /** Sum of the stocks of each segment, as it was encoded or restored last. */
  readonly #stockSums = new BigInt64Array(c.SEGMENTS);

  /**
   * @param chance draws the secret of where items stand: by what nobody can foresee in production
   * @throws {CoreError} when the options are not supported or memory is short
   */
  constructor(readonly options: CoreOptions, chance: Chance) {
    const abort = () => {
      throw new Error("The core was aborted");
    };
    this.#core = new WebAssembly.Instance(compiled, { env: { abort } })
      .exports as unknown as Exports;
    this.#refresh();
    writeConfig(this.#view, this.#address(Area.Config), options);
    this.#drawSecret(chance);
    this.#check(this.#core.init(), "Cannot build a partition");
    this.remembered = new RememberedTransactions(
      this.#core,
      (length) => this.#bytesAt(this.#address(Area.Segment), length),
      (code, what) => this.#check(code, what),
    );
  }

  // Growing the memory detaches its views; the byte length shows it.
  #refresh(): void {
    if (this.#bytes !== undefined && this.#bytes.byteLength !== 0) return;
    this.#bytes = new Uint8Array(this.#core.memory.buffer as ArrayBuffer);
    this.#view = new DataView(this.#bytes.buffer);
  }

  #address(area: c.Area): number {
    this.#refresh();
    return this.#core.address(area) >>> 0;
  }

  #check(code: c.Code, what: string): void {
    if (code < 0) throw new CoreError(code, what);
  }

  #drawSecret(chance: Chance): void {
    const at = this.#address(Area.Config) + c.CONFIG_SECRET;
    for (let i = 0; i < 16; i += 4) this.#view.setUint32(at + i, chance() * 2 ** 32, true);
  }

  // ---- folding ----

  /**
   * Takes a record batch; run folds it. Records below the position are passed over.
   *
   * @returns Done, or below zero why the batch is refused; nothing of it was folded then
   */
  begin(batch: Uint8Array, options: FoldOptions = {}): c.Code {
    const room = this.#core.reserveInput(batch.length);
    if (room !== Code.Done) return room;
    this.#bytesAt(this.#address(Area.Input), batch.length).set(batch);
    const flags = (options.checkCrc === false ? 0 : c.CHECK_CRC) |
      (options.emit === false ? 0 : c.EMIT) |
      (options.outcomes ? c.OUTCOMES : 0) | (options.replay ? c.REPLAY : 0) |
      (options.discardResults ? c.DISCARD_RESULTS : 0) |
      (options.knownItems ? c.KNOWN_ITEMS : 0);
    return this.#core.begin(batch.length, options.until ?? 2n ** 63n - 1n, flags);
  }

  /** Folds on until the batch is Done or something is to be done first; below zero, see Code. */
  run(): c.Code {
    return this.#core.run();
  }

  /**
   * Folds as the newest version from the position on; what was folded before keeps its effect.
   *
   * @throws {CoreError} while windows are due, or a checkpoint is cut
   */
  raise(): void {
    this.#check(this.#core.raise(), "Cannot raise the version of the fold");
  }

  /** CRC32C of bytes, computed by the core. Uses the input area. */
  crc32c(bytes: Uint8Array): number {
    this.#check(this.#core.reserveInput(bytes.length), "Cannot take the bytes");
    this.#bytesAt(this.#address(Area.Input), bytes.length).set(bytes);
    return this.#core.crc(0, bytes.length) >>> 0;
  }

  #bytesAt(at: number, length: number): Uint8Array<ArrayBuffer> {
    this.#refresh();
    return this.#bytes.subarray(at, at + length);
  }

  /** Seals the open batches and takes everything finished out of the core. */
  take(): Output {
    this.#core.seal();
    return this.takeFinished();
  }

  /** Takes what is finished out of the core; open batches go on. */
  takeFinished(): Output {
    const output = {
      results: this.#finished(Area.FinishedResults, this.#core.resultBatches()),
      summaries: this.#finished(Area.FinishedSummaries, this.#core.summaryBatches()),
      deadLetters: this.#deadLetters(),
      outcomes: this.#bytesAt(this.#address(Area.Outcomes), this.#core.outcomeBytes()).slice(),
    };
    this.#core.release();
    return output;
  }

  #finished(area: c.Area, count: number): OutputBatch[] {
    const at = this.#address(area);
    return readFinished(this.#bytes, this.#view, at, count, this.options.buffers);
  }

  #deadLetters(): DeadLetter[] {
    const at = this.#address(Area.DeadLetters);
    return readDeadLetters(this.#bytes, this.#view, at, this.#core.deadLetterCount());
  }

  /** Samples of folded records, one in 64 or so: how many of each item, except of those that were sampled least. */
  readSamples(): { itemId: string; samples: number }[] {
    const from = this.#address(Area.Samples);
    return readSamples(this.#bytes, this.#view, from, this.#core.samplesLength());
  }

  /** How many samples there were of all items. */
  get samples(): number {
    return this.#core.samples();
  }

  /** Lets all samples so far count less, by a factor up to 1. */
  coolSamples(factor: number): void {
    this.#core.coolSamples(factor);
  }

  /** Drops everything that is finished or open. */
  discard(): void {
    this.#core.seal();
    this.#core.release();
  }

  /** Producer id, epoch and next sequence number of the result batches; an id of -1 = none. */
  setProducer(id: bigint, epoch: number, sequence: number): void {
    this.#core.setProducer(id, epoch, sequence);
  }

  // ---- windows ----

  /** Asks for a fired watermark of at least `target` ms. */
  advance(target: bigint): void {
    this.#core.advance(target);
  }

  /** Asks for all open windows to be fired, because the partition is idle. */
  idle(): void {
    this.#core.idle();
  }

  /** Fires a piece of what is due: More, OutputFull, State while a checkpoint is cut, or Done. */
  fire(emit: boolean): c.Code {
    return this.#core.fire(emit ? 1 : 0);
  }

  // ---- checkpoints ----

  /** Freezes the state for a checkpoint: State when windows are being fired or a cut is active. */
  cut(): c.Code {
    return this.#core.cut();
  }

  /**
   * Encodes the next segment that changed since the last published checkpoint, whole.
   *
   * @returns null when none is left
   */
  encodeNext(): EncodedSegment | null {
    while (true) {
      const next = this.encodeSome();
      if (next !== "more") return next;
    }
  }

  /**
   * Encodes a slice of it, of a millisecond or so.
   *
   * @returns the segment once it is whole, "more" before, null when none is left
   */
  encodeSome(): EncodedSegment | "more" | null {
    const segment = this.#core.encodeNext();
    this.#check(segment, "Cannot encode a segment");
    if (segment === c.SEGMENT_MORE) return "more";
    if (segment === c.SEGMENTS) return null;
    this.#stockSums[segment] = this.#core.encodedStockSum();
    const bytes = this.#bytesAt(this.#address(Area.Segment), this.#core.segmentLength()).slice();
    return { segment, bytes };
  }

  /** Ends a cut; unless it was published, its changes are part of the next one. */
  endCut(published: boolean): void {
    this.#core.endCut(published ? 1 : 0);
  }

  /** Puts segments into the next checkpoint, because the one that had them was not published after all. */
  markSegments(segments: Iterable<number>): void {
    for (const segment of segments) this.#core.markSegment(segment);
  }

  /**
   * Restores a segment of a new instance, whole.
   *
   * @throws {CoreError} when the bytes do not follow the format
   */
  restoreSegment(segment: number, bytes: Uint8Array): void {
    for (const _slice of this.restoreInSlices(segment, bytes));
  }

  /**
   * The same in slices of a millisecond or so; nothing else may be asked of the instance between them.
   *
   * @throws {CoreError} when the bytes do not follow the format
   */
  *restoreInSlices(segment: number, bytes: Uint8Array): Generator<void> {
    const what = `Cannot restore segment ${segment}`;
    this.#check(this.#core.reserveSegmentBytes(bytes.length), "Cannot take a segment");
    this.#bytesAt(this.#address(Area.Segment), bytes.length).set(bytes);
    this.#check(this.#core.restoreSegment(segment, bytes.length), what);
    while (true) {
      const code = this.#core.restoreSome();
      this.#check(code, what);
      if (code === Code.Done) break;
      yield;
    }
    this.#stockSums[segment] = this.#core.restoredStockSum();
  }

  /**
   * Sum of all stocks modulo 2^64, added up segment by segment where they were encoded or restored: as of the last cut
   * that was encoded whole, or of the restore. Nothing else of the state is counted this way.
   */
  get stockSum(): bigint {
    return BigInt.asIntN(64, this.#stockSums.reduce((sum, stock) => sum + stock, 0n));
  }

  /** Position, watermark and counters. */
  get state(): StateScalars {
    const at = this.#address(Area.State);
    return readScalars(this.#view, at);
  }

  /** Sets them before the segments are restored; the items are counted by restoreSegment. */
  restoreScalars(scalars: StateScalars): void {
    const at = this.#address(Area.State);
    writeScalars(this.#view, at, { ...scalars, items: 0n });
  }

  /** Next offset to fold; cheaper than state. */
  get position(): bigint {
    const at = this.#address(Area.State);
    return this.#view.getBigInt64(at + c.STATE_POSITION, true);
  }

  /** Sets the next offset to fold of an empty partition. */
  set position(offset: bigint) {
    const at = this.#address(Area.State);
    this.#view.setBigInt64(at + c.STATE_POSITION, offset, true);
  }

  /** Fired watermark; cheaper than state. */
  get watermark(): bigint {
    const at = this.#address(Area.State);
    return this.#view.getBigInt64(at + c.STATE_WATERMARK, true);
  }

  // ---- look-ups and figures ----

  /** The stocks of items, given by the UTF-8 bytes of their ids; null = never seen. */
  lookUp(ids: readonly Uint8Array[]): (bigint | null)[] {
    const answers: (bigint | null)[] = [];
    for (let from = 0; from < ids.length;) from = this.#lookUpSome(ids, from, answers);
    return answers;
  }

  /** Looks up as many ids as fit into the area; returns the index of the first one that is left. */
  #lookUpSome(ids: readonly Uint8Array[], from: number, answers: (bigint | null)[]): number {
    const area = this.#address(Area.Lookup);
    let at = 0;
    let i = from;
    for (; i < ids.length; i++) {
      const id = ids[i]!;
      const bytes = Math.min(id.length, c.ITEM_ID_BYTES_MAX);
      if (at + bytes + 16 > c.LOOKUP_BYTES) break;
      this.#view.setUint32(area + at, id.length, true);
      this.#bytes.set(id.subarray(0, bytes), area + at + 4);
      at = (at + 4 + bytes + 7) & ~7;
    }
    this.#core.find(i - from);
    for (let k = 0; k < i - from; k++) {
      const stock = this.#view.getBigInt64(area + 8 * k, true);
      answers.push(stock === UNSEEN ? null : stock);
    }
    return i;
  }

  /** Bytes of items, open windows and remembered transactions; cheaper than info. */
  get stateBytes(): number {
    this.#core.refreshInfo();
    const at = this.#address(Area.Info);
    const fields = [
      c.INFO_TABLE_BYTES,
      c.INFO_WINDOW_BYTES,
      c.INFO_KEY_BYTES,
      c.INFO_REMEMBERED_BYTES,
    ];
    return fields.reduce((sum, f) => sum + Number(this.#view.getBigUint64(at + f, true)), 0);
  }

  /** Windows that are not fired yet; cheaper than info. */
  get openWindows(): number {
    this.#core.refreshInfo();
    const at = this.#address(Area.Info);
    return Number(this.#view.getBigUint64(at + c.INFO_OPEN_WINDOWS, true));
  }

  /**
   * Lines of the item table that searches for all items pass behind where they begin. Walks through the
   * whole table: for tests and benchmarks.
   */
  linesPassed(): number {
    return Number(this.#core.linesPassed());
  }

  /** Figures of memory and windows. */
  get info(): CoreInfo {
    this.#core.refreshInfo();
    const at = this.#address(Area.Info);
    return readInfo(this.#view, at, this.duplicatesBefore);
  }
}
