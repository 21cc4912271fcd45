// A process of the cluster from the inside: the real workers, store and log on simulated surroundings.

import { OtherSessions } from "../log/log_doubles.ts";
import {
  type ClaimedPartition,
  EmbeddedLog,
  type Log,
  type SharedGeneration,
  type Sharing,
} from "../../src/log/mod.ts";
import { AuditedLog } from "./audited_log.ts";
import { Conditions } from "../../src/engine/conditions.ts";
import type { Partition } from "../../src/engine/partition.ts";
import { newestCheckpoints } from "../../src/service/restore.ts";
import { TransactionWorker } from "../../src/engine/worker.ts";
import { CheckpointStore, foldParametersOf } from "../../src/state/mod.ts";
import type { OpenedLog } from "./kafka_port.ts";
import type { KvFile } from "./kv_file.ts";
import { SimProcess } from "./process.ts";
import { SimKv } from "./sim_kv.ts";
import { SimLog, type SimLogHooks } from "./sim_log.ts";
import { SINK_DRAIN_MS } from "./sinks.ts";
import { SimMemory } from "./sim_memory.ts";
import type { World } from "./world.ts";

export const JOB = "sim";
export const TOPICS = {
  input: "transactions",
  results: "results",
  summaries: "summaries",
  deadLetters: "dead-letters",
} as const;

/** Partitions of each topic. */
export function topicSizes(partitions: number, sidePartitions: number): Record<string, number> {
  return {
    [TOPICS.input]: partitions,
    [TOPICS.results]: partitions,
    [TOPICS.summaries]: sidePartitions,
    [TOPICS.deadLetters]: sidePartitions,
  };
}

/** What a machine keeps while processes on it come and go. */
export interface Machine {
  readonly name: string;
  /** Where its processes keep checkpoints. */
  readonly state: KvFile;
}

export class Member {
  readonly process: SimProcess;
  readonly #stop = new AbortController();
  readonly owners = new Map<number, Partition>();
  /** When it was claimed last, in virtual ms. */
  readonly claimedAt = new Map<number, number>();
  /** The same of its release. */
  readonly #releasedAt = new Map<number, number>();
  /** Another process was started in its place. */
  replaced = false;
  /** It has ended by itself: stopped, or given up. */
  ended = false;
  embedded: EmbeddedLog | null = null;
  kafka: OpenedLog | null = null;
  workers: TransactionWorker[] = [];
  /** The worker of each of its partitions. */
  readonly #workerOf = new Map<number, number>();
  /** Of all its workers. */
  readonly memory: SimMemory;
  #state: SimKv | null = null;

