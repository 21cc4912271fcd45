import { computed, outcomesOf, sharingOf } from "../log/mod.ts";
import { foldParametersOf } from "../state/mod.ts";
import { type CoreOptions, warmUp } from "../wasm/mod.ts";
import type { JobContext } from "./job_context.ts";
import type { JobWorker } from "../engine/job_worker.ts";
import type { LogFacts } from "../engine/threads/remote_log.ts";
import type { OnProgress } from "../engine/progress.ts";
import type { LogOptions } from "../engine/logging.ts";
import { type EarlyThreads, workerName } from "../engine/threads/early_threads.ts";
import { ThreadWorker } from "../engine/threads/thread_worker.ts";
import { TransactionWorker } from "../engine/worker.ts";

export interface WorkerOptions {
  /** Name of the job, under which the store keeps its checkpoints. */
  readonly job: string;
  readonly core: CoreOptions;
  /** Threads that share the partitions; 0 = all of them in this thread. */
  readonly threads: number;
  /** How threads write logs; null = not at all. */
  readonly logs: LogOptions | null;
  readonly watchdogMs: number;
  /** New items are held back in the workers when memory is full, because nobody does it before. */
  readonly holdsBack: boolean;
  readonly onProgress: OnProgress | undefined;
  /** Threads that were started before; null = there are none. */
  readonly early: EarlyThreads | null;
}

/** Builds the workers that fold the transactions of a job. */
export function startWorkers(context: JobContext, options: WorkerOptions): JobWorker[] {
  const { core, threads } = options;
  if (threads > 0) {
    return Array.from({ length: threads }, (_, n) => threadWorker(context, options, n));
  }
  warmUp(core);
  const { settings, transactionLog, store, topics, clock, chance, owners, conditions } = context;
  const { tracing } = context;
  return [
    new TransactionWorker({
      settings,
      log: transactionLog,
      store,
      parameters: foldParametersOf(core),
      coreOptions: (partition) => ({ ...core, partition }),
      topics,
      partitionsAreGiven: sharingOf(transactionLog) !== null,
      conditions,
      memory: context.memory,
      holdsBack: options.holdsBack,
      clock,
      chance,
      tracing,
      onProgress: options.onProgress,
      onOwner: (partition, owner) => owners.set(partition, owner),
      onOffline: (partition, reason) => owners.setOffline(partition, reason),
    }),
  ];
}

function threadWorker(
  context: JobContext,
  { job, core, threads, logs, watchdogMs, holdsBack, onProgress, early }: WorkerOptions,
  n: number,
): JobWorker {
  const { settings, transactionLog, store, topics, clock, chance, owners } = context;
  const { partitionsOf, ...names } = topics;
  const ownLog = transactionLog.threads;
  const generated = computed(transactionLog);
  const outputs = [topics.results, topics.summaries, topics.deadLetters].filter((t) => t !== null);
  const partitions = Array.from({ length: partitionsOf(topics.input) }, (_, p) => p)
    .filter((p) => p % threads === n);
  return new ThreadWorker({
    name: workerName(n),
    spec: {
      job,
      partitions,
      partitionsAreGiven: sharingOf(transactionLog) !== null,
      worker: n,
      settings,
      core,
      topics: names,
      log: ownLog?.facts ?? {
        id: transactionLog.id,
        topicId: transactionLog.topicId,
        restoredFrom: transactionLog.restoredFrom,
        partitions: Object.fromEntries([topics.input, ...outputs].map((t) => [t, partitionsOf(t)])),
        generator: generated?.computedFrom ?? null,
        outcomes: outcomesOf(transactionLog) !== null,
      } satisfies LogFacts,
      memory: context.memory.shared,
      memoryBytesMax: context.memory.bytesMax,
      holdsBack,
      logs,
    },
    log: generated?.beneath ?? transactionLog,
    ...(ownLog ? { ownLog } : {}),
    store,
    conditions: context.conditions,
    clock,
    chance,
    watchdogMs,
    ...(early ? { startThread: early.take } : {}),
    onProgress,
    onOwner: (partition, owner) => owners.set(partition, owner, n),
    onOffline: (partition, reason) => owners.setOffline(partition, reason),
  });
}
