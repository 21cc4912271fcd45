import type { Log } from "../../log/mod.ts";
import type { CheckpointStore } from "../../state/mod.ts";
import type { Chance, Clock } from "../../types/mod.ts";
import type { Conditions } from "../conditions.ts";
import { LostError } from "../../log/mod.ts";
import type { JobWorker } from "../job_worker.ts";
import type { OnProgress, Progress, Work } from "../progress.ts";
import { supervise } from "../supervise.ts";
import { never, Waiters } from "../waiters.ts";
import { addCause, addFigures, NO_FIGURES, type WorkerFigures } from "../figures.ts";
import type { HotItemFigures } from "../figures.ts";
import type { ItemOwner } from "../owners.ts";
import { Activity } from "./activity.ts";
import { conditionMethods } from "./remote_conditions.ts";
import { type StartThread, startThread, type Thread } from "./early_threads.ts";
import { kvMethods } from "./remote_kv.ts";
import { ServedLog } from "./remote_log.ts";
import type { AnyMethods, Methods, ThreadedLog } from "../../log/mod.ts";
import type { ConditionCalls } from "./remote_conditions.ts";
import type { KvCalls } from "./remote_kv.ts";
import type { ReportCalls, ThreadCalls } from "./contract.ts";
import { Rpc } from "./rpc.ts";
import type { WorkerSpec } from "./worker_spec.ts";

/** How often it is looked whether a thread still answers. */
const LOOK_MS = 500;

export interface ThreadWorkerOptions {
  readonly name: string;
  /** What the thread is started with; where it notes its activity is added. */
  readonly spec: Omit<WorkerSpec, "activity">;
  readonly log: Log;
  /** How the thread opens the log by itself; without it, by calls to this one. */
  readonly ownLog?: ThreadedLog;
  readonly store: CheckpointStore;
  /** Where the thread's conditions are reported, under the worker's name. */
  readonly conditions: Conditions;
  readonly clock: Clock;
  readonly chance: Chance;
  /** A thread that says nothing for so long is taken to hang, and replaced. */
  readonly watchdogMs: number;
  /** Starts a thread, or takes one that was started early; a test brings its own. */
  readonly startThread?: StartThread;
  readonly onProgress?: OnProgress | undefined;
  onOwner(partition: number, owner: ItemOwner | null): void;
  onOffline?(partition: number, reason: string): void;
}

/** A transaction worker in a thread of its own: started, watched, and started again when it crashes. */
export class ThreadWorker implements JobWorker {
  #figures: WorkerFigures = NO_FIGURES;
  /** Figures of threads that are gone. */
  #before: WorkerFigures = NO_FIGURES;
  /** Works that the thread has not ended. */
  readonly #underWay = new Map<Work, Progress>();
  #rpc: Rpc<ThreadCalls> | null = null;
  #thread: Thread | null = null;
  /** Those that it folds, or is to fold. */
  readonly #partitions: Set<number>;
  /** Those that the thread says it folds. */
  readonly #owned = new Set<number>();
  /** Is woken when a thread has started. */
  readonly #starts = new Waiters();

  constructor(readonly options: ThreadWorkerOptions) {
    this.#partitions = new Set(options.spec.partitions);
  }

