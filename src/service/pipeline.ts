import {
  appendable,
  type AppendableLog,
  computed,
  type Log,
  sharingOf,
  StopError,
} from "../log/mod.ts";
import { type Clock, codecOf } from "../types/mod.ts";
import { Conditions } from "../engine/conditions.ts";
import type { PartitionFigures } from "../engine/figures.ts";
import { Owners } from "../engine/owners.ts";
import { PartitionLoads } from "../engine/partition_loads.ts";
import type { OutputTopics } from "../engine/partition_processor.ts";
import { EarlyThreads } from "../engine/threads/early_threads.ts";
import { StateMemory, warnOfMemory } from "../engine/state_memory.ts";
import type { JobSettings } from "../engine/worker_context.ts";
import {
  clusterTokenOf,
  type Parameters,
  queryCommitIntervalMs,
} from "../parameters/parameters.ts";
import { Cluster } from "./cluster.ts";
import { areasOf, coreOptionsFor, parametersWith } from "./core_options.ts";
import { feedsOf } from "./feeds.ts";
import { Gateway, type GatewayOptions } from "./gateway.ts";
import { generateQueries } from "./generated_stream.ts";
import type { JobContext } from "./job_context.ts";
import { type OpenedFiles, openFiles } from "./open_files.ts";
import { QueryWorker } from "./query_worker.ts";
import { PEER_REQUEST_BYTES_MAX } from "./peer.ts";
import { Retention } from "./retention.ts";
import { RunningJob } from "./running_job.ts";
import { openSinks } from "./sinks.ts";
import { startWorkers } from "./start_workers.ts";
import { topicsOf, type Wiring } from "./streams.ts";
import { MACHINE, type Surroundings } from "./surroundings.ts";
import { threadsAtOnce, threadsOf } from "./thread_count.ts";
import { logThroughput } from "./throughput.ts";

/** What runs beside the workers until the job is asked to stop. */
type Companion = (stop: AbortSignal) => Promise<void>;

/** What the parts of a pipeline are made from. */
interface Parts {
  readonly files: OpenedFiles;
  readonly context: JobContext;
  readonly gateway: Gateway | null;
  /** The log of the job's own that posted records go into; null = it is elsewhere. */
  readonly embedded: AppendableLog | null;
  readonly surroundings: Surroundings;
}

/** A wired job; runs when it is executed. */
export class Pipeline {
  /** Those of the partitions, once there are workers. */
  #figures: () => readonly PartitionFigures[] = () => [];

  /** @param name under which the store keeps its checkpoints */
  constructor(readonly params: Parameters, readonly wiring: Wiring, readonly name: string = "") {}

  /** Runs the job until it is stopped by its signal. */
  async execute(name: string = this.name, stop?: AbortSignal): Promise<void> {
    const running = await this.start(name);
    stop?.addEventListener("abort", () => void running.stop());
    if (stop?.aborted) void running.stop();
    await running.finished;
  }

  /**
   * Starts the job without waiting for its end.
   *
   * @throws {StopError} when its logs or its store cannot be opened
   */
  async start(
    name: string = this.name,
    surroundings: Surroundings = MACHINE,
  ): Promise<RunningJob> {
    const { params, wiring } = this;
    const conditions = surroundings.conditions ?? new Conditions(surroundings.clock);
    const loads = new PartitionLoads(surroundings.clock);
    const early = this.#earlyThreads(surroundings);
    let files: OpenedFiles | null = null;
    try {
      files = await openFiles({ name, params, wiring, surroundings, conditions, loads });
      const parts = await this.#parts(files, surroundings, conditions);
      const { context, gateway } = parts;
      checkPartitions(context);
      const queries = new QueryWorker(context);
      const workers = await this.#workers(name, parts, early);
      this.#figures = () => workers.flatMap((worker) => worker.figures().partitions);
      const companions = [
        ...disks(parts),
        ...this.#retention(parts, queries),
        memoryWatch(parts),
        ...this.#throughput(parts, workers),
        ...this.#generatedQueries(parts),
        ...feedsOf({ ...context, wiring, feedWriter: surroundings.feedWriter ?? null }),
        ...clusterOf(context),
        ...this.#loadWatch(context, loads),
        ...guaranteeWatch(parts),
      ];
      return new RunningJob(
        name,
        context,
        gateway,
        workers,
        queries,
        companions,
        files.close,
        context.params,
      );
    } catch (error) {
      await files?.close().catch(() => {}); // why it could not start is the reason
      throw error;
    } finally {
      early?.close();
    }
  }

