import { appendable, computed, type Log } from "../log/mod.ts";
import { openWatchedKv } from "../kv/mod.ts";
import {
  CheckpointStore,
  type FoldParameters,
  foldParametersOf,
  PARTITIONERS,
} from "../state/mod.ts";
import { codecOf } from "../types/mod.ts";
import type { CoreOptions } from "../wasm/mod.ts";
import { Conditions } from "../engine/conditions.ts";
import { Disk } from "./disk.ts";
import { StopError } from "../log/mod.ts";
import { Gateway } from "./gateway.ts";
import { generateQueries } from "./generated_stream.ts";
import type { JobContext } from "./job_context.ts";
import { Owners } from "../engine/owners.ts";
import { formatOf, type Parameters, partitionerNameOf } from "../parameters/parameters.ts";
import { QueryWorker } from "./query_worker.ts";
import { adoptBase, newestCheckpoints, openRestored, partitionerOfCheckpoints } from "./restore.ts";
import { Retention } from "./retention.ts";
import { RunningJob } from "./running_job.ts";
import { openSinks } from "./sinks.ts";
import type { Wiring } from "./streams.ts";
import { MACHINE, type Surroundings } from "./surroundings.ts";
import { tellThroughput } from "./throughput.ts";
import { StateMemory, warnOfMemory } from "../engine/state_memory.ts";
import { startWorkers } from "./start_workers.ts";
import type { JobSettings } from "../engine/worker_context.ts";

/** More than a block of records may put out at once. */
const OUTPUT_ROOM_BYTES = 128 * 1024;

/** A wired job; runs when it is executed. */
export class Pipeline {
  constructor(readonly params: Parameters, readonly wiring: Wiring) {}

