// A world for a job: logs and checkpoints in memory that outlive its processes, a clock that a test
// moves, and faults as asked.

import { assertEquals } from "@std/assert";
import { EmbeddedItemTransactionJob } from "../../src/jobs/mod.ts";
import { formatOf, type ParameterKey, Parameters } from "../../src/parameters/mod.ts";
import type { OnProgress } from "../../src/engine/mod.ts";
import {
  embeddedLogOpener,
  type LogOpener,
  Pipeline,
  type ProcessSink,
  type RunningJob,
  topicsOf,
} from "../../src/service/mod.ts";
import { generatorOpener } from "../../src/service/generated_stream.ts";
import { EmbeddedLog, type Log } from "../../src/log/mod.ts";
import {
  type Chance,
  codecOf,
  decodeBatch,
  decodeUtf8,
  encodeUtf8,
  type LogRecord,
  Partitioner,
  type Tracing,
  type TransactionResult,
} from "../../src/types/mod.ts";
import { type Fault, FaultKv } from "../kv/fault_kv.ts";
import { TransactionWorker } from "../../src/engine/worker.ts";
import { Model } from "../model/model.ts";
import { Random } from "../../tools/kit/random.ts";
import { ManualClock } from "./manual_clock.ts";

export const PARTITIONS = 2;

export type Plan = (file: "log" | "state", commit: number) => Fault | null;

export interface StartOptions {
  readonly flags?: Partial<Record<ParameterKey, string>>;
  /** Name of the job. */
  readonly name?: string;
  /** Wait until the job is ready (default). */
  readonly wait?: boolean;
  /** Puts something between the job and its log. */
  readonly wrapLog?: (log: EmbeddedLog) => Log;
  readonly onProgress?: OnProgress;
  /** Free bytes of the disk of a file. */
  readonly freeBytes?: (path: string) => Promise<number>;
  /** Bytes within a file that are free. */
  readonly unusedBytes?: (path: string) => number;
  /** A further sink of results, in the process. */
  readonly sink?: ProcessSink<TransactionResult>;
  readonly tracing?: Tracing;
}

/** One life of the process. */
export interface Life {
  readonly job: RunningJob;
  /** The one worker: worlds use no threads. */
  readonly worker: TransactionWorker;
  readonly log: EmbeddedLog;
  readonly logKv: FaultKv;
  readonly stateKv: FaultKv;
  /** Ends it as kill -9 would: nothing that it does afterwards reaches the files. */
  kill(): void;
}

export class World {
  static #opened = 0;
  readonly clock = new ManualClock();
  readonly #random = new Random(World.#opened++);
  /** Differs from world to world: ids are drawn by it. */
  readonly chance: Chance = () => this.#random.below(2 ** 32) / 2 ** 32;

  private constructor(
    readonly logKv: Deno.Kv,
    readonly stateKv: Deno.Kv,
    readonly flags: Partial<Record<ParameterKey, string>>,
  ) {}

  static async open(flags: Partial<Record<ParameterKey, string>> = {}): Promise<World> {
    return new World(await Deno.openKv(":memory:"), await Deno.openKv(":memory:"), {
      "log.partitions": String(PARTITIONS),
      "checkpoint.interval.millis": "1000",
      "transaction.num.min": "0",
      "transaction.failure.rate.min": "0",
      "window.idle.timeout.ms": "86400000",
      "idempotency.window.ms": "0",
      ...flags,
    });
  }

