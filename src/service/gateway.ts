import { type AppendableLog, AppendTimeoutError } from "../log/mod.ts";
import { WriteFailedError } from "../kv/mod.ts";
import {
  type Chance,
  type Clock,
  type Codec,
  encodeUtf8,
  type ItemTransaction,
  type NewRecord,
  type Query,
  type QueryResult,
  Reason,
  Turns,
} from "../types/mod.ts";
import { OUTCOME_ACCEPTED, OUTCOME_DUPLICATE, OUTCOME_INVALID } from "../wasm/mod.ts";
import { Admission } from "./admission.ts";
import type { ConditionReporter } from "../engine/conditions.ts";
import type { StateMemory } from "../engine/state_memory.ts";
import { OffsetWaiters } from "./offset_waiters.ts";
import type { Owners } from "../engine/owners.ts";
import type { QueryOutcome } from "./query_processor.ts";

/** The service takes no more for the moment. */
export class OverloadedError extends Error {
  override readonly name = "OverloadedError";
}

/** What was asked for does not fit the kind of job. */
export class ConflictError extends Error {
  override readonly name = "ConflictError";
}

/** Another transaction with its item and id was executed before; this one was not, and will never be. */
export class IdConflictError extends Error {
  override readonly name = "IdConflictError";
}

/** What became of a transaction. */
export interface Executed {
  readonly success: boolean;
  /** It repeats one that was executed before, and this is what became of that. */
  readonly duplicate: boolean;
}

/** Records of a request that are appended together; a larger request is cut, so that others get their turn. */
const PIECE_RECORDS = 1000;
/** The same while short requests are under way, which wait for a piece in several places. */
const SHARED_PIECE_RECORDS = 400;
/** Pieces of a request that are durable and not answered yet: what is folded stays close to what is appended. */
const UNANSWERED_PIECES_MAX = 2;
/** Records that are made between two looks whether a slice is over, and the work of one (see Slices). */
const LOOK_RECORDS = 64;
const RECORD_UNITS = 128;
/** Records that may be under way at once, and bytes that may wait for the log. */
const WAITING_MAX = 200_000;
const WAITING_BYTES_MAX = 32 * 1024 * 1024;

export interface GatewayOptions {
  readonly log: AppendableLog;
  /** Null: transactions come from elsewhere. */
  readonly transactionTopic: string | null;
  readonly queryTopic: string;
  readonly codec: Codec;
  readonly owners: Owners;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Memory of all partitions: beyond its bound transactions of new items are refused. */
  readonly memory: StateMemory;
  readonly conditions: ConditionReporter;
  /**
   * How far back repetitions are recognised now by the clock, in ms, and how far they must be: transactions are refused
   * while it is less. Null: they never are.
   */
  readonly guarantee: { readonly minMs: number; now(): number } | null;
  /** How long records may wait for their turn to be written, in ms. */
  readonly appendTimeoutMs: number;
}

/** How a record is made of one of the things that a request brings. */
type Making<T> = (thing: T) => Made;

/** A record, and the partition that it belongs to. */
interface Made {
  readonly partition: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
}

/** What a piece of a request brings to one partition: its records, and their indexes in the request. */
interface Part {
  readonly indexes: number[];
  readonly records: NewRecord[];
}

/** A piece of a request on its way. Neither promise is ever rejected: errors are among the answers. */
interface Piece {
  /** With the first error, or null: everything is in the log. */
  readonly appended: Promise<Error | null>;
  readonly answered: Promise<unknown>;
}

/**
 * The way in for callers inside the process: appends records to the embedded log and answers what became
 * of them. An answer means that the record is durable: it is in the log, and the log decides.
 */
export class Gateway {
  readonly transactionWaiters = new OffsetWaiters<number>();
  readonly queryWaiters = new OffsetWaiters<QueryOutcome>();

  readonly #turns: Turns;
  readonly #admission: Admission;

  constructor(readonly options: GatewayOptions) {
    this.#turns = Turns.of(options.clock);
    this.#admission = new Admission(options.memory, options.owners, options.conditions);
    if (options.transactionTopic === null) return;
    options.log.onOutcomes = (partition, first, outcomes) =>
      this.transactionWaiters.deliver(partition, first, outcomes);
  }