  async #parts(
    files: OpenedFiles,
    surroundings: Surroundings,
    conditions: Conditions,
  ): Promise<Parts> {
    const { params, wiring } = this;
    const { clock, chance } = surroundings;
    const { transactionLog, queryLog, stateDisk, logDisk } = files;
    const partitions = transactionLog.partitionsOf(wiring.transactions.topic);
    const known = parametersWith(transactionLog, params);
    const core = {
      ...coreOptionsFor(known, partitions),
      ...areasOf(transactionLog.limits.batchBytesMax),
    };
    const codec = codecOf(core.format);
    const owners = new Owners({
      partitioner: core.partitioner,
      partitions,
      log: transactionLog,
      sharing: sharingOf(transactionLog),
      clock,
    });
    const memory = StateMemory.of(partitions, memoryBytesMax(params, surroundings));
    const embedded = appendable(queryLog);
    const gateway = embedded && new Gateway({
      log: embedded,
      transactionTopic: transactionLog === embedded ? wiring.transactions.topic : null,
      queryTopic: wiring.queries.topic,
      codec,
      owners,
      clock,
      chance,
      guarantee: core.remember ? this.#guarantee(clock) : null,
      appendTimeoutMs: params.get("append.timeout.ms"),
      memory,
      conditions: conditions.reporter("gateway"),
    });
    const context: JobContext = {
      settings: settingsOf(params),
      params: known,
      core,
      wiring,
      transactionLog,
      queryLog,
      store: files.store,
      codec,
      topics: outputTopicsOf(wiring, transactionLog),
      queryResults: topicsOf(wiring).queryResults,
      sinks: await openSinks({
        wiring,
        transactionLog: outputLogOf(transactionLog),
        queryLog,
        codec,
        params,
        conditions,
        clock,
        chance,
      }),
      sinkDrainMs: params.get("sink.drain.timeout.ms"),
      owners,
      cluster: this.#cluster(transactionLog, owners, clock, conditions),
      conditions,
      disks: embedded ? [logDisk, stateDisk] : [stateDisk],
      memory,
      clock,
      chance,
      tracing: surroundings.tracing ?? null,
      queryWaiters: gateway?.queryWaiters ?? null,
    };
    return { files, context, gateway, embedded, surroundings };
  }

  /** How far back repetitions are recognised, and how far they must be; null = nothing is asked for. */
  #guarantee(clock: Clock): GatewayOptions["guarantee"] {
    const minMs = this.params.get("idempotency.window.min.ms");
    return minMs > 0 ? { minMs, now: guaranteeOf(() => this.#figures(), clock) } : null;
  }

  /** The processes that share the partitions; null = they are not shared. */
  #cluster(
    log: Log,
    owners: Owners,
    clock: Surroundings["clock"],
    conditions: Conditions,
  ): Cluster | null {
    const { params, wiring } = this;
    const sharing = sharingOf(log);
    if (!sharing) return null;
    checkSharing(params);
    const topic = wiring.transactions.topic;
    const token = clusterTokenOf(params);
    return new Cluster({ sharing, owners, topic, token, clock, conditions });
  }

  /** Threads that load while the log is opened; null: it takes no time. */
  #earlyThreads({ threads, threadEntry }: Surroundings): EarlyThreads | null {
    const { params } = this;
    if (!threads || !threadEntry) return null;
    const core = { ...coreOptionsFor(params, 1), ...areasOf(WARM_BATCH_BYTES) };
    return new EarlyThreads(threadEntry, threadsAtOnce(params), core);
  }

  async #workers(
    name: string,
    { context, gateway, embedded, surroundings }: Parts,
    early: EarlyThreads | null,
  ) {
    const { params, wiring } = this;
    const posted = gateway !== null && context.transactionLog === embedded;
    const { core: { partitions }, store } = context;
    const isPosted = posted && wiring.transactions.feed === undefined;
    return startWorkers(context, {
      job: name,
      core: context.core,
      threads: surroundings.threads ? await threadsOf(params, partitions, store, isPosted) : 0,
      logs: surroundings.logs ?? null,
      onProgress: surroundings.onProgress,
      watchdogMs: params.get("watchdog.timeout.ms"),
      early,
      // Nobody refuses what a feed brings.
      holdsBack: !isPosted,
    });
  }

  #retention({ embedded, context }: Parts, queries: QueryWorker): Companion[] {
    if (!embedded) return [];
    const limits = {
      ms: this.params.get("log.retention.ms"),
      bytes: this.params.get("log.retention.bytes"),
      sinkBytes: this.params.get("sink.retention.bytes"),
    };
    const queriesFrom = (partition: number) =>
      queries.processors[partition]?.acknowledged.offset ?? 0;
    const retention = new Retention(embedded, context, limits, queriesFrom);
    return [(stop) => retention.run(stop)];
  }

  #throughput({ context, surroundings }: Parts, workers: RunningJob["workers"]): Companion[] {
    if (!context.transactionLog.reportsThroughput) return [];
    const generated = computed(context.transactionLog) !== null;
    const throughput = {
      figures: () => workers.map((worker) => worker.figures()),
      clock: context.clock,
      count: generated ? this.params.get("generate.count") : 0,
      onProgress: surroundings.onProgress ?? (() => {}),
    };
    return [(stop) => logThroughput(throughput, stop)];
  }

  /** By the load of partitions, processes that share them divide theirs among workers. */
  #loadWatch({ cluster, clock }: JobContext, loads: PartitionLoads): Companion[] {
    if (!cluster) return [];
    return [async (stop) => {
      while (!stop.aborted) {
        loads.look(this.#figures());
        await clock.sleep(FIGURES_MS, stop);
      }
    }];
  }

  #generatedQueries({ gateway, surroundings }: Parts): Companion[] {
    const { params } = this;
    if (!gateway || !params.get("generate.queries")) return [];
    return [(stop) => generateQueries(gateway, params, surroundings, stop)];
  }
}

