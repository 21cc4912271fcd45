import type { Clock } from "../types/mod.ts";
import { ErrorCode, errorCodeOf } from "./client/errors.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { TransactionalProducer, type TransactionOptions } from "./transactional_producer.ts";

/** How long an id whose transaction cannot end is waited for before a spare one takes its place. */
const PATIENCE_MS = 1000;
/** Spare ids of one id at the most: each needs another outage while the one before lasts. */
const SPARES_MAX = 3;

/**
 * Transactional ids of a group with one active process. Its n-th worker writes with the n-th, whatever partitions it
 * has; there are as many as partitions, and the first act of a process that becomes active is to fence all of them.
 */
export function transactionalId(groupId: string, n: number): string {
  return `${groupId}-t-${n}`;
}

export function queryTransactionalId(groupId: string): string {
  return `${groupId}-q-0`;
}

/** The transactional id of a worker of the process that has a slot of a group that shares partitions. */
export function slotId(groupId: string, slot: number, worker: number | "q"): string {
  return `${groupId}-${slot}-${worker}`;
}

/** All ids of a process: those of its workers, and that of its queries. */
export function slotIds(groupId: string, slot: number, workers: number): string[] {
  const ofWorkers = Array.from({ length: workers }, (_, n) => slotId(groupId, slot, n));
  return [...ofWorkers, slotId(groupId, slot, "q")];
}

/**
 * The transactional ids that sessions write with. A transaction ends when all of its partitions have its marker, so
 * one with a partition that has lost its leader blocks its id until there is one again. A spare id takes its place
 * meanwhile: what is committed is known for certain by stable offsets, whatever the id (KIP-447). Outlives sessions.
 */
export class TransactionalIds {
  /** The number of the spare that is in use, by id. */
  readonly #spares = new Map<string, number>();

  /**
   * Initialises an id, or a spare one while it is blocked.
   *
   * @param mayBlock whether a partition of an output has no leader now
   */
  async open(
    client: KafkaClient,
    clock: Clock,
    options: TransactionOptions,
    mayBlock: boolean,
  ): Promise<TransactionalProducer> {
    const own = options.transactionalId;
    const used = this.#spares.get(own) ?? 0;
    if (!mayBlock && used > 0) {
      // What a session left open under them must not be waited for until its time is over.
      for (let n = 1; n <= used; n++) {
        const transactionalId = spareOf(own, n);
        await TransactionalProducer.open(client, clock, { ...options, transactionalId });
      }
      this.#spares.delete(own);
    }
    for (let n = mayBlock ? used : 0;; n++) {
      const patience = mayBlock && n < SPARES_MAX ? { giveUpMs: PATIENCE_MS } : {};
      const transactionalId = spareOf(own, n);
      try {
        return await TransactionalProducer.open(client, clock, {
          ...options,
          ...patience,
          transactionalId,
        });
      } catch (error) {
        if (!mayBlock || n === SPARES_MAX || !isBlocked(error)) throw error;
        this.#spares.set(own, n + 1);
      }
    }
  }
}

/** Whether an id could not be initialised because its last transaction has not ended. */
export function isBlocked(error: unknown): boolean {
  return errorCodeOf(error) === ErrorCode.ConcurrentTransactions;
}

/** The n-th spare of an id; 0 = the id itself. */
function spareOf(id: string, n: number): string {
  return n === 0 ? id : `${id}-spare-${n}`;
}
