import type { CheckpointEvent, CheckpointStore, Savepoint, Savepoints } from "../state/mod.ts";
import { type Clock, Deadlines } from "../types/mod.ts";
import type { Conditions } from "../engine/mod.ts";
import { listCheckpoints, type ListedCheckpoints } from "./listed_checkpoints.ts";
import {
  browserOf,
  type LogBrowser,
  LostError,
  type StandBy,
  UnavailableError,
} from "../log/mod.ts";
import { isRemoteKv } from "../kv/mod.ts";
import type { Cluster } from "./cluster.ts";
import { checkpointEverywhere } from "./cluster_checkpoints.ts";
import { ClusterStatusReader, type ReportKind, type Reports } from "./cluster_status.ts";
import { ConflictError, type Gateway } from "./gateway.ts";
import type { JobContext } from "./job_context.ts";
import { LogReader } from "./log_reader.ts";
import type { QueryWorker } from "./query_worker.ts";
import type { JobWorker } from "../engine/job_worker.ts";
import { reportStop } from "./report_stop.ts";
import type { SinkWorker } from "./sink_worker.ts";
import { storeAnswer } from "./store_answer.ts";
import { takeSavepoint } from "./take_savepoint.ts";
import type { WorkerFigures } from "../engine/figures.ts";
import { type HotItemFigures, hottestOf } from "../engine/mod.ts";
import { type ConfigurationEntry, configurationOf, type Parameters } from "../parameters/mod.ts";
import type { JobStatus, SeriesPoint, StatusHistory } from "./status.ts";
import { StatusReader } from "./status_reader.ts";

/** What another process of the group is given at the most. */
const HOT_ITEMS = 100;
const EVENTS = 100;
/** How often a look-up that waits for a recovery looks whether that waits itself, in ms: most are over by then. */
const STUCK_LOOK_MS = 2000;
/** Conditions that a recovery waits for, and that do not end by themselves: room on a disk, a topic that is gone. */
const LACKING: readonly string[] = ["disk", "topic"];
/** Who asks for what the store has is answered in so long, also while it is away. */
const STORE_ANSWER_MS_MAX = 10_000;

/** A job that runs. */
export class RunningJob {
  readonly #stop = new AbortController();
  /** Settles when the job has ended; rejected with a StopError when it cannot go on. */
  readonly finished: Promise<void>;
  #failure: Error | null = null;
  /** When the stop was asked for. */
  #askedAt: number | null = null;
  readonly #status: StatusReader;
  /** Null: partitions are not shared. */
  readonly #all: ClusterStatusReader | null;
  /** Whether the group was left to others, by the stop. */
  #isLeft = false;
  /** Whether everything has ended. */
  #isOver = false;
  /** When look-ups under way are looked at, whether they need not wait any longer: one timer for all of them. */
  readonly #lookUps: Deadlines;

  constructor(
    readonly name: string,
    readonly context: JobContext,
    /** The way in for transactions and queries; null when the log is not the job's own. */
    readonly gateway: Gateway | null,
    /** Each begins with the partitions whose number modulo their count is its own. */
    readonly workers: readonly JobWorker[],
    readonly queries: QueryWorker,
    /** What feeds the job's own log or runs beside the workers until the job is asked to stop. */
    readonly companions: readonly ((stop: AbortSignal) => Promise<void>)[],
    readonly close: () => Promise<void>,
    readonly params: Parameters,
  ) {
    this.#status = new StatusReader(this);
    this.#lookUps = new Deadlines(context.clock);
    const { cluster, clock } = context;
    this.#all = cluster && new ClusterStatusReader(cluster, this, clock);
    this.finished = this.#run();
    // Whoever waits for the end is notified; until then the failure is visible by `failure`.
    this.finished.catch(() => {});
  }

