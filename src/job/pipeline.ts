import { EmbeddedLog, type Log } from "../log/mod.ts";
import { CheckpointStore, PARTITIONERS } from "../state/mod.ts";
import { codecOf, Format } from "../types/mod.ts";
import type { CoreOptions } from "../wasm/mod.ts";
import { StopError } from "./errors.ts";
import { Gateway } from "./gateway.ts";
import type { JobContext } from "./job_context.ts";
import { Owners } from "./worker/owners.ts";
import type { Parameters } from "./parameters.ts";
import { QueryWorker } from "./query_worker.ts";
import { Retention } from "./retention.ts";
import { RunningJob } from "./running_job.ts";
import type { Wiring } from "./streams.ts";
import { MACHINE, type Surroundings } from "./surroundings.ts";
import { startWorkers } from "./start_workers.ts";
import type { JobSettings } from "./worker/worker_context.ts";

/** Largest output batch of a log that says nothing else: a value of Deno KV holds one. */
const BATCH_BYTES_MAX = 65_000;

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
    const { clock, chance } = surroundings;
    const kv = await surroundings.openKv(params.get("state.kv"));
    const store = await CheckpointStore.open(kv, { job: name, clock, chance });
    const user = { hasCheckpoints: async () => (await store.partitions()).length > 0 };
    const { source } = wiring.transactions;
    const transactionLog = await source.open(user);
    const queryLog = wiring.queries.source === source
      ? transactionLog
      : await wiring.queries.source.open(user);
    const batchBytesMax = source.batchBytesMax ?? BATCH_BYTES_MAX;
    const partitions = transactionLog.partitionsOf(wiring.transactions.topic);
    const core = { ...coreOptionsOf(params, partitions), ...areasOf(batchBytesMax) };
    const codec = codecOf(core.format);
    const owners = new Owners(core.partitioner, partitions);
    const gateway = transactionLog instanceof EmbeddedLog
      ? new Gateway({
        log: transactionLog,
        transactionTopic: wiring.transactions.topic,
        queryTopic: wiring.queries.topic,
        codec,
        owners,
        clock,
      })
      : null;
    const context: JobContext = {
      settings: settingsOf(params),
      wiring,
      transactionLog,
      queryLog,
      store,
      codec,
      topics: {
        input: wiring.transactions.topic,
        results: wiring.results.topic,
        summaries: wiring.summaries.topic,
        deadLetters: wiring.deadLetterTopic,
        partitionsOf: (topic) => transactionLog.partitionsOf(topic),
        batchBytesMax,
      },
      owners,
      clock,
      chance,
      queryWaiters: gateway?.queryWaiters ?? null,
    };
    checkPartitions(context, transactionLog, partitions);
    const queries = new QueryWorker(context);
    const retention = transactionLog instanceof EmbeddedLog
      ? new Retention(
        transactionLog,
        context,
        params.get("log.retention.ms"),
        (partition) => queries.processors[partition]?.acknowledged.offset ?? 0,
      )
      : null;
    const workers = startWorkers(context, {
      job: name,
      core,
      threads: surroundings.threads ? threadsOf(params, partitions) : 0,
      logs: surroundings.logs ?? false,
      watchdogMs: params.get("watchdog.timeout.ms"),
      onOutcomes: gateway
        ? (partition, first, outcomes) =>
          gateway.transactionWaiters.deliver(partition, first, outcomes)
        : null,
    });
    return new RunningJob(name, context, gateway, workers, queries, retention, async () => {
      await wiring.transactions.source.close();
      if (queryLog !== transactionLog) await wiring.queries.source.close();
      store.close();
    });
  }
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

/** Options of a core; the partition is replaced by whoever folds it. */
function coreOptionsOf(params: Parameters, partitions: number): CoreOptions {
  return {
    format: params.get("format") === "json" ? Format.Json : Format.Text,
    partitioner: PARTITIONERS[params.get("transaction.partitioner")],
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