  /** Runs the job until it is stopped by its signal. */
  async execute(name: string, stop?: AbortSignal): Promise<void> {
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
  async start(name: string, surroundings: Surroundings = MACHINE): Promise<RunningJob> {
    const { params, wiring } = this;
    const { clock, chance, conditions = new Conditions(clock) } = surroundings;
    const restoring = params.get("restore") !== "";
    const stateDisk = this.#disk("state", surroundings, conditions);
    const logDisk = this.#disk("log", surroundings, conditions);
    const store = await openWatchedKv(
      surroundings,
      {
        path: params.get("state.kv"),
        timeoutMs: params.get("watchdog.timeout.ms"),
        mustExist: restoring,
        disk: stateDisk,
      },
      (kv) => CheckpointStore.open(kv, { job: name, clock, chance }),
    );
    const { transactionLog, queryLog } = await this.#openLogs(store, logDisk, restoring)
      .catch((error) => {
        store.close();
        throw error;
      });
    const { batchBytesMax, deadLetterBytesMax } = transactionLog.limits;
    const partitions = transactionLog.partitionsOf(wiring.transactions.topic);
    const found = transactionLog.partitioner ?? partitionerNameOf(params);
    const known = params.with({ "transaction.partitioner": found });
    const core = { ...coreOptionsOf(known, partitions), ...areasOf(batchBytesMax) };
    const codec = codecOf(core.format);
    const { partitioner } = core;
    const owners = new Owners({ partitioner, partitions, log: transactionLog, clock });
    const memory = StateMemory.of(partitions, memoryBytesMax(params, surroundings));
    const embedded = appendable(queryLog);
    const gateway = embedded
      ? new Gateway({
        log: embedded,
        transactionTopic: transactionLog === embedded ? wiring.transactions.topic : null,
        queryTopic: wiring.queries.topic,
        codec,
        owners,
        clock,
        appendTimeoutMs: params.get("append.timeout.ms"),
        memory,
        conditions: conditions.reporter("gateway"),
      })
      : null;
    const sinks = await openSinks({
      wiring,
      transactionLog: outputLogOf(transactionLog),
      queryLog,
      codec,
      params,
      conditions,
      clock,
      chance,
    }).catch(async (error) => {
      await this.#close(store, transactionLog, queryLog);
      throw error;
    });
    const context: JobContext = {
      settings: settingsOf(params),
      wiring,
      transactionLog,
      queryLog,
      store,
      codec,
      topics: {
        input: wiring.transactions.topic,
        results: wiring.results.writtenTopic,
        summaries: wiring.summaries.writtenTopic,
        deadLetters: wiring.deadLetterTopic,
        partitionsOf: (topic) => transactionLog.partitionsOf(topic),
        batchBytesMax,
        deadLetterBytesMax,
        discardResults: wiring.results.sinks.length === 0,
      },
      queryResults: wiring.queryResults.writtenTopic,
      sinks,
      sinkDrainMs: params.get("sink.drain.timeout.ms"),
      owners,
      conditions,
      disks: embedded ? [logDisk, stateDisk] : [stateDisk],
      memory,
      clock,
      chance,
      queryWaiters: gateway?.queryWaiters ?? null,
    };
    checkPartitions(context, transactionLog, partitions);
    const queries = new QueryWorker(context);
    const retention = embedded
      ? new Retention(
        embedded,
        context,
        {
          ms: params.get("log.retention.ms"),
          bytes: params.get("log.retention.bytes"),
          sinkBytes: params.get("sink.retention.bytes"),
        },
        (partition) => queries.processors[partition]?.acknowledged.offset ?? 0,
      )
      : null;
    const workers = startWorkers(context, {
      job: name,
      core,
      threads: surroundings.threads ? threadsOf(params, partitions) : 0,
      logs: surroundings.logs ?? null,
      onProgress: surroundings.onProgress,
      watchdogMs: params.get("watchdog.timeout.ms"),
      holdsBack: !gateway || transactionLog !== embedded,
      onOutcomes: gateway && transactionLog === embedded
        ? (partition, first, outcomes) =>
          gateway.transactionWaiters.deliver(partition, first, outcomes)
        : null,
    });
    const generated = computed(transactionLog) !== null;
    const figures = () => workers.map((worker) => worker.figures());
    const throughput = {
      figures,
      clock,
      count: generated ? params.get("generate.count") : 0,
      onProgress: surroundings.onProgress ?? (() => {}),
    };
    const companions = [
      (stop: AbortSignal) => stateDisk.run(stop),
      ...(embedded ? [(stop: AbortSignal) => logDisk.run(stop, () => embedded.probe())] : []),
      ...(retention ? [(stop: AbortSignal) => retention.run(stop)] : []),
      (stop: AbortSignal) => warnOfMemory(memory, conditions.reporter("job"), clock, stop),
      ...(transactionLog.reportsThroughput
        ? [(stop: AbortSignal) => tellThroughput(throughput, stop)]
        : []),
      ...(gateway && params.get("generate.queries")
        ? [(stop: AbortSignal) => generateQueries(gateway, params, surroundings, stop)]
        : []),
      (stop: AbortSignal) => wiring.transactions.feed?.(transactionLog, stop) ?? Promise.resolve(),
      (stop: AbortSignal) => wiring.queries.feed?.(queryLog, stop) ?? Promise.resolve(),
    ];
    const close = () => this.#close(store, transactionLog, queryLog);
    return new RunningJob(name, context, gateway, workers, queries, companions, close, known);
  }

  async #close(store: CheckpointStore, transactionLog: Log, queryLog: Log): Promise<void> {
    await this.wiring.transactions.source.close();
    if (queryLog !== transactionLog) await this.wiring.queries.source.close();
    store.close();
  }

