/** What a worker can be busy with. */
export const STEPS = ["starting", "waiting", "recovering", "folding"] as const;
export type Step = (typeof STEPS)[number];

/** What a worker thread does right now, in memory that the control plane reads even while the thread hangs. */
export class Activity {
  readonly #words: Int32Array;

  constructor(readonly memory = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)) {
    this.#words = new Int32Array(memory);
  }

  set(step: Step, partition: number): void {
    Atomics.store(this.#words, 1, partition);
    Atomics.store(this.#words, 0, STEPS.indexOf(step));
  }

  /** Such as "folding partition 3". */
  toString(): string {
    const step = STEPS[Atomics.load(this.#words, 0)]!;
    const about = step === "recovering" || step === "folding";
    return about ? `${step} partition ${Atomics.load(this.#words, 1)}` : step;
  }
}
