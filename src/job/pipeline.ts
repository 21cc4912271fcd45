import { EmbeddedLog, type Log } from "../log/mod.ts";
import { CheckpointStore, foldParametersOf, PARTITIONERS } from "../state/mod.ts";
import { codecOf, Format } from "../types/mod.ts";
import { type CoreOptions, warmUp } from "../wasm/mod.ts";
import { StopError } from "./errors.ts";
import { Gateway } from "./gateway.ts";
import type { JobContext } from "./job_context.ts";
import { Owners } from "./owners.ts";
import type { Parameters } from "./parameters.ts";
import { QueryWorker } from "./query_worker.ts";
import { Retention } from "./retention.ts";
import { RunningJob } from "./running_job.ts";
import type { Wiring } from "./streams.ts";
import { MACHINE, type Surroundings } from "./surroundings.ts";
import { TransactionWorker } from "./transaction_worker.ts";

/** Record batches of outputs have at most so many bytes: a value of Deno KV holds one. */
const BATCH_BYTES_MAX = 65_000;

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
    const transactionLog = await wiring.transactions.source.open();
    const queryLog = wiring.queries.source === wiring.transactions.source
      ? transactionLog
      : await wiring.queries.source.open();
    const store = await CheckpointStore.open(await surroundings.openKv(params.get("state.kv")), {
      job: name,
      clock,
      chance,
    });
    const partitions = transactionLog.partitionsOf(wiring.transactions.topic);
    const coreOptions = (partition: number) => coreOptionsOf(params, partition, partitions);
    const codec = codecOf(coreOptions(0).format);
    const owners = new Owners(coreOptions(0).partitioner, partitions);
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
      settings: {
        commitIntervalMs: params.get("commit.interval.ms"),
        checkpointIntervalMs: params.get("checkpoint.interval.millis"),
        checkpointTimeoutMs: params.get("checkpoint.timeout.millis"),
        checkpointsRetained: params.get("checkpoint.retained"),
        recoveryRecordsMax: params.get("recovery.records.max"),
        idleTimeoutMs: params.get("window.idle.timeout.ms"),
        restartAttempts: params.get("restart.attempts"),
      },
      wiring,
      transactionLog,
      queryLog,
      store,
      codec,
      parameters: foldParametersOf(coreOptions(0)),
      coreOptions,
      topics: {
        input: wiring.transactions.topic,
        results: wiring.results.topic,
        summaries: wiring.summaries.topic,
        deadLetters: wiring.deadLetterTopic,
        partitionsOf: (topic) => transactionLog.partitionsOf(topic),
        batchBytesMax: BATCH_BYTES_MAX,
      },
      owners,
      clock,
      chance,
      transactionWaiters: gateway?.transactionWaiters ?? null,
      queryWaiters: gateway?.queryWaiters ?? null,
    };
    checkPartitions(context, transactionLog, partitions);
    warmUp(coreOptions(0));
    const queries = new QueryWorker(context);
    const retention = transactionLog instanceof EmbeddedLog
      ? new Retention(
        transactionLog,
        context,
        params.get("log.retention.ms"),
        (partition) => queries.processors[partition]?.acknowledged.offset ?? 0,
      )
      : null;
    const transactions = new TransactionWorker(context);
    return new RunningJob(name, context, gateway, transactions, queries, retention, async () => {
      await wiring.transactions.source.close();
      if (queryLog !== transactionLog) await wiring.queries.source.close();
      store.close();
    });
  }
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

function coreOptionsOf(params: Parameters, partition: number, partitions: number): CoreOptions {
  return {
    format: params.get("format") === "json" ? Format.Json : Format.Text,
    partitioner: PARTITIONERS[params.get("transaction.partitioner")],
    partition,
    partitions,
    windowMs: params.get("enable.summaries") ? 60_000 * params.get("time.intervals.in.minutes") : 0,
    eventTime: params.get("event.time"),
    outOfOrderMs: params.get("watermark.out.of.orderness.ms"),
    maxAheadMs: params.get("event.time.max.ahead.ms"),
    alertTotalMin: params.get("transaction.num.min"),
    alertRateMin: params.get("transaction.failure.rate.min"),
    batchBytesMax: BATCH_BYTES_MAX,
  };
}
