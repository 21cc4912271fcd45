import type { Kv } from "../kv/mod.ts";

/** Something that happened to a checkpoint; survives restarts. */
export interface CheckpointEvent {
  readonly kind: "triggered" | "completed" | "failed" | "restored" | "damaged";
  /** ms since the epoch */
  readonly at: number;
  readonly partition: number;
  readonly sequence: number;
  readonly offset: number;
  readonly durationMs?: number;
  readonly items?: number;
  /** Compressed bytes written, and of all chunks. */
  readonly newBytes?: number;
  readonly totalBytes?: number;
  readonly reason?: string;
  /** Why it was taken. */
  readonly trigger?: CheckpointTrigger;
  /** Parts of the duration: encoding what changed, waiting for the commit, and writing the manifest. */
  readonly encodeMs?: number;
  readonly commitMs?: number;
  readonly publishMs?: number;
}

/** Why a checkpoint is taken: it is time, enough records were folded, or something needs it. */
export type CheckpointTrigger = "interval" | "records" | "savepoint" | "stop" | "parameters";

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

  /** Adds an event. A history that cannot be written is no reason to stop. */
  async add(event: CheckpointEvent): Promise<void> {
    const n = this.#next++;
    try {
      await this.kv.atomic()
        .set(["history", this.job, n], event)
        .delete(["history", this.job, n - EVENTS_MAX])
        .commit();
    } catch {
      // The checkpoint itself is told in the log.
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
