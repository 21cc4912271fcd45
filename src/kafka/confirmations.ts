import { LostError } from "../log/mod.ts";
import type { ActiveGeneration } from "./active_generation.ts";

/** Who waits for a heartbeat that is begun behind his question. */
interface Asking {
  /** How many had been begun when he asked. */
  readonly from: number;
  resolve(active: ActiveGeneration): void;
  reject(reason: Error): void;
}

/** Those who wait until a heartbeat that was sent behind their question confirms the active generation. */
export class Confirmations {
  readonly #asking = new Set<Asking>();
  /** How many heartbeats were begun, and the largest number of one that was acknowledged. */
  #begun = 0;
  #acknowledged = 0;

  /**
   * @param present the active generation; null = heartbeats confirm none now; an error = none comes any more
   * @param askBeat asks for a heartbeat
   */
  constructor(
    readonly present: () => ActiveGeneration | Error | null,
    readonly askBeat: () => void,
  ) {}

  /**
   * The active generation, once it is confirmed.
   *
   * @throws why none comes any more; {LostError} when the signal is aborted
   */
  ask(signal?: AbortSignal): Promise<ActiveGeneration> {
    return new Promise((resolve, reject) => {
      const end = () => {
        this.#asking.delete(asking);
        signal?.removeEventListener("abort", giveUp);
      };
      const giveUp = () => asking.reject(new LostError("The claim was given up"));
      const asking: Asking = {
        from: this.#begun,
        resolve: (active) => (end(), resolve(active)),
        reject: (reason) => (end(), reject(reason)),
      };
      this.#asking.add(asking);
      signal?.addEventListener("abort", giveUp);
      if (signal?.aborted) giveUp();
      else this.#settle(asking);
    });
  }

  #settle(asking: Asking): void {
    const present = this.present();
    if (present === null) return;
    if (present instanceof Error) asking.reject(present);
    else if (this.#acknowledged > asking.from) asking.resolve(present);
    else this.askBeat();
  }

  /** A heartbeat is sent from now on; answers its number. */
  begin(): number {
    return ++this.#begun;
  }

  /** The heartbeat of this number is acknowledged, in the present generation. */
  acknowledge(number: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, number);
    this.look();
  }

  /** What is present has changed. */
  look(): void {
    for (const asking of [...this.#asking]) this.#settle(asking);
  }
}
