// What the job is given while faults happen: transactions, and queries from a stock client.

import { Kafka, logLevel } from "kafkajs";
import { encodeUtf8, type NewRecord } from "../../src/types/mod.ts";
import { TOPICS } from "../../tools/kit/job_process.ts";
import type { Loader } from "../../tools/kit/load.ts";
import type { Random } from "../../tools/kit/random.ts";
import { ITEMS, sleep, TS_STEP_MS } from "./scene.ts";

const CHUNK = 1000;
/** With more than so many it pauses longer and longer: a run that takes long must still be read to its end. */
const SLOWER_FROM = 100_000;

/** Appends transactions, one in a hundred of them malformed, a thousand at a time, until it is asked to stop. */
export class Load {
  #stopped = false;
  #nextId = 1;
  readonly #startMs = Date.now();

  constructor(readonly loader: Loader, readonly random: Random, readonly pauseMs: number) {}

  #record(): NewRecord {
    const { random } = this;
    const item = `item_${random.below(ITEMS)}`;
    const id = this.#nextId++;
    // A broker takes no timestamp that is an hour ahead.
    const timestamp = this.#startMs + Math.floor(id / 10);
    const broken = random.below(100) === 0;
    const quantity = random.below(60) - 25;
    const line = `${id}\t${this.#startMs + TS_STEP_MS * id}\t${item}\t${quantity}`;
    if (!broken) return this.loader.recordOf(line, timestamp);
    const headers = [{ key: "origin", value: encodeUtf8(`load ${id}`) }];
    return { timestamp, key: encodeUtf8(item), value: encodeUtf8(`${line}x`), headers };
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.loader.append(Array.from({ length: CHUNK }, () => this.#record()));
      await sleep(this.pauseMs * Math.max(1, this.#nextId / SLOWER_FROM));
    }
  }

  stop(): void {
    this.#stopped = true;
  }
}

/** Asks for items by records without a key, as a console producer does, until it is asked to stop. */
export class QueryLoad {
  #asked = 0;
  #stopped = false;

  async run(bootstrap: string): Promise<void> {
    const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
    const producer = kafka.producer({ idempotent: true });
    // A broker that is killed meanwhile is there again soon.
    let connected = false;
    while (!this.#stopped) {
      connected ||= await producer.connect().then(() => true, () => false);
      const value = `${this.#asked + 1} item_${this.#asked % ITEMS}`;
      // What is sent again after an error may come twice: the log of the queries shows it.
      const message = { topic: TOPICS["query.input.topic"], messages: [{ value }] };
      if (connected) await producer.send(message).then(() => this.#asked++, () => {});
      await sleep(50);
    }
    await producer.disconnect().catch(() => {}); // its broker may be down
  }

  stop(): void {
    this.#stopped = true;
  }
}
