import type { Kv } from "../kv/mod.ts";
import type { CheckpointEvent } from "./checkpoint_event.ts";

const EVENTS_MAX = 500;
/** Numbers that others may have taken first, until an event is left out. */
const ATTEMPTS_MAX = 5;

/** The last events of a job's checkpoints. */
export class CheckpointHistory {
  #next = 0;

  private constructor(readonly kv: Kv, readonly job: string) {}

  static async open(kv: Kv, job: string): Promise<CheckpointHistory> {
    const history = new CheckpointHistory(kv, job);
    history.#next = await history.#behindLast();
    return history;
  }

  /** The number behind the last event. */
  async #behindLast(): Promise<number> {
    const last = this.kv.list({ prefix: ["history", this.job] }, { reverse: true, limit: 1 });
    for await (const { key } of last) return (key[2] as number) + 1;
    return 0;
  }

  /** Adds an event. A history that cannot be written is not a reason to stop. */
  async add(event: CheckpointEvent): Promise<void> {
    try {
      // Processes that share a store have one history.
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        const n = this.#next++;
        const key = ["history", this.job, n];
        const { ok } = await this.kv.atomic()
          .check({ key, versionstamp: null })
          .set(key, event)
          .delete(["history", this.job, n - EVENTS_MAX])
          .commit();
        if (ok) return;
        this.#next = Math.max(this.#next, await this.#behindLast());
      }
    } catch {
      // The checkpoint itself is reported in the log.
    }
  }

  /** The last events, newest first. */
  async list(limit = 100): Promise<CheckpointEvent[]> {
    const entries = this.kv.list<CheckpointEvent>(
      { prefix: ["history", this.job] },
      { reverse: true, limit },
    );
    return (await Array.fromAsync(entries)).map((entry) => entry.value);
  }
}