  async #run(): Promise<void> {
    // Queries stop first: they look up at the transactions' owners.
    const queriesDone = new AbortController();
    const failed = new AbortController();
    const fail = (error: unknown) => {
      this.#failure ??= error as Error;
      failed.abort();
    };
    const queryStop = AbortSignal.any([this.#stop.signal, failed.signal]);
    const ended = () => this.#failure ?? new Error("The job has ended");
    const sinksStop = new AbortController();
    const sinks = this.sinks.map((sink) =>
      sink.run(AbortSignal.any([sinksStop.signal, failed.signal])).catch(fail)
    );
    await Promise.all([
      ...this.companions.map((run) => run(queryStop).catch(fail)),
      this.#status.run(queryStop).catch(fail),
      this.queries.run(queryStop).catch(fail).finally(() => {
        // A companion may wait for an answer.
        this.gateway?.queryWaiters.end(ended());
        queriesDone.abort();
        this.#leave();
      }),
      ...this.workers.map((worker) =>
        worker.run(AbortSignal.any([queriesDone.signal, failed.signal])).catch(fail)
      ),
    ]);
    this.gateway?.transactionWaiters.end(ended());
    this.gateway?.queryWaiters.end(ended());
    await this.#drain(sinks);
    sinksStop.abort("stop"); // without a reason an error with a stack is made
    await Promise.all(sinks);
    if (!this.#failure) await reportStop(this, this.#askedAt);
    this.#isOver = true;
    this.#lookUps.close();
    // What failed first is the reason.
    await this.close().catch((error) => this.#failure ??= error);
    if (this.#failure) throw this.#failure;
  }

  /** Whether other processes share the partitions with this one. */
  get #hasOthers(): boolean {
    return (this.cluster?.view?.members.length ?? 1) > 1;
  }

  /** Others go on at once; who is alone stays in its group until its sinks have what was committed. */
  #leave(): void {
    this.#isLeft = this.#hasOthers;
    if (this.#isLeft) this.cluster!.leave();
  }

  /** Lets sinks in the process take what was committed; what they do not take in time comes after the next start. */
  async #drain(sinks: readonly Promise<void>[]): Promise<void> {
    if (sinks.length === 0 || this.#failure) return;
    // Others go on committing: what is left is given to the sinks of one of them.
    if (this.#isLeft || this.#hasOthers) return;
    for (const sink of this.sinks) sink.drain();
    const drained = new AbortController();
    const late = this.context.clock.sleep(this.context.sinkDrainMs, drained.signal);
    await Promise.race([Promise.all(sinks), late]);
    drained.abort("drained");
  }

  /** Sinks in this process. */
  get sinks(): readonly SinkWorker[] {
    return this.context.sinks;
  }

  /** Why the job ended, if it failed. */
  get failure(): Error | null {
    return this.#failure;
  }

  /** Asks the job to stop: finish the batch, commit, checkpoint, close. Resolves when it has. */
  async stop(): Promise<void> {
    this.#askedAt ??= this.context.clock.monotonic();
    this.#stop.abort();
    await this.finished.catch(() => {});
  }

  /** Whether the log answers and every partition has folded what it held when it was claimed. */
  get isReady(): boolean {
    return this.#failure === null && this.isLogAvailable && this.context.owners.allReady;
  }

  /** Whether the log answers, and this process may commit to it. */
  get isLogAvailable(): boolean {
    return this.context.transactionLog.isAvailable;
  }

  /** Set while another process is active, and this one waits to take over. */
  get standsBy(): StandBy | null {
    return this.context.transactionLog.standsBy;
  }

  /** Whether it was asked to stop. */
  get isStopping(): boolean {
    return this.#askedAt !== null;
  }

  /** What the job says of itself now. */
  status(): JobStatus {
    return this.#status.read();
  }

  /** What another process of the group asks for. */
  report<K extends ReportKind>(kind: K): Promise<Reports[K]> | Reports[K];
  report(kind: ReportKind): Promise<Reports[ReportKind]> | Reports[ReportKind] {
    switch (kind) {
      case "status":
        return { status: this.status(), point: this.historyPoint, minute: this.#status.minute };
      case "history":
        return this.history;
      case "hotItems":
        return this.hotItems(HOT_ITEMS);
      case "checkpointEvents":
        return this.store.history.list(EVENTS);
    }
  }

  /** The status of all processes that share the partitions; of this one where they are not shared. */
  async statusOfAll(): Promise<{ status: JobStatus; point: SeriesPoint | null }> {
    return await this.#all?.read() ?? { status: this.status(), point: this.historyPoint };
  }

  /** The same of the last hour. */
  async historyOfAll(): Promise<StatusHistory> {
    return await this.#all?.history() ?? this.history;
  }

  /** The same of the hottest items. */
  async hotItemsOfAll(count: number): Promise<HotItemFigures> {
    return await this.#all?.hotItems(count) ?? await this.hotItems(count);
  }

  /** Figures of the last hour, and the newest point of them; they begin with the process. */
  get history(): StatusHistory {
    return this.#status.history;
  }
  get historyPoint(): SeriesPoint | null {
    return this.#status.point;
  }

  /** The items that most of the records were of in the last minutes, by samples. */
  async hotItems(count: number): Promise<HotItemFigures> {
    return hottestOf(await Promise.all(this.workers.map((w) => w.hotItems(count))), count);
  }

  /** The parameters as they count. */
  get configuration(): ConfigurationEntry[] {
    return configurationOf(this.params);
  }

  /**
   * The stock of items: see Owners.lookUp. Neither a partition that is offline is waited for, nor a recovery that waits
   * itself for room on a disk, or for a topic.
   */
  lookUp(itemIds: readonly string[], signal: AbortSignal): Promise<(bigint | null)[]> {
    return new Promise((resolve, reject) => {
      const over = new AbortController();
      const giveUp = () => over.abort("given up"); // without a reason an error with a stack is made
      let takeBack = () => {};
      const end = () => {
        takeBack();
        signal.removeEventListener("abort", giveUp);
      };
      const look = () => {
        const stuck = this.#whyStuck();
        if (stuck === null) {
          takeBack = this.#lookUps.add(STUCK_LOOK_MS, look);
          return;
        }
        end();
        giveUp();
        reject(stuck);
      };
      if (!this.#isOver) takeBack = this.#lookUps.add(STUCK_LOOK_MS, look);
      signal.addEventListener("abort", giveUp);
      if (signal.aborted) giveUp();
      const settle = <T>(by: (outcome: T) => void) => (outcome: T) => (end(), by(outcome));
      this.context.owners.lookUp(itemIds, over.signal, false).then(settle(resolve), settle(reject));
    });
  }

  /** Why a look-up need not wait any longer: a recovery waits for what only people bring; null = it may wait. */
  #whyStuck(): Error | null {
    if (this.#isOver) return new LostError("The job has ended");
    const lacking = this.conditions.list().find(({ what }) => LACKING.includes(what));
    if (!lacking || this.isReady) return null;
    return new UnavailableError(`The item cannot be looked up now: ${lacking.reason}`);
  }

  /** The processes that share the partitions with this one; null = they are not shared. */
  get cluster(): Cluster | null {
    return this.context.cluster;
  }

  get store(): CheckpointStore {
    return this.context.store;
  }

  /**
   * What the store answers.
   *
   * @throws {LostError} when it does not, for ten seconds
   */
  ofStore<T>(answer: Promise<T>): Promise<T> {
    return storeAnswer(this.clock, answer, STORE_ANSWER_MS_MAX);
  }

  get savepoints(): Savepoints {
    return this.store.savepoints;
  }

  /** What is not as it should be now. */
  get conditions(): Conditions {
    return this.context.conditions;
  }

  /** Topics that it reads and writes; null = not written. */
  get topics(): JobStatus["topics"] {
    const { topics, wiring } = this.context;
    return {
      transactions: topics.input,
      results: topics.results,
      summaries: topics.summaries,
      deadLetters: topics.deadLetters,
      queries: wiring.queries.topic,
      queryResults: wiring.queryResults.topic,
    };
  }

  get clock(): Clock {
    return this.context.clock;
  }

  /**
   * Checkpoints of whole partitions from one on, until they are enough, with the savepoints that pin them.
   *
   * @returns and the partition to go on from; null = there are no more
   */
  async checkpointsFrom(partition: number): Promise<ListedCheckpoints> {
    return await this.ofStore(listCheckpoints(this.store, partition));
  }

  /** Takes a checkpoint of every partition and pins them under a name; see takeSavepoint. */
  async takeSavepoint(name: string): Promise<Savepoint> {
    if (this.cluster && !isRemoteKv(this.params.get("state.kv"))) {
      throw new ConflictError(
        "Processes that share partitions (kafka.partitions.shared) take savepoints where all of them have their " +
          "checkpoints, and each has a file of its own here: set state.kv to a server (http://...)",
      );
    }
    return await takeSavepoint(this, name);
  }

  /** See checkpointEverywhere of cluster_checkpoints.ts; null = this process has all partitions. */
  get checkpointEverywhere(): (() => Promise<(number | null)[]>) | null {
    const { cluster } = this;
    return cluster && (() => checkpointEverywhere(cluster, this));
  }

  /** Looks into the topics; null where nothing can. */
  get logs(): LogBrowser | null {
    if (this.gateway) return new LogReader(this.gateway.options.log);
    return browserOf(this.context.transactionLog);
  }

  /** The last events of checkpoints, newest first; of all processes, also where each has a store of its own. */
  checkpointEvents(limit: number): Promise<CheckpointEvent[]> {
    const isShared = isRemoteKv(this.params.get("state.kv"));
    return this.#all && !isShared
      ? this.#all.checkpointEvents(limit)
      : this.ofStore(this.store.history.list(limit));
  }

  /** Figures of the workers. */
  figures(): WorkerFigures[] {
    return this.workers.map((worker) => worker.figures());
  }

  /** The number of the worker that has a partition now; null = none has. */
  ownerOf(partition: number): number | null {
    const owner = this.workers.findIndex((worker) => worker.folds(partition));
    return owner < 0 ? null : owner;
  }

  /** See JobWorker.checkpointNow. */
  async checkpointNow(partition: number): Promise<number | null> {
    const owner = this.ownerOf(partition);
    if (owner === null) {
      const offline = this.context.owners.whyOffline(partition);
      throw new LostError(
        `Partition ${partition} is ${offline ? `left out: ${offline}` : "being recovered"}`,
      );
    }
    return await this.workers[owner]!.checkpointNow(partition);
  }
}