  /**
   * Executes transactions; answers for each what became of it, in their order: an IdConflictError when another one has
   * its item and id, any other error when it is not known to be executed.
   *
   * @throws {OverloadedError} before anything was done
   * @throws {ConflictError} when transactions come from elsewhere
   */
  async execute(transactions: readonly ItemTransaction[]): Promise<(Executed | Error)[]> {
    const { codec, owners, transactionTopic } = this.options;
    if (transactionTopic === null) throw new ConflictError("Transactions are generated");
    const reason = this.whyNoGuarantee();
    if (reason !== null) throw new OverloadedError(reason);
    const making: Making<ItemTransaction> = (t) => {
      const key = encodeUtf8(t.itemId);
      const value = encodeUtf8(codec.formatTransaction(t));
      return { partition: owners.partitionOfBytes(key), key, value };
    };
    const admitted = await this.#admission.enter(transactions);
    try {
      const { transactions: some, refusals } = admitted;
      const waiters = this.transactionWaiters;
      const outcomes = await this.#submit(transactionTopic, waiters, some, making);
      const answers = outcomes.map((outcome, i) =>
        outcome instanceof Error ? outcome : executedOf(outcome, some[i]!)
      );
      let next = 0;
      return refusals?.map((refusal) => refusal ?? answers[next++]!) ?? answers;
    } finally {
      this.#admission.left(admitted);
    }
  }

  /**
   * Why transactions are refused, because repetitions are not recognised as far back as they must be; null = they are not.
   * It is reported as a condition, until it is looked again.
   */
  whyNoGuarantee(): string | null {
    const { guarantee, conditions } = this.options;
    const now = guarantee?.now() ?? Infinity;
    if (!guarantee || now >= guarantee.minMs) {
      conditions.clear("idempotency");
      return null;
    }
    const reason =
      `repetitions are recognised within ${now} ms, and are to be within ${guarantee.minMs} ms ` +
      "(idempotency.window.min.ms): raise idempotency.transactions.max";
    conditions.set("idempotency", { reason, blocks: "writes" });
    return reason;
  }

  /** An id for a transaction that was posted without one: below 2^53, so that every client can read it. */
  newTransactionId(): bigint {
    const { chance } = this.options;
    const draw = (values: number) => Math.floor(chance() * values);
    return BigInt(draw(2 ** 21) * 2 ** 32 + draw(2 ** 32));
  }

