// A log of transactions that is computed, not stored: the seeded generator. Its records are a pure
// function of seed, partition and offset, so that what was read once can be read again. Only positions
// are kept, by the log beneath it, which also takes the outputs.
//
// When a record happened depends on the rate. Every start of the process begins a new span of offsets
// with a rate and a first moment of its own; spans are kept with the positions. A span begins behind
// the batch that the committed offset is in, so no batch that was read ever changes.

import type { Clock } from "../types/mod.ts";
import { Generator } from "../wasm/mod.ts";
import type { GeneratorFacts, GeneratorSpan } from "./generator_facts.ts";
import type { ComputedLog } from "./capabilities.ts";
import { ForwardingLog, ForwardingSession } from "./forwarding.ts";
import type { ClaimedPartition, Log, LogSession, ReadAnswer, ReadOptions } from "./port.ts";

/** Records of a batch cover about so much time, and are so many at the most. */
const BATCH_MS = 10;
const BATCH_RECORDS_MAX = 1024;

export class GeneratorLog extends ForwardingLog implements ComputedLog {
  readonly #generators = new Map<number, Generator>();

  /** @param beneath keeps positions and takes outputs */
  constructor(beneath: Log, readonly computedFrom: GeneratorFacts, readonly clock: Clock) {
    super(beneath);
  }

  override get id(): string {
    return this.computedFrom.id;
  }

  /** It has none of the embedded log's: its records did not begin there. */
  override get restoredFrom(): null {
    return null;
  }

  /** What is generated is never sent again. */
  override get idempotencyWindowMs(): number {
    return 0;
  }

  override get reportsThroughput(): boolean {
    return true;
  }

  override async claim(
    input: string,
    partitions?: readonly number[],
    signal?: AbortSignal,
    worker?: number,
  ): Promise<LogSession> {
    const session = await this.beneath.claim(input, partitions, signal, worker);
    return input === this.computedFrom.topic ? new GeneratorSession(this, session) : session;
  }

  /** A partition that was claimed beneath, with the bounds of what is generated. */
  claimed(beneath: ClaimedPartition): ClaimedPartition {
    const { partition, committed } = beneath;
    // What is generated flat out has no end to catch up with.
    const end = this.#newest.paced ? this.#end(partition) : committed.offset;
    return { ...beneath, logStart: 0, logEnd: Math.max(committed.offset, end) };
  }

  get #newest(): GeneratorSpan {
    return this.computedFrom.spans.at(-1)!;
  }

  generator(partition: number): Generator {
    const built = this.#generators.get(partition);
    if (built) return built;
    const generator = new Generator({ ...this.computedFrom.options, partition });
    this.#generators.set(partition, generator);
    return generator;
  }

  /** Next offset that would be given now. */
  #end(partition: number): number {
    const { offsets, origin, msPerRecord, paced, ends } = this.#newest;
    const first = offsets[partition]!;
    const end = ends?.[partition] ?? Number.MAX_SAFE_INTEGER;
    if (this.generator(partition).items === 0) return first;
    if (!paced) return end;
    const due = Math.floor(Math.max(0, this.clock.now() - origin) / msPerRecord);
    const size = recordsPerBatch(this.#newest);
    return Math.min(end, first + Math.floor(due / size) * size);
  }

  async read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer> {
    const { maxBytes, waitMs, signal } = options;
    if (offset >= this.#end(partition) && waitMs > 0) {
      const { msPerRecord } = this.#newest;
      const wait = Math.max(BATCH_MS, msPerRecord);
      await this.clock.sleep(Math.min(waitMs, wait), signal);
    }
    const endOffset = this.#end(partition);
    const batches: Uint8Array[] = [];
    for (let at = offset, bytes = 0; at < endOffset && (bytes === 0 || bytes < maxBytes);) {
      const { first, count, span } = this.#batchAt(partition, at);
      const timing = {
        origin: span.origin,
        since: span.offsets[partition]!,
        msPerRecord: span.msPerRecord,
      };
      const batch = this.generator(partition).batch(first, count, timing);
      batches.push(batch);
      bytes += batch.length;
      at = first + count;
    }
    return { batches, endOffset };
  }

  /** The end of the batch that an offset lies within; the offset itself where a batch begins. */
  boundaryFrom(partition: number, offset: number): number {
    const { first, count } = this.#batchAt(partition, offset);
    return first < offset ? Math.max(offset, first + count) : offset;
  }

  /** Batches always have the same bounds, so that the same offset is always in the same batch. */
  #batchAt(
    partition: number,
    offset: number,
  ): { first: number; count: number; span: GeneratorSpan } {
    const { spans } = this.computedFrom;
    let i = spans.length - 1;
    while (i > 0 && spans[i]!.offsets[partition]! > offset) i--;
    const span = spans[i]!;
    const size = recordsPerBatch(span);
    const from = span.offsets[partition]!;
    const first = from + Math.floor((offset - from) / size) * size;
    const next = spans[i + 1]?.offsets[partition] ?? Infinity;
    const end = Math.min(next, span.ends?.[partition] ?? Infinity);
    return { first, count: Math.min(size, end - first), span };
  }
}

function recordsPerBatch({ msPerRecord }: GeneratorSpan): number {
  const records = Math.min(BATCH_RECORDS_MAX, Math.max(1, BATCH_MS / msPerRecord));
  return 2 ** Math.floor(Math.log2(records));
}

class GeneratorSession extends ForwardingSession {
  constructor(readonly log: GeneratorLog, beneath: LogSession) {
    super(beneath);
  }

  override async add(
    partitions: readonly number[],
    signal?: AbortSignal,
  ): Promise<readonly ClaimedPartition[]> {
    const claimed = await this.beneath.add(partitions, signal);
    return claimed.map((one) => this.log.claimed(one));
  }

  override get partitions(): readonly ClaimedPartition[] {
    return this.beneath.partitions.map((one) => this.log.claimed(one));
  }

  override read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer> {
    return this.log.read(partition, offset, options);
  }
}
