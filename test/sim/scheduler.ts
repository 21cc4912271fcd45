// Virtual time: events wait in a queue, and one after the other happens.

import type { Random } from "../../tools/kit/random.ts";

/**
 * Microtasks that follow an event before the next one. What takes longer goes on beside the next event:
 * microtasks have one order, so that is the same in every run.
 */
const TICKS = 20;

/** Awaited again and again: `await null` would make a promise each time. */
const RESOLVED = Promise.resolve();

/** Without any event: so many times that many microtasks, and nothing will ever happen. */
const QUIET_SETTLES = 500;

/** Something that will happen. */
export interface SimEvent {
  readonly due: number;
  /** By chance: events of the same moment happen in any order. */
  readonly order: number;
  /** Null when it was called off. */
  run: (() => void) | null;
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.due !== b.due ? a.due < b.due : a.order < b.order;
}

export class Scheduler {
  /** Virtual time in ms; stands still except between events and by spend. */
  now = 0;
  events = 0;
  /** A heap, the next event on top. */
  readonly #heap: SimEvent[] = [];

  constructor(readonly random: Random) {}

  /** Has something happen in so many ms. */
  after(ms: number, run: () => void): SimEvent {
    const event = { due: this.now + ms, order: this.random.below(2 ** 30), run };
    const heap = this.#heap;
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
    return event;
  }

  /** Time that a computation takes. */
  spend(ms: number): void {
    this.now += ms;
  }

  /** Has the next event happen, and what follows from it at once; false when there is none. */
  async step(): Promise<boolean> {
    let event = this.#next();
    // What goes on in microtasks alone may still bring an event.
    for (let i = 0; !event && i < QUIET_SETTLES; i++) {
      await this.settle();
      event = this.#next();
    }
    if (!event) return false;
    this.now = Math.max(this.now, event.due);
    this.events++;
    event.run!();
    await this.settle();
    return true;
  }

  async settle(): Promise<void> {
    for (let i = 0; i < TICKS; i++) await RESOLVED;
  }

  #next(): SimEvent | null {
    while (this.#heap.length > 0) {
      const event = this.#pop();
      if (event.run) return event;
    }
    return null;
  }

  #pop(): SimEvent {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let i = 0;
    while (true) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}