/** Of the cores by which threads are warmed up, as the log that says what its batches hold is not open yet. */
const WARM_BATCH_BYTES = 256 * 1024;

function disks({ files: { stateDisk, logDisk }, embedded }: Parts): Companion[] {
  const state: Companion = (stop) => stateDisk.run(stop);
  return embedded ? [state, (stop) => logDisk.run(stop, () => embedded.probe())] : [state];
}

function memoryWatch({ context: { memory, conditions, clock } }: Parts): Companion {
  return (stop) => warnOfMemory(memory, conditions.reporter("job"), clock, stop);
}

/**
 * How far back repetitions are recognised in every partition: records of the embedded log are dated by the clock, so it
 * goes on when none comes.
 */
export function guaranteeOf(
  figures: () => readonly PartitionFigures[],
  clock: Clock,
): () => number {
  let looked = -Infinity;
  let latest: number | null = null;
  /** By the clock of the log, which does not go back when this one is set back. */
  let least = Infinity;
  return () => {
    const now = clock.monotonic();
    if (now - looked >= FIGURES_MS) {
      looked = now;
      latest = null;
      least = Infinity;
      for (const { remembered } of figures()) {
        if (remembered === null || remembered.since === null) continue;
        latest = Math.max(latest ?? remembered.since, remembered.since);
        least = Math.min(least, remembered.guaranteedMs);
      }
    }
    return latest === null ? Infinity : Math.max(least, clock.now() - latest);
  };
}

/** How often figures are looked at by whom nobody asks for them. */
const FIGURES_MS = 1000;

/**
 * The guarantee comes back with time alone, and nobody may post meanwhile: who goes by /readyz?for=writes sends no writes
 * until the condition is cleared.
 */
function guaranteeWatch({ gateway, context: { clock } }: Parts): Companion[] {
  if (!gateway?.options.guarantee) return [];
  return [async (stop) => {
    while (!stop.aborted) {
      gateway.whyNoGuarantee();
      await clock.sleep(FIGURES_MS, stop);
    }
  }];
}

function clusterOf({ cluster }: JobContext): Companion[] {
  return cluster ? [(stop) => cluster.run(stop)] : [];
}

/** @throws {StopError} when processes could not ask each other */
function checkSharing(params: Parameters): void {
  const bytesMax = params.get("http.body.bytes.max");
  if (bytesMax >= PEER_REQUEST_BYTES_MAX) return;
  throw new StopError(
    `Processes that share partitions ask each other by requests of up to ${PEER_REQUEST_BYTES_MAX} bytes, and ` +
      `http.body.bytes.max is ${bytesMax}`,
    "raise it",
  );
}

/** Where the outputs of transactions go. */
function outputTopicsOf(wiring: Wiring, log: Log): OutputTopics {
  const { results, summaries, deadLetters } = topicsOf(wiring);
  return {
    input: wiring.transactions.topic,
    results,
    summaries,
    deadLetters,
    partitionsOf: (topic) => log.partitionsOf(topic),
    ...log.limits,
    discardResults: wiring.results.sinks.length === 0,
  };
}

/** The log that takes the outputs of transactions. */
function outputLogOf(log: Log): Log {
  return computed(log)?.beneath ?? log;
}

/** The bound of the state's memory: as it is set, else half of what the machine or its container gives. */
function memoryBytesMax(params: Parameters, { memoryBytes }: Surroundings): number {
  const set = params.get("state.bytes.max");
  if (set > 0) return set;
  return memoryBytes === undefined ? Number.MAX_SAFE_INTEGER : Math.floor(memoryBytes / 2);
}

function settingsOf(params: Parameters): JobSettings {
  return {
    commitIntervalMs: params.get("commit.interval.ms"),
    queryCommitIntervalMs: queryCommitIntervalMs(params),
    checkpointIntervalMs: params.get("checkpoint.interval.millis"),
    checkpointTimeoutMs: params.get("checkpoint.timeout.millis"),
    checkpointsRetained: params.get("checkpoint.retained"),
    recoveryRecordsMax: params.get("recovery.records.max"),
    idleTimeoutMs: params.get("window.idle.timeout.ms"),
    restartAttempts: params.get("restart.attempts"),
    logRetries: params.get("kafka.retries"),
    stopsAtStrays: params.get("wrong.partition") === "stop",
    acceptsOffset: params.get("accept.offset"),
  };
}

/** Transaction results go to the partition with the number of their input's. */
function checkPartitions({ topics, core: { partitions } }: JobContext): void {
  const { input, results } = topics;
  if (results === null || topics.partitionsOf(results) >= partitions) return;
  throw new StopError(
    `Topic ${results} has ${
      topics.partitionsOf(results)
    } partitions, its input ${input} has ${partitions}`,
    `give ${results} at least ${partitions} partitions`,
  );
}
