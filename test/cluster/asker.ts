// A client that asks for items through all processes, while their stocks only grow: no answer may be older than one that
// had come before it was asked for.

import type { Service } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { TOPICS } from "../../tools/kit/job_process.ts";

const ITEMS = 8;
const ASKERS = 4;
const PAUSE_MS = 10;

const itemOf = (n: number) => `growing_${n}`;
const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

export class Asker {
  /** By item: the largest stock of an answer that has come. */
  readonly #seen = new Array<number>(ITEMS).fill(0);
  readonly #older: string[] = [];
  #answers = 0;
  #through = new Set<string>();
  #isStopped = false;
  #running: Promise<unknown> = Promise.resolve();

  private constructor(readonly loader: Loader, readonly services: () => readonly Service[]) {}

  /** @param services those that run; one that is gone in the meantime gives no answer */
  static async start(bootstrap: string, services: () => readonly Service[]): Promise<Asker> {
    const asker = new Asker(
      await Loader.open(bootstrap, TOPICS["transaction.input.topic"]),
      services,
    );
    asker.#running = Promise.all([
      asker.#grow(),
      ...Array.from({ length: ASKERS }, (_, n) => asker.#ask(n)),
    ]);
    return asker;
  }

  async #grow(): Promise<void> {
    for (let id = 1; !this.#isStopped; id++) {
      const line = (n: number) => `${id}\t${Date.now()}\t${itemOf(n)}\t1`;
      await this.loader.append(
        Array.from({ length: ITEMS }, (_, n) => this.loader.recordOf(line(n), Date.now())),
      );
      await pause();
    }
  }

  async #ask(asker: number): Promise<void> {
    for (let n = asker; !this.#isStopped; n++) {
      const item = n % ITEMS;
      const services = this.services();
      const service = services[Math.floor(n / ITEMS) % services.length]!;
      const before = this.#seen[item]!;
      const stock = await stockOf(service, itemOf(item));
      if (stock === null) await pause();
      else {
        this.#answers++;
        this.#through.add(service.url);
        if (stock < before) {
          this.#older.push(`${itemOf(item)} was ${before}, and ${stock} by ${service.url} later`);
        }
        this.#seen[item] = Math.max(this.#seen[item]!, stock);
      }
    }
  }

  /** How many answers came since the start. */
  get answers(): number {
    return this.#answers;
  }

  /** Stops asking. */
  async stop(): Promise<{ answers: number; through: number; older: readonly string[] }> {
    this.#isStopped = true;
    await this.#running;
    await this.loader.close();
    return { answers: this.#answers, through: this.#through.size, older: this.#older };
  }
}

/** Null when no answer comes: the process stops, or is gone. */
async function stockOf({ url }: Service, item: string): Promise<number | null> {
  try {
    const response = await fetch(`${url}/items/${item}`, { signal: AbortSignal.timeout(20_000) });
    const body = await response.json();
    return response.ok ? body.quantity : null;
  } catch {
    return null;
  }
}