  figures(): WorkerFigures {
    return addFigures(this.#before, this.#figures);
  }

  folds(partition: number): boolean {
    return this.#owned.has(partition);
  }

  run(stop: AbortSignal): Promise<void> {
    const { name, clock, chance, spec } = this.options;
    return supervise(() => this.#life(stop), stop, {
      name,
      clock,
      chance,
      attempts: spec.settings.restartAttempts,
      retries: spec.settings.logRetries,
      progress: () => this.figures().commits,
      onRecovery: (cause) => {
        const { recoveries, causes } = this.#before;
        this.#before = {
          ...this.#before,
          recoveries: recoveries + 1,
          causes: addCause(causes, { at: clock.now(), cause }),
        };
      },
    });
  }

  async checkpointNow(partition: number): Promise<number | null> {
    if (!this.#rpc) throw new LostError(`Partition ${partition} is being recovered`);
    return await this.#rpc.call("checkpoint", [partition]);
  }

  assign(partition: number, signal: AbortSignal = never()): Promise<void> {
    this.#partitions.add(partition);
    return this.#ask("assign", partition, signal);
  }

  revoke(partition: number, signal: AbortSignal = never()): Promise<void> {
    this.#partitions.delete(partition);
    return this.#ask("revoke", partition, signal);
  }

  /** Asks the thread; one that takes the place of it knows what is to be folded, and is asked again. */
  async #ask(method: "assign" | "revoke", partition: number, signal: AbortSignal): Promise<void> {
    while (true) {
      const rpc = this.#rpc;
      try {
        if (rpc) return await rpc.call(method, [partition], { signal });
      } catch (error) {
        if (!(error instanceof LostError) || signal.aborted) throw error;
      }
      while (!signal.aborted && (this.#rpc === rpc || !this.#rpc)) await this.#starts.wait(signal);
      if (signal.aborted) throw new LostError("The assignment was not waited for");
    }
  }

  async hotItems(count: number): Promise<HotItemFigures> {
    return await this.#rpc?.call("hotItems", [count]) ?? { samples: 0, items: [] };
  }

  /** Ends the thread at once, as a crash would; tests ask for it. */
  crash(): void {
    this.#thread?.terminate();
    this.#rpc?.close("The thread was ended");
    this.#onCrash?.(new Error("The thread was ended"));
  }

  #onCrash: ((error: Error) => void) | null = null;

  async #life(stop: AbortSignal): Promise<void> {
    const { spec, name, ownLog } = this.options;
    const entry = ownLog?.entry ?? new URL("./remote_log_thread.ts", import.meta.url);
    const thread = (this.options.startThread ?? startThread)(name, entry);
    const activity = new Activity();
    activity.set("starting", 0);
    const crashed = Promise.withResolvers<never>();
    crashed.promise.catch(() => {});
    let silentMs = 0;
    const served = new ServedLog(this.options.log);
    const rpc = new Rpc<ThreadCalls>(thread, this.#methods(served));
    rpc.listen(thread, () => silentMs = 0);
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
    const over = new AbortController();
    void this.#watch(over.signal, activity, () => silentMs += LOOK_MS).catch(crashed.reject);
    try {
      const partitions = [...this.#partitions].toSorted((a, b) => a - b);
      const ended = rpc.call("run", [{ ...spec, partitions, activity: activity.memory }]);
      this.#starts.wake();
      ended.catch(() => {}); // whoever loses the race has nothing to say
      if (stop.aborted) askToStop();
      await Promise.race([ended, crashed.promise]);
    } finally {
      over.abort();
      stop.removeEventListener("abort", askToStop);
      rpc.close("The thread has ended");
      thread.terminate();
      served.close();
      this.#keepFigures();
      this.#endProgress();
      this.options.conditions.clearAll(name);
      for (const partition of new Set([...this.#partitions, ...this.#owned])) {
        this.options.onOwner(partition, null);
      }
      this.#owned.clear();
    }
  }

  #tellProgress(progress: Progress): void {
    if (progress.over) this.#underWay.delete(progress.work);
    else this.#underWay.set(progress.work, progress);
    this.options.onProgress?.(progress);
  }

  /** A thread that is gone does not report any more that its works are over. */
  #endProgress(): void {
    for (const progress of this.#underWay.values()) {
      this.options.onProgress?.({ ...progress, over: true });
    }
    this.#underWay.clear();
  }

  #keepFigures(): void {
    this.#before = this.figures();
    this.#figures = NO_FIGURES;
    this.#rpc = this.#thread = null;
  }

  /**
   * Fails when the thread has not been heard of for too long. Looks are counted instead of time: while this thread
   * itself stands still, what the other one says waits to be heard.
   *
   * @param lookAgain to be called at every look; returns for how many ms of looks it was silent
   */
  async #watch(over: AbortSignal, activity: Activity, lookAgain: () => number): Promise<void> {
    const { clock, watchdogMs } = this.options;
    while (!over.aborted) {
      await clock.sleep(LOOK_MS, over);
      if (over.aborted) return;
      const silentMs = lookAgain();
      if (silentMs < watchdogMs) continue;
      throw new Error(
        `The thread hangs while ${activity}: it was silent for ${silentMs} ms ` +
          "(watchdog.timeout.ms), and is replaced",
      );
    }
  }

  #methods(served: ServedLog): AnyMethods {
    const { name, ownLog, store, conditions } = this.options;
    const { onOwner } = this.options;
    const owners = new Map<number, RemoteOwner>();
    const methods: Methods<KvCalls & ConditionCalls & ReportCalls> = {
      ...kvMethods(store.kv),
      ...conditionMethods(conditions.reporter(name)),
      addEvent: ([event]) => store.addEvent(event),
      progress: ([progress]) => this.#tellProgress(progress),
      figures: ([figures]) => void (this.#figures = figures),
      owner: ([partition, owned]) => {
        const owner = owned ? new RemoteOwner(this.#rpc!, partition) : null;
        if (owned) this.#owned.add(partition);
        else this.#owned.delete(partition);
        if (owner) owners.set(partition, owner);
        onOwner(partition, owner);
      },
      offline: ([partition, reason]) => this.options.onOffline?.(partition, reason),
      ready: ([partition]) => owners.get(partition)?.setReady(),
    };
    return { ...ownLog?.methods ?? served.methods, ...methods };
  }
}

/** The owner of a partition that is folded in another thread. */
class RemoteOwner implements ItemOwner {
  readonly #ready = Promise.withResolvers<void>();
  isReady = false;

  constructor(readonly rpc: Rpc<ThreadCalls>, readonly partition: number) {}

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
