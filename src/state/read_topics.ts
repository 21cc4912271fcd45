// Which topics a job reads, by their ids: Kafka forgets the offsets of a group with the topic that they are of, and so
// which topic was read under a name.
//
//   ["topic", job, name]   id of the topic; the name is that of a log: <cluster id>/<topic>

import type { Kv } from "../kv/mod.ts";
import { retry, type RetryOptions } from "../types/mod.ts";

/** Where they are kept. */
interface TopicStore {
  readonly kv: Kv;
  readonly job: string;
  /** How operations of the KV are tried again. */
  readonly waits: RetryOptions;
}

/** The topics that a job has read. */
export class ReadTopics {
  constructor(readonly store: TopicStore) {}

  #key(name: string): Deno.KvKey {
    return ["topic", this.store.job, name];
  }

  /** The id of the topic that was read under a name; null = none was, or by a version that did not keep it. */
  idOf(name: string): Promise<string | null> {
    const { kv, waits } = this.store;
    return retry(async () => (await kv.get<string>(this.#key(name))).value, waits);
  }

  /** Keeps the id of the topic that is read under a name from now on. */
  async keep(name: string, id: string): Promise<void> {
    const { kv, waits } = this.store;
    await retry(() => kv.atomic().set(this.#key(name), id).commit(), waits);
  }
}
