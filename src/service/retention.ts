import { getLogger } from "@logtape/logtape";
import type { AppendableLog } from "../log/mod.ts";
import type { JobContext } from "./job_context.ts";
import { isOfLog, positionOf } from "../engine/recovery_plan.ts";

const log = getLogger(["stockflow", "job"]);

const LOOK_MS = 60_000;
/** Bytes come faster than age does. */
const LOOK_BYTES_MS = 5000;

/** Removes old batches of the embedded log, except what a checkpoint or the job itself still needs. */
export class Retention {
  constructor(
    readonly embedded: AppendableLog,
    readonly job: JobContext,
    /** By age, and by the bytes of a partition; 0 = not by that. And bytes that a sink which is behind keeps. */
    readonly limits: { readonly ms: number; readonly bytes: number; readonly sinkBytes: number },
    /** First offset of a query partition that is not answered and committed yet. */
    readonly queriesFrom: (partition: number) => number,
  ) {}

  /** Looks from time to time until the signal is aborted. */
  async run(stop: AbortSignal): Promise<void> {
    const { ms, bytes } = this.limits;
    if (ms === 0 && bytes === 0) return;
    while (!stop.aborted) {
      await this.job.clock.sleep(bytes > 0 ? LOOK_BYTES_MS : LOOK_MS, stop);
      if (stop.aborted) return;
      await this.look().catch((error) => {
        log.warn("Old records could not be removed: {message}", {
          message: (error as Error).message,
        });
      });
    }
  }

  /** Removes what is old enough now. */
  async look(): Promise<void> {
    const { embedded, job, limits: { ms, bytes, sinkBytes } } = this;
    const limits = {
      before: ms === 0 ? -Infinity : job.clock.now() - ms,
      bytes: bytes === 0 ? Infinity : bytes,
    };
    for (const [topic, partitions] of embedded.topics) {
      for (const { partition } of partitions) {
        const bound = await this.#bound(topic, partition);
        const needed = this.#neededBySinks(topic, partition);
        await embedded.retain(topic, partition, limits, Math.min(bound, needed));
        if (needed >= Math.min(bound, embedded.bounds(topic, partition).end)) continue;
        // A sink that is far behind is not waited for: it reports what it was not given.
        await embedded.retain(topic, partition, { ...limits, bytesKept: sinkBytes }, bound);
      }
    }
  }

  /** First offset that a sink in the process was not given. */
  #neededBySinks(topic: string, partition: number): number {
    const sinks = this.job.sinks.filter((sink) => sink.topic === topic);
    return sinks.reduce((min, sink) => Math.min(min, sink.neededFrom(partition)), Infinity);
  }

  /** First offset that must stay readable. */
  async #bound(topic: string, partition: number): Promise<number> {
    const { wiring, store } = this.job;
    if (topic === wiring.queries.topic) return this.queriesFrom(partition);
    if (topic !== wiring.transactions.topic) {
      // An input that this job does not read is that of another, whose checkpoints may need it.
      return this.embedded.inputs.includes(topic) ? 0 : Infinity;
    }
    // Without a checkpoint the state is folded from the start; a damaged one may leave the one before it.
    // Savepoints beyond the retained checkpoints need no log: they are restored into one of their own.
    const { transactionLog, settings } = this.job;
    const { id, restoredFrom } = transactionLog;
    let bound = Infinity;
    let retained = 0;
    for (const { manifest } of await store.list(partition)) {
      if (!manifest) return 0;
      if (!isOfLog(manifest, id, restoredFrom)) continue;
      bound = Math.min(bound, positionOf(manifest).offset);
      if (++retained === settings.checkpointsRetained) break;
    }
    return retained === 0 ? 0 : bound;
  }
}
