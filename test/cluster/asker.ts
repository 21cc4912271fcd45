// A client that asks for items through all processes, while their stocks only grow: no answer may be older than one that
// had come before it was asked for.

import { assert, assertEquals } from "@std/assert";
import { GrowingItems } from "../../tools/kit/growing_items.ts";
import { headersOf, type Service } from "../../tools/kit/service.ts";
import { until } from "../kafka/until.ts";

const ITEMS = 8;
const ASKERS = 4;
const PAUSE_MS = 10;
const ANSWER_MS_MAX = 20_000;

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

export class Asker {
  #through = new Set<string>();
  #isStopped = false;
  readonly #running: Promise<unknown>;

  private constructor(readonly items: GrowingItems, readonly services: () => readonly Service[]) {
    this.#running = Promise.all(Array.from({ length: ASKERS }, (_, n) => this.#ask(n)));
  }

  /** @param services those that run; one that is gone in the meantime gives no answer */
  static async start(bootstrap: string, services: () => readonly Service[]): Promise<Asker> {
    return new Asker(await GrowingItems.start(bootstrap, ITEMS), services);
  }

  async #ask(asker: number): Promise<void> {
    const { items } = this;
    for (let n = asker; !this.#isStopped; n++) {
      const services = this.services();
      const service = services[Math.floor(n / ITEMS) % services.length]; // none while all have ended
      const asked = items.ask(n % ITEMS);
      const stock = service ? await stockOf(service, items.idOf(asked.number)) : null;
      if (!service || stock === null) await pause();
      else {
        this.#through.add(service.url);
        items.answered(asked, stock, service.url);
      }
    }
  }

  /** How many answers came since the start. */
  get answers(): number {
    return this.items.answers;
  }

  /** Waits for so many answers more. */
  async more(count: number): Promise<void> {
    const from = this.answers;
    await until(`${count} more answers`, () => this.answers >= from + count, ...this.services());
  }

  /** Stops asking: no answer was older than one before, and three processes at least gave some. Says so in words. */
  async conclude(): Promise<string> {
    const { answers, through, older } = await this.stop();
    assertEquals(older, []);
    assert(through >= 3, `${through} processes answered`);
    return `; ${answers} answers through ${through} processes`;
  }

  /** Stops asking. */
  async stop(): Promise<{ answers: number; through: number; older: readonly string[] }> {
    this.#isStopped = true;
    await this.#running;
    await this.items.stop();
    const { answers, older } = this.items;
    return { answers, through: this.#through.size, older };
  }
}

/** Null when no answer comes: the process stops, or is gone. */
async function stockOf(service: Service, item: string): Promise<number | null> {
  try {
    const response = await fetch(`${service.url}/items/${item}`, {
      headers: headersOf(service),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    const body = await response.json();
    return response.ok ? body.quantity : null;
  } catch {
    return null;
  }
}
