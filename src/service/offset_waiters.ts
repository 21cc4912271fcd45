interface Waiter<T> {
  readonly base: number;
  readonly values: T[];
  missing: number;
  resolve(values: T[]): void;
  reject(error: unknown): void;
}

/** Who waits for what becomes of records that were appended to a log, by partition and offset. */
export class OffsetWaiters<T> {
  readonly #waiting = new Map<number, Set<Waiter<T>>>();
  #count = 0;
  #ended: { readonly error: unknown } | null = null;

  /** Records that are waited for. */
  get count(): number {
    return this.#count;
  }

  /** Resolves with the values of `count` records from `base` on, once all of them were delivered. */
  wait(
    partition: number,
    base: number,
    count: number,
  ): { values: Promise<T[]>; cancel: () => void } {
    const { promise, resolve, reject } = Promise.withResolvers<T[]>();
    // Whoever waits may look at it late, while its records are being written.
    promise.catch(() => {});
    if (this.#ended) reject(this.#ended.error);
    const waiter: Waiter<T> = { base, values: new Array(count), missing: count, resolve, reject };
    const set = this.#waiting.get(partition) ?? new Set();
    if (!this.#ended) {
      this.#waiting.set(partition, set.add(waiter));
      this.#count += count;
    }
    return { values: promise, cancel: () => this.#drop(set, waiter) };
  }

  #drop(set: Set<Waiter<T>>, waiter: Waiter<T>): void {
    if (set.delete(waiter)) this.#count -= waiter.values.length;
  }

  /** Delivers values of records from an offset on. Nobody needs to wait for them. */
  deliver(partition: number, first: number, values: ArrayLike<T>): void {
    const set = this.#waiting.get(partition);
    if (!set) return;
    for (const waiter of set) {
      const { base, values: wanted } = waiter;
      const from = Math.max(base, first);
      const to = Math.min(base + wanted.length, first + values.length);
      for (let offset = from; offset < to; offset++) {
        if (!(offset - base in wanted)) waiter.missing--;
        wanted[offset - base] = values[offset - first]!;
      }
      if (waiter.missing > 0) continue;
      this.#drop(set, waiter);
      waiter.resolve(wanted);
    }
  }

  /** Ends all waiting with an error, also of those that come: nothing is delivered any more. */
  end(error: unknown): void {
    this.#ended ??= { error };
    for (const set of this.#waiting.values()) {
      for (const waiter of set) {
        this.#drop(set, waiter);
        waiter.reject(error);
      }
    }
  }
}