  /** @param groups the partitions of each of its workers */
  constructor(
    readonly world: World,
    name: string,
    readonly machine: Machine,
    readonly groups: readonly (readonly number[])[],
  ) {
    this.process = new SimProcess(world.sim, name);
    // Where processes share partitions, the log says with each claim who has which.
    if (!this.#areGiven) {
      groups.forEach((group, worker) => group.forEach((p) => this.#workerOf.set(p, worker)));
    }
    this.memory = new SimMemory(this, world.sim.plan.partitions);
    world.sim.trace(name, () => `starts on ${machine.name} with ${JSON.stringify(groups)}`);
    void this.#run();
  }

  get #areGiven(): boolean {
    return this.world.sim.plan.kafka.shared;
  }

  get isLive(): boolean {
    return this.process.alive && !this.ended;
  }

  stop(): void {
    this.world.sim.trace(this.process.name, "is asked to stop");
    this.#stop.abort("stop"); // without a reason an error with a stack is made
  }

  get isStopping(): boolean {
    return this.#stop.signal.aborted;
  }

  kill(): void {
    this.world.sim.trace(this.process.name, "is killed");
    this.process.kill();
  }

  async #run(): Promise<void> {
    const { world, process } = this;
    try {
      const store = await this.#openStore();
      const log = new AuditedLog(
        await this.#openLog(store),
        (partition, first, outcomes) =>
          process.alive && world.auditor.onOutcomes(partition, first, outcomes),
      );
      this.workers = this.groups.map((partitions, i) => this.#worker(log, store, partitions, i));
      const workers = this.workers.map((worker) => worker.run(this.#stop.signal));
      await this.#withSink(Promise.all(workers));
      await this.embedded?.close();
      await this.kafka?.close();
      world.sim.trace(process.name, "has ended");
    } catch (error) {
      if (process.alive) world.onFailure(this, error as Error);
      await this.kafka?.close();
    }
    this.ended = true;
    process.kill();
  }

  /** Runs the sink of a process beside its workers, and lets it take what they leave, for a while. */
  async #withSink(workers: Promise<unknown>): Promise<void> {
    const { world: { sinks }, process, embedded } = this;
    if (!embedded || !sinks.isOn) return void await workers;
    const sink = sinks.worker(process, embedded);
    const stop = new AbortController();
    const running = sink.run(stop.signal);
    running.catch(() => {}); // awaited below
    try {
      await Promise.race([workers, running.then(() => workers)]);
      sink.drain();
      await Promise.race([running, process.clock.sleep(SINK_DRAIN_MS)]);
    } finally {
      stop.abort("stop");
    }
    await running;
  }

  /** Partitions that are on their way from one worker to another. */
  readonly #moving = new Set<number>();

  /** Moves a partition to one of the workers, if it is this process's and stands still; whether it could. */
  move(partition: number, to: number): boolean {
    const from = this.#workerOf.get(partition);
    if (from === undefined || this.#moving.has(partition) || this.workers.length === 0) {
      return false;
    }
    void this.#move(partition, from, to % this.workers.length);
    return true;
  }

  async #move(partition: number, from: number, to: number): Promise<void> {
    const { process, world } = this;
    this.#moving.add(partition);
    world.sim.trace(process.name, `moves ${partition} from worker ${from} to ${to}`);
    await this.workers[from]!.revoke(partition);
    world.sim.trace(process.name, `worker ${from} has released ${partition}`);
    if (world.sim.chance(0.3)) await process.clock.sleep(world.sim.between(0, 300));
    this.#workerOf.set(partition, to);
    await this.workers[to]!.assign(partition);
    this.#moving.delete(partition);
  }

  /** Whether it stands at the committed positions of all its partitions. */
  get isRecovered(): boolean {
    return this.groups.every((group) => group.every((partition) => this.owners.has(partition)));
  }

  /** A KV file as a process sees it. */
  kv(file: KvFile, process = this.process): SimKv {
    return new SimKv(file, process, {
      onCommit: (f, process, mutations) => this.world.onKvCommit(f, process, mutations),
      isRemote: file !== this.world.logFile,
      ...this.world.bug?.kv,
    });
  }

  async #openLog(store: CheckpointStore): Promise<Log> {
    const { world, process } = this;
    if (world.kafka) {
      this.kafka = world.kafka.open(process, {
        name: this.machine.name,
        workers: this.groups.length,
        user: {
          logDisk: null,
          partitionerOf: () => Promise.resolve(null),
          readTopics: store.readTopics,
          // As if loads changed: partitions go from one worker to another between generations.
          loadOf: (partition) => process.chance() < 0.25 ? process.chance() : 1 + partition,
          hasCheckpoints: async () => (await store.partitions()).length > 0,
          newestCheckpoints: (logId, topicId) => newestCheckpoints(store, logId, topicId),
        },
      });
      return this.#watched(this.kafka);
    }
    if (world.broker) {
      const hooks: SimLogHooks = { ...world.logHooks, ...world.bug?.log };
      return new SimLog(world.broker, process, hooks);
    }
    const { partitions, sidePartitions } = world.sim.plan;
    const embedded = await EmbeddedLog.open(this.kv(world.logFile!), {
      topics: topicSizes(partitions, sidePartitions),
      inputs: [TOPICS.input],
      clock: process.clock,
      chance: process.chance,
    });
    this.embedded = embedded;
    return this.#watched(embedded);
  }

