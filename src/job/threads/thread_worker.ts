import { getLogger } from "@logtape/logtape";
import type { Log } from "../../log/mod.ts";
import type { CheckpointStore } from "../../state/mod.ts";
import type { Chance, Clock } from "../../types/mod.ts";
import type { JobWorker } from "../job_worker.ts";
import { supervise, together } from "../supervise.ts";
import { NO_FIGURES, type WorkerFigures } from "../worker/figures.ts";
import type { ItemOwner } from "../worker/owners.ts";
import type { OnOutcomes } from "../worker/partition_processor.ts";
import { kvMethods } from "./remote_kv.ts";
import { logMethods } from "./remote_log.ts";
import type { ThreadedLog } from "./threaded_log.ts";
import { type Method, Rpc } from "./rpc.ts";
import type { WorkerSpec } from "./worker_spec.ts";

const log = getLogger(["stockflow", "job"]);

/** How often it is looked whether a thread still answers. */
const LOOK_MS = 500;

export interface ThreadWorkerOptions {
  readonly name: string;
  readonly spec: WorkerSpec;
  readonly log: Log;
  /** How the thread opens the log by itself; without it, by calls to this one. */
  readonly ownLog?: ThreadedLog;
  readonly store: CheckpointStore;
  readonly clock: Clock;
  readonly chance: Chance;
  /** A thread that says nothing for so long is taken to hang, and replaced. */
  readonly watchdogMs: number;
  readonly onOutcomes: OnOutcomes | null;
  onOwner(partition: number, owner: ItemOwner | null): void;
  onCommitted(results: readonly Uint8Array[], summaries: readonly Uint8Array[]): void;
}

/** A transaction worker in a thread of its own: started, watched, and started again when it crashes. */
export class ThreadWorker implements JobWorker {
  #figures: WorkerFigures = NO_FIGURES;
  /** Figures of threads that are gone. */
  #before = { recordsIn: 0, commits: 0, recoveries: 0 };
  #rpc: Rpc | null = null;
  #thread: Worker | null = null;

  constructor(readonly options: ThreadWorkerOptions) {}

  figures(): WorkerFigures {
    const { recordsIn, commits, recoveries } = this.#before;
    return {
      ...this.#figures,
      recordsIn: recordsIn + this.#figures.recordsIn,
      commits: commits + this.#figures.commits,
      recoveries: recoveries + this.#figures.recoveries,
    };
  }

  run(stop: AbortSignal): Promise<void> {
    const { name, clock, chance, spec } = this.options;
    return supervise(() => this.#life(stop), stop, {
      name,
      clock,
      chance,
      attempts: spec.settings.restartAttempts,
      progress: () => this.figures().commits,
      onRecovery: () => this.#before.recoveries++,
    });
  }

  checkpointNow(partition: number): Promise<number | null> {
    return this.#rpc!.call("checkpoint", [partition]);
  }

  /** Ends the thread at once, as a crash would; tests ask for it. */
  crash(): void {
    this.#thread?.terminate();
    this.#rpc?.close("The thread was ended");
    this.#onCrash?.(new Error("The thread was ended"));
  }

  #onCrash: ((error: Error) => void) | null = null;

  async #life(stop: AbortSignal): Promise<void> {
    const { spec, clock } = this.options;
    const entry = this.options.ownLog?.entry ?? new URL("./remote_log_thread.ts", import.meta.url);
    const thread = new Worker(entry, {
      type: "module",
      name: this.options.name,
    });
    const crashed = Promise.withResolvers<never>();
    crashed.promise.catch(() => {});
    let heardAt = clock.monotonic();
    const rpc = new Rpc(thread, this.#methods());
    thread.onmessage = (event) => {
      heardAt = clock.monotonic();
      rpc.receive(event.data);
    };
    thread.onerror = (event) => {
      event.preventDefault();
      crashed.reject(new Error(`The thread crashed: ${event.message}`));
    };
    thread.onmessageerror = () =>
      crashed.reject(new Error("A message of the thread cannot be read"));
    this.#onCrash = crashed.reject;
    this.#rpc = rpc;
    this.#thread = thread;
    const askToStop = () => rpc.notify("stop", []);
    stop.addEventListener("abort", askToStop);
    try {
      const over = new AbortController();
      const ended = rpc.call("run", [spec]).finally(() => over.abort());
      if (stop.aborted) askToStop();
      await together([
        () => Promise.race([ended, crashed.promise]) as Promise<void>,
        (failed) => this.#watch(AbortSignal.any([failed, over.signal]), () => heardAt),
      ]);
    } finally {
      stop.removeEventListener("abort", askToStop);
      rpc.close("The thread has ended");
      thread.terminate();
      this.#keepFigures();
      for (const partition of spec.partitions) this.options.onOwner(partition, null);
    }
  }

  #keepFigures(): void {
    const { recordsIn, commits, recoveries } = this.figures();
    this.#before = { recordsIn, commits, recoveries };
    this.#figures = NO_FIGURES;
    this.#rpc = this.#thread = null;
  }

  /** Fails when the thread has not been heard of for too long. */
  async #watch(over: AbortSignal, heardAt: () => number): Promise<void> {
    const { clock, watchdogMs, name } = this.options;
    while (!over.aborted) {
      await clock.sleep(LOOK_MS, over);
      const silent = clock.monotonic() - heardAt();
      if (over.aborted || silent < watchdogMs) continue;
      log.error("{name} has been silent for {silent} ms: it hangs, and is replaced", {
        name,
        silent: Math.round(silent),
      });
      throw new Error(`The thread was silent for ${Math.round(silent)} ms`);
    }
  }

  #methods(): Record<string, Method> {
    const { log, ownLog, store, onOutcomes, onOwner, onCommitted } = this.options;
    const owners = new Map<number, RemoteOwner>();
    return {
      ...(ownLog?.methods ?? logMethods(log)),
      ...kvMethods(store.kv),
      addEvent: ([event]) => store.addEvent(event),
      figures: ([figures]) => void (this.#figures = figures),
      outcomes: ([partition, first, outcomes]) => onOutcomes?.(partition, first, outcomes),
      committed: ([results, summaries]) => onCommitted(results, summaries),
      owner: ([partition, owned]) => {
        const owner = owned ? new RemoteOwner(this.#rpc!, partition) : null;
        if (owner) owners.set(partition, owner);
        onOwner(partition, owner);
      },
      ready: ([partition]) => owners.get(partition)?.setReady(),
    };
  }
}

/** The owner of a partition that is folded in another thread. */
class RemoteOwner implements ItemOwner {
  readonly #ready = Promise.withResolvers<void>();
  isReady = false;

  constructor(readonly rpc: Rpc, readonly partition: number) {}

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  setReady(): void {
    this.isReady = true;
    this.#ready.resolve();
  }

  lookUp(ids: readonly Uint8Array[]): Promise<(bigint | null)[]> {
    return this.rpc.call("lookUp", [this.partition, ids]);
  }
}