  /** The disk of one of our files: without room for the log nothing new is taken. */
  #disk(file: "log" | "state", surroundings: Surroundings, conditions: Conditions): Disk {
    const { clock, freeBytes, unusedBytes } = surroundings;
    return new Disk({
      file,
      path: this.params.get(`${file}.kv`),
      bytesMin: this.params.get("disk.free.bytes.min"),
      freeBytes: freeBytes ?? null,
      ...(unusedBytes ? { unusedBytes } : {}),
      blocks: file === "log" ? "writes" : "nothing",
      conditions,
      clock,
    });
  }

  async #openLogs(
    store: CheckpointStore,
    logDisk: Disk,
    restoring: boolean,
  ): Promise<{ transactionLog: Log; queryLog: Log }> {
    const { transactions: { source }, queries } = this.wiring;
    const user = {
      logDisk,
      hasCheckpoints: async () => (await store.partitions()).length > 0,
      newestCheckpoints: (logId: string, topicId: string | null) =>
        newestCheckpoints(store, logId, topicId),
      partitionerOf: (logId: string) => partitionerOfCheckpoints(store, logId),
    };
    const transactionLog = restoring
      ? await openRestored(source, user, store, this.params)
      : await source.open(user, null);
    const { restoredFrom } = transactionLog;
    if (restoredFrom) {
      await adoptBase(store, restoredFrom).catch(async (error) => {
        await source.close();
        throw error;
      });
    }
    if (queries.source === source) return { transactionLog, queryLog: transactionLog };
    const queryLog = await queries.source.open(user, null).catch(async (error) => {
      await source.close();
      throw error;
    });
    return { transactionLog, queryLog };
  }
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
    checkpointIntervalMs: params.get("checkpoint.interval.millis"),
    checkpointTimeoutMs: params.get("checkpoint.timeout.millis"),
    checkpointsRetained: params.get("checkpoint.retained"),
    recoveryRecordsMax: params.get("recovery.records.max"),
    idleTimeoutMs: params.get("window.idle.timeout.ms"),
    restartAttempts: params.get("restart.attempts"),
    logRetries: params.get("kafka.retries"),
    stopsAtStrays: params.get("wrong.partition") === "stop",
  };
}

/** Threads that share the partitions. */
function threadsOf(params: Parameters, partitions: number): number {
  return Math.min(partitions, params.get("parallelism") || navigator.hardwareConcurrency);
}

/** Transaction results go to the partition with the number of their input's. */
function checkPartitions({ topics }: JobContext, log: Log, partitions: number): void {
  if (topics.results === null || log.partitionsOf(topics.results) >= partitions) return;
  throw new StopError(
    `Topic ${topics.results} has ${
      log.partitionsOf(topics.results)
    } partitions, its input ${topics.input} ` +
      `has ${partitions}`,
    `give ${topics.results} at least ${partitions} partitions`,
  );
}

/** Areas of a core that hold an open batch of the largest size, and room for a block of records behind it. */
function areasOf(batchBytesMax: number) {
  return {
    batchBytesMax,
    resultBytes: 2 * batchBytesMax + OUTPUT_ROOM_BYTES,
    summaryBytes: batchBytesMax + OUTPUT_ROOM_BYTES,
  };
}

/** What the state depends on, of a job with these parameters. */
export function foldParametersFor(params: Parameters, partitions: number): FoldParameters {
  return foldParametersOf(coreOptionsOf(params, partitions));
}

/** Options of a core; the partition is replaced by whoever folds it. */
function coreOptionsOf(params: Parameters, partitions: number): CoreOptions {
  return {
    format: formatOf(params),
    partitioner: PARTITIONERS[partitionerNameOf(params)],
    partition: 0,
    partitions,
    windowMs: params.get("enable.summaries") ? 60_000 * params.get("time.intervals.in.minutes") : 0,
    eventTime: params.get("event.time"),
    outOfOrderMs: params.get("watermark.out.of.orderness.ms"),
    maxAheadMs: params.get("event.time.max.ahead.ms"),
    alertTotalMin: params.get("transaction.num.min"),
    alertRateMin: params.get("transaction.failure.rate.min"),
  };
}
