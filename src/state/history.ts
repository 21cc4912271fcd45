import type { Kv } from "../kv/mod.ts";
import type { CheckpointEvent } from "./checkpoint_event.ts";

const EVENTS_MAX = 500;

/** The last events of a job's checkpoints. */
export class CheckpointHistory {
  #next = 0;

  private constructor(readonly kv: Kv, readonly job: string) {}

  static async open(kv: Kv, job: string): Promise<CheckpointHistory> {
    const history = new CheckpointHistory(kv, job);
    const last = kv.list({ prefix: ["history", job] }, { reverse: true, limit: 1 });
    for await (const { key } of last) history.#next = (key[2] as number) + 1;
    return history;
  }

  /** Adds an event. A history that cannot be written is not a reason to stop. */
  async add(event: CheckpointEvent): Promise<void> {
    const n = this.#next++;
    try {
      await this.kv.atomic()
        .set(["history", this.job, n], event)
        .delete(["history", this.job, n - EVENTS_MAX])
        .commit();
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