  /** A log whose claims, reads and commits are reported to the world. */
  #watched(log: Log): Log {
    const { world, process } = this;
    return new OtherSessions(log, (session) => {
      this.onClaim(session.partitions);
      return {
        add: async (partitions, signal) => {
          const claimed = await session.add(partitions, signal);
          this.onClaim(claimed);
          return claimed;
        },
        read: (partition, offset, options) => {
          world.onRead(process, partition, session.partitions, options);
          return session.read(partition, offset, options);
        },
        commit: (commit, signal) => {
          world.auditor.onSend(process, commit);
          return session.commit(commit, signal);
        },
        close: () => {
          for (const { partition } of session.partitions) this.#onClose(partition);
          session.close();
        },
      };
    });
  }

  /** Whether it may answer questions: it knows no better than that it is the owner. */
  get mayAnswer(): boolean {
    if (this.process.paused) return false;
    // The log's own word; elsewhere a process that was replaced may not know yet.
    return this.kafka ? this.kafka.isAvailable && this.kafka.isClaimed : !this.replaced;
  }

  /** How its log is shared. */
  get sharing(): Sharing {
    return this.kafka!.sharing!;
  }

  /** The generation that is confirmed to it behind the call; null when none is. */
  async confirm(): Promise<SharedGeneration | null> {
    const confirmed = await this.sharing.confirm(this.#stop.signal).catch(() => null);
    return this.isLive ? confirmed : null;
  }

  /** Whether its answers need that. */
  get isShared(): boolean {
    return this.#areGiven;
  }

  async #openStore(): Promise<CheckpointStore> {
    const { clock, chance } = this.process;
    const kv = this.#state = this.kv(this.machine.state);
    const store: CheckpointStore = await CheckpointStore.open(kv, {
      job: JOB,
      clock,
      chance,
      addEvent: (event) => {
        if (this.process.alive) this.world.onCheckpointEvent(this, event);
        return store.history.add(event);
      },
    });
    return store;
  }

  #worker(
    log: Log,
    store: CheckpointStore,
    partitions: readonly number[],
    worker: number,
  ): TransactionWorker {
    const { world, process } = this;
    const { plan, retries: { raisedAtMs } } = world.sim;
    // A program of the version before; the model of a log has no fold version of its own.
    const isEarlier = raisedAtMs !== null && !world.isUpgraded;
    const core = isEarlier ? { ...plan.core, foldVersion: 1 } : plan.core;
    return new TransactionWorker({
      settings: plan.settings,
      log,
      store,
      parameters: foldParametersOf({ ...core, partition: 0 }),
      coreOptions: (partition) => ({ ...core, partition }),
      topics: {
        ...TOPICS,
        partitionsOf: (topic) => log.partitionsOf(topic),
        batchBytesMax: plan.outputBatchBytes,
      },
      partitions,
      partitionsAreGiven: this.#areGiven,
      worker,
      pendingLimits: plan.pendingLimits,
      conditions: new Conditions(process.clock),
      memory: this.memory,
      holdsBack: true,
      clock: process.clock,
      chance: process.chance,
      onOwner: (partition, owner) => this.#onOwner(partition, owner),
    });
  }

  onClaim(claimed: readonly ClaimedPartition[]): void {
    const generation = this.kafka?.sharing?.view?.generation;
    if (generation !== undefined && claimed.length > 0) {
      this.world.sim.onActive(generation, this.process.name);
    }
    for (const { partition } of claimed) {
      this.claimedAt.set(partition, this.world.sim.now);
      this.memory.held.delete(partition);
    }
  }

  /** Whether it has released a partition, and not claimed it since. */
  hasReleased(partition: number): boolean {
    const released = this.#releasedAt.get(partition);
    return released !== undefined && !this.owners.has(partition) &&
      released > this.claimedAt.get(partition)!;
  }

  /** The session of a partition is closed: it is released, if it ever ran in it. */
  #onClose(partition: number): void {
    const hasRun = (this.#releasedAt.get(partition) ?? -1) >= this.claimedAt.get(partition)!;
    if (!this.process.alive || hasRun || this.owners.has(partition)) return;
    if (this.#state!.isReading(partition)) {
      this.world.sim.count("recovery left while it reads the store");
    }
  }

  #onOwner(partition: number, owner: Partition | null): void {
    if (!this.process.alive) return;
    if (!owner) {
      if (this.owners.delete(partition)) this.#releasedAt.set(partition, this.world.sim.now);
      return;
    }
    this.owners.set(partition, owner);
    this.world.bug?.onOwner?.(owner);
    this.world.auditor.onOwner(this.process, partition, owner);
    this.world.onOwned();
    if (this.isShared || this.mayAnswer) this.world.lookUp(this, partition);
  }
}
