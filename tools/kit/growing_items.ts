// Items whose stocks only grow, by which a client notices an answer that is older than one before.

import { Loader } from "./load.ts";
import { TOPICS } from "./job_process.ts";

const PAUSE_MS = 10;

/** An item that was asked for. */
export interface Asked {
  readonly number: number;
  /** The largest stock of an answer that had come before it was asked for. */
  readonly before: number;
}

export class GrowingItems {
  /** By item: the largest stock of an answer that has come. */
  readonly #seen: number[];
  readonly #older: string[] = [];
  #answers = 0;
  #isStopped = false;
  readonly #growing: Promise<void>;

  private constructor(
    readonly loader: Loader,
    readonly count: number,
    readonly pauseMs: number,
  ) {
    this.#seen = new Array<number>(count).fill(0);
    this.#growing = this.#grow();
  }

  /**
   * @param count how many there are
   * @param pauseMs between two records of each; every pause over makes a few small batches, which all have to fetch
   */
  static async start(
    bootstrap: string,
    count: number,
    pauseMs = PAUSE_MS,
  ): Promise<GrowingItems> {
    return new GrowingItems(
      await Loader.open(bootstrap, TOPICS["transaction.input.topic"]),
      count,
      pauseMs,
    );
  }

  async #grow(): Promise<void> {
    for (let id = 1; !this.#isStopped; id++) {
      const at = Date.now();
      await this.loader.append(
        Array.from(
          { length: this.count },
          (_, n) => this.loader.recordOf(`${id}\t${at}\t${this.idOf(n)}\t1`, at),
        ),
      );
      await new Promise((resolve) => setTimeout(resolve, this.pauseMs));
    }
  }

  idOf(number: number): string {
    return `growing_${number}`;
  }

  /** To be called before an item is asked for. */
  ask(number: number): Asked {
    return { number, before: this.#seen[number]! };
  }

  /** @param by who has answered */
  answered({ number, before }: Asked, stock: number, by: string): void {
    this.#answers++;
    if (stock < before) {
      this.#older.push(`${this.idOf(number)} was ${before}, and ${stock} by ${by} later`);
    }
    this.#seen[number] = Math.max(this.#seen[number]!, stock);
  }

  /** How many answers have come. */
  get answers(): number {
    return this.#answers;
  }

  /** Answers that were older than one that had come before they were asked for. */
  get older(): readonly string[] {
    return this.#older;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#growing;
    await this.loader.close();
  }
}
