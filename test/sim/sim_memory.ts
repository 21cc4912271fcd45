// The memory of a process's state, which is full for a while at any moment; and the check that no item is
// added meanwhile.

import { StateMemory } from "../../src/engine/state_memory.ts";
import type { Member } from "./member.ts";

/** Memory of one process. Without its fault it has no end. */
export class SimMemory extends StateMemory {
  /** Until then, in virtual ms, there is room for nothing new: as if another partition had taken it. */
  fullUntil = 0;
  /** Items of partitions whose fold began without room. */
  readonly #items = new Map<number, bigint>();
  /** Partitions that may have been reported ready before the end of their log. */
  readonly held = new Set<number>();

  constructor(readonly member: Member, partitions: number) {
    super(new SharedArrayBuffer(4 * partitions), Number.MAX_SAFE_INTEGER);
  }

  get isFull(): boolean {
    const { sim } = this.member.world;
    return !sim.healed && sim.now < this.fullUntil;
  }

  /** Asked right before each fold. */
  override roomIn(partition: number): number {
    this.#items.delete(partition);
    if (!this.isFull) return super.roomIn(partition);
    this.held.add(partition);
    const items = this.#itemsOf(partition);
    if (items !== null) this.#items.set(partition, items);
    return 0;
  }

  /** Reported right behind each fold. */
  override set(partition: number, bytes: number): void {
    super.set(partition, bytes);
    const before = this.#items.get(partition);
    const items = this.#itemsOf(partition);
    this.#items.delete(partition);
    if (before === undefined || items === null || items === before) return;
    const { world, process } = this.member;
    world.sim.violate(
      "P7",
      `${process.name} takes items into partition ${partition} while memory is full: ` +
        `${before} before the fold, ${items} behind it`,
    );
  }

  /** Null where it is not known: an item that only a window counts is in the table, and counts later. */
  #itemsOf(partition: number): bigint | null {
    if (this.member.world.sim.plan.core.windowMs > 0) return null;
    return this.member.owners.get(partition)?.processor.core.state.items ?? null;
  }
}