  /**
   * Answers queries, in their order; an error where there is no answer.
   *
   * @throws {OverloadedError} before anything was done
   */
  async ask(queries: readonly Query[]): Promise<(QueryResult | Error)[]> {
    const { codec, owners, queryTopic, log } = this.options;
    const partitions = log.partitionsOf(queryTopic);
    return await this.#submit(queryTopic, this.queryWaiters, queries, (q) => ({
      partition: owners.partitionOf(q.itemId) % partitions,
      key: null,
      value: encodeUtf8(codec.formatQuery(q)),
    }));
  }

  async #submit<T, O>(
    topic: string,
    waiters: OffsetWaiters<O>,
    things: readonly T[],
    making: Making<T>,
  ): Promise<(O | Error)[]> {
    const { log, clock } = this.options;
    const first = Math.min(things.length, PIECE_RECORDS);
    if (waiters.count + first > WAITING_MAX && waiters.count > 0) {
      throw new OverloadedError(`${waiters.count} records are under way already`);
    }
    if (log.waitingBytes > WAITING_BYTES_MAX) {
      throw new OverloadedError(`${log.waitingBytes} bytes wait for the log already`);
    }
    if (things.length === 1) {
      return [await this.#sendOne(topic, making(things[0]!), waiters)];
    }
    const answers = new Array<O | Error>(things.length);
    if (things.length <= PIECE_RECORDS) {
      const parts = new Map<number, Part>();
      addParts(parts, things, 0, things.length, making, clock.now());
      this.#turns.short++;
      await this.#send(topic, parts, waiters, answers).answered;
      this.#turns.short--;
    } else await this.#submitInPieces(topic, waiters, things, making, answers);
    return answers;
  }

  /**
   * Appends a large request piece by piece. A piece is appended when the one before it is in the log, so that
   * records of an item keep their order, and others have their turn; behind an error nothing is appended.
   */
  async #submitInPieces<T, O>(
    topic: string,
    waiters: OffsetWaiters<O>,
    things: readonly T[],
    making: Making<T>,
    answers: (O | Error)[],
  ): Promise<void> {
    let last: Piece | null = null;
    let failed: Error | null = null;
    const unanswered: Promise<unknown>[] = [];
    for (let from = 0, to = 0; from < things.length && !failed; from = to) {
      to = Math.min(from + this.#pieceRecords, things.length);
      // While the piece before is being written.
      const parts = await this.#partsOf(things, from, to, making);
      failed = await last?.appended ?? null;
      if (unanswered.length >= UNANSWERED_PIECES_MAX) await unanswered.shift();
      if (failed) {
        const why = `An earlier record of the request could not be appended: ${failed.message}`;
        answers.fill(new WriteFailedError(why, { cause: failed }), from);
      } else unanswered.push((last = this.#send(topic, parts, waiters, answers)).answered);
    }
    await Promise.all(unanswered);
  }

  /** Records of a piece that is made now. */
  get #pieceRecords(): number {
    return this.#turns.short > 0 ? SHARED_PIECE_RECORDS : PIECE_RECORDS;
  }

  /** Makes the records of a piece, in slices between which everything else has its turn. */
  async #partsOf<T>(
    things: readonly T[],
    from: number,
    to: number,
    making: Making<T>,
  ): Promise<Map<number, Part>> {
    const parts = new Map<number, Part>();
    const timestamp = this.options.clock.now();
    const slices = this.#turns.begin();
    for (let at = from; at < to; at += LOOK_RECORDS) {
      if (slices.isDue(RECORD_UNITS * LOOK_RECORDS)) await slices.next();
      addParts(parts, things, at, Math.min(at + LOOK_RECORDS, to), making, timestamp);
    }
    return parts;
  }

  /** Appends the parts of a piece, and notes their answers. */
  #send<O>(
    topic: string,
    parts: ReadonlyMap<number, Part>,
    waiters: OffsetWaiters<O>,
    answers: (O | Error)[],
  ): Piece {
    let failed: Error | null = null;
    const appends: Promise<unknown>[] = [];
    const outcomes: Promise<void>[] = [];
    for (const [partition, { indexes, records }] of parts) {
      const { appended, values } = this.#append(topic, partition, records, waiters);
      appends.push(appended.catch((error) => failed ??= this.#errorOf(error)));
      outcomes.push(
        appended.then(values).then(
          (all) => indexes.forEach((i, k) => answers[i] = all[k]!),
          (error) => {
            const reason = this.#errorOf(error);
            for (const i of indexes) answers[i] = reason;
          },
        ),
      );
    }
    const appended = Promise.all(appends).then(() => failed);
    return { appended, answered: Promise.all(outcomes) };
  }

  /** The same for a record that is alone in its request, as most are: it needs no lists of parts and their answers. */
  async #sendOne<O>(
    topic: string,
    { partition, key, value }: Made,
    waiters: OffsetWaiters<O>,
  ): Promise<O | Error> {
    const records = [{ timestamp: this.options.clock.now(), key, value }];
    const { appended, values } = this.#append(topic, partition, records, waiters);
    this.#turns.short++;
    try {
      await appended;
      return (await values())[0]!;
    } catch (error) {
      return this.#errorOf(error as Error);
    } finally {
      this.#turns.short--;
    }
  }

  #errorOf(error: Error): Error {
    if (!(error instanceof AppendTimeoutError)) return error;
    const { appendTimeoutMs } = this.options;
    return new OverloadedError(
      `The records waited ${appendTimeoutMs} ms for their turn to be written (append.timeout.ms)`,
      { cause: error },
    );
  }

  /**
   * Appends records and waits for what becomes of them. Waiting begins before anyone can read them; its values may be
   * asked for once they are appended.
   */
  #append<O>(
    topic: string,
    partition: number,
    records: readonly NewRecord[],
    waiters: OffsetWaiters<O>,
  ): { appended: Promise<unknown>; values: () => Promise<O[]> } {
    let waiting: ReturnType<OffsetWaiters<O>["wait"]> | null = null;
    const appended = this.options.log.append(topic, partition, records, {
      waitMsMax: this.options.appendTimeoutMs,
      onAssigned: (base) => {
        waiting?.cancel();
        waiting = waiters.wait(partition, base, records.length);
      },
    }).catch((error) => {
      waiting?.cancel();
      throw error;
    });
    return { appended, values: () => waiting!.values };
  }
}

function executedOf(outcome: number, { itemId, transactionId }: ItemTransaction): Executed | Error {
  if (outcome === (OUTCOME_INVALID | Reason.IdConflict)) {
    return new IdConflictError(
      `Another transaction of ${itemId} with the transactionId ${transactionId} was executed before, ` +
        "with another ts or quantity: a new attempt needs a new id",
    );
  }
  if (outcome & OUTCOME_INVALID) return new Error(`The core refused it: outcome ${outcome}`);
  return {
    success: (outcome & OUTCOME_ACCEPTED) !== 0,
    duplicate: (outcome & OUTCOME_DUPLICATE) !== 0,
  };
}

/** Adds the records of some of a request's things to those of their partitions. */
function addParts<T>(
  parts: Map<number, Part>,
  things: readonly T[],
  from: number,
  to: number,
  make: Making<T>,
  timestamp: number,
): void {
  for (let i = from; i < to; i++) {
    const { partition, key, value } = make(things[i]!);
    let part = parts.get(partition);
    if (!part) parts.set(partition, part = { indexes: [], records: [] });
    part.indexes.push(i);
    part.records.push({ timestamp, key, value });
  }
}