  /** Starts the job; waits until it is ready unless asked otherwise. */
  async start(
    plan: Plan = () => null,
    {
      flags = {},
      name = "test",
      wait = true,
      wrapLog = (log: EmbeddedLog): Log => log,
      onProgress = () => {},
      freeBytes,
      unusedBytes,
      sink,
      tracing,
    }: StartOptions = {},
  ): Promise<Life> {
    const logKv = new FaultKv(this.logKv, (n) => plan("log", n));
    const stateKv = new FaultKv(this.stateKv, (n) => plan("state", n));
    let log: EmbeddedLog | null = null;
    const kill = () => void (logKv.dead = stateKv.dead = true);
    // A process dies as a whole.
    for (const kv of [logKv, stateKv]) kv.onDeath = kill;
    const surroundings = {
      clock: this.clock,
      chance: this.chance,
      onProgress,
      ...(freeBytes ? { freeBytes } : {}),
      ...(unusedBytes ? { unusedBytes } : {}),
      ...(tracing ? { tracing } : {}),
      openKv: (path: string) => Promise.resolve(path.includes("log") ? logKv : stateKv),
    };
    const params = Parameters.of({ ...this.flags, ...flags });
    const wired = new EmbeddedItemTransactionJob().createApplicationPipeline(params).wiring;
    if (sink) wired.results.addSink(sink);
    const generated = wired.transactions.generated === true;
    const topics = topicsOf(wired);
    const own = embeddedLogOpener({ kind: "embedded", params, topics, generated, surroundings });
    const above = generated ? generatorOpener(params, own, this.clock) : own;
    const opener: LogOpener = {
      ...above,
      open: async (user, restoration) =>
        wrapLog(log = await above.open(user, restoration) as EmbeddedLog),
    };
    const pipeline = new Pipeline(params, {
      ...wired,
      transactions: { ...wired.transactions, opener },
      queries: { ...wired.queries, opener: generated ? own : opener },
    });
    const job = await this.clock.run(pipeline.start(name, surroundings), "the job starts");
    if (wait) await this.clock.until(() => job.isReady || job.failure !== null, "the job is ready");
    const worker = job.workers[0] as TransactionWorker;
    return { job, worker, log: log!, logKv, stateKv, kill };
  }

  /** Stops a job in good order. */
  async stop({ job }: Life): Promise<void> {
    await this.clock.run(job.stop(), "the job stops");
  }

  /** All records of a topic that a reader sees: those below its end. */
  async read(topic: string, partition: number): Promise<LogRecord[]> {
    const { value: end } = await this.logKv.get<number>(["end", topic, partition]);
    const batches = this.logKv.list<Uint8Array>({
      prefix: ["batch", topic, partition],
      end: ["batch", topic, partition, end ?? 0],
    });
    const records: LogRecord[] = [];
    for await (const { value } of batches) records.push(...decodeBatch(value));
    return records;
  }

  async values(topic: string, partition: number): Promise<string[]> {
    return (await this.read(topic, partition)).map((r) => decodeUtf8(r.value!)!);
  }

  /**
   * Fails unless every input record has exactly one result or dead letter, in order, and all results
   * are those of the model. Returns the models.
   *
   * @param before by partition: a model of what was there before the log; it is folded on
   */
  async assertExactlyOnce(before: readonly Model[] = []): Promise<Model[]> {
    const models: Model[] = [];
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const model = before[partition] ?? new Model(this.modelOptions(partition));
      for (const list of [model.results, model.deadLetters, model.summaries]) list.length = 0;
      for (const record of await this.read("transactions", partition)) model.fold(record);
      assertEquals(
        await this.values("transaction-results", partition),
        model.results.map((r) => r.value),
        `results of partition ${partition}`,
      );
      assertEquals(
        (await this.read("dead-letters", partition)).length,
        model.deadLetters.length,
        `dead letters of partition ${partition}`,
      );
      // All windows that the log closed were fired, each once.
      assertEquals(
        (await this.values("summaries", partition)).toSorted(),
        model.summaries.map((s) => codecOf(model.options.format).formatSummary(s.summary))
          .toSorted(),
        `summaries of partition ${partition}`,
      );
      models.push(model);
    }
    return models;
  }

  modelOptions(partition: number) {
    const params = Parameters.of(this.flags);
    const windowMs = params.get("idempotency.window.ms");
    return {
      format: formatOf(params),
      partitioner: Partitioner.Murmur2,
      partition,
      partitions: PARTITIONS,
      windowMs: params.get("enable.summaries")
        ? 60_000 * params.get("time.intervals.in.minutes")
        : 0,
      eventTime: params.get("event.time"),
      outOfOrderMs: params.get("watermark.out.of.orderness.ms"),
      maxAheadMs: params.get("event.time.max.ahead.ms"),
      alertTotalMin: params.get("transaction.num.min"),
      alertRateMin: params.get("transaction.failure.rate.min"),
      remember: windowMs === 0 || windowMs === "auto" ? undefined : {
        windowMs,
        max: params.get("idempotency.transactions.max"),
        secret: null,
      },
    };
  }

  close(): void {
    this.logKv.close();
    this.stateKv.close();
  }
}

/** A transaction of text format as a record of the log. */
export function line(id: number, itemId: string, quantity: number, timestamp: number): {
  itemId: string;
  record: { timestamp: number; key: Uint8Array; value: Uint8Array };
} {
  const value = encodeUtf8(`${id}\t${timestamp}\t${itemId}\t${quantity}`);
  return { itemId, record: { timestamp, key: encodeUtf8(itemId), value } };
}
