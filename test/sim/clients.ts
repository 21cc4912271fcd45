// Clients that write transactions to the input, at random moments.

import type { NewRecord } from "../../src/types/mod.ts";
import type { Transaction } from "./broker.ts";
import { TOPICS } from "./member.ts";
import type { Sim } from "./sim.ts";
import type { World } from "./world.ts";

/** How often a client sends again what was not answered. */
const REPEATS_MAX = 3;

/** A write that was acknowledged: the records stand in the log from this offset on. */
export interface Acknowledged {
  readonly partition: number;
  readonly offset: number;
  readonly records: readonly NewRecord[];
}

export class Clients {
  /** All clients have written what they wanted to. */
  done = false;
  readonly acknowledged: Acknowledged[] = [];
  readonly #open = new Set<Transaction>();
  /** Producers without an open transaction: the next one goes on with one of them. */
  readonly #idleProducers: bigint[] = [];

  constructor(readonly sim: Sim, readonly world: World) {
    const { records, recordsAtOnce, durationMs } = sim.plan;
    let latest = 0;
    for (let left = records; left > 0;) {
      const n = Math.min(left, 1 + sim.random.below(recordsAtOnce));
      left -= n;
      const at = sim.between(0, durationMs);
      latest = Math.max(latest, at);
      sim.scheduler.after(at, () => this.#write(n));
    }
    sim.scheduler.after(latest + 1, () => this.done = true);
  }

  #write(n: number): void {
    const { sim, world } = this;
    const partition = sim.random.below(sim.plan.partitions);
    const records = world.workload.records(partition, n);
    if (world.broker) this.#produce(partition, records);
    else this.#post(partition, records);
  }

  /** Writes to the broker, in a transaction or without. */
  #produce(partition: number, records: readonly NewRecord[]): void {
    const { sim } = this;
    const broker = this.world.broker!;
    this.#repeat(partition, records, REPEATS_MAX);
    const open = sim.happens("transaction left open");
    const aborted = sim.happens("transaction aborted");
    if (!open && !aborted && sim.chance(0.7)) return broker.append(partition, records, null);
    const transaction: Transaction = {
      state: "open",
      partitions: new Map(),
      producerId: this.#idleProducers.pop() ?? broker.newProducerId(),
    };
    this.#open.add(transaction);
    broker.append(partition, records, transaction);
    sim.scheduler.after(open ? sim.between(100, 3000) : sim.between(0, 50), () => {
      this.#open.delete(transaction);
      this.#idleProducers.push(transaction.producerId);
      broker.end(transaction, aborted ? "aborted" : "committed");
    });
  }

  /** A producer whose answer is lost sends its records again, though they are there. */
  #repeat(partition: number, records: readonly NewRecord[], times: number): void {
    const { repeaters } = this.world.workload;
    if (times === 0 || !repeaters.loses() || !repeaters.mayRepeat(records.length)) return;
    repeaters.later(() => {
      if (this.done) return;
      this.world.broker!.append(partition, records, null);
      this.#repeat(partition, records, times - 1);
    });
  }

  /** Writes through a process to its embedded log, if there is one. */
  #post(partition: number, records: readonly NewRecord[], times = REPEATS_MAX): void {
    const { repeaters } = this.world.workload;
    const member = this.world.liveMembers.find((m) => m.embedded !== null);
    if (!member) return;
    const { process, embedded } = member;
    embedded!.append(TOPICS.input, partition, records).then((offset) => {
      if (process.alive) this.acknowledged.push({ partition, offset, records });
    }, () => {
      // It may be there or not: a client that repeats cannot know.
      if (times === 0 || !repeaters.mayRepeat(records.length)) return;
      repeaters.later(() => this.done || this.#post(partition, records, times - 1));
    });
  }

  /** Whether a transaction of a client is still open. */
  get isOpen(): boolean {
    return this.#open.size > 0;
  }
}
