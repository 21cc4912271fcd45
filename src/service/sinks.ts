// The sinks in this process, of all streams that a job puts out.

import { isConsumable, type Log, StopError } from "../log/mod.ts";
import type { Chance, Clock, Codec } from "../types/mod.ts";
import type { Conditions } from "../engine/conditions.ts";
import type { Parameters } from "../parameters/parameters.ts";
import { SinkWorker, type SinkWorkerOptions } from "./sink_worker.ts";
import type { OutputStream, Wiring } from "./streams.ts";

export interface SinksOptions {
  readonly wiring: Pick<Wiring, "results" | "queryResults" | "summaries">;
  /** Take what becomes of transactions, and of queries. */
  readonly transactionLog: Log;
  readonly queryLog: Log;
  readonly codec: Codec;
  readonly params: Parameters;
  readonly conditions: Conditions;
  readonly clock: Clock;
  readonly chance: Chance;
}

/**
 * A worker for each sink in this process; those that are new begin where their topics stand now.
 *
 * @throws {StopError} when a log has no topics that could be consumed, or two sinks have the same name
 */
export async function openSinks(options: SinksOptions): Promise<SinkWorker[]> {
  const { wiring: { results, queryResults, summaries }, codec } = options;
  const workers = [
    ...workersOf(results, options.transactionLog, (v) => codec.parseTransactionResult(v), options),
    ...workersOf(summaries, options.transactionLog, (v) => codec.parseSummary(v), options),
    ...workersOf(queryResults, options.queryLog, (v) => codec.parseQueryResult(v), options),
  ];
  for (const [name, same] of Map.groupBy(workers, (worker) => worker.name)) {
    if (same.length < 2) continue;
    throw new StopError(`${same.length} sinks have the name ${name}`, "give each another name");
  }
  for (const worker of workers) await worker.prepare();
  return workers;
}

function workersOf<T>(
  stream: OutputStream<T>,
  log: Log,
  parse: (value: string) => T,
  { params, conditions, clock, chance }: SinksOptions,
): SinkWorker[] {
  const topic = stream.writtenTopic;
  if (stream.processSinks.length === 0 || topic === null) return [];
  if (!isConsumable(log)) {
    throw new StopError(
      `Stream ${stream.name} has a sink in the process, but its log has no topics that can be consumed`,
      "take another log, or leave the sink away",
    );
  }
  return stream.processSinks.map((sink) =>
    new SinkWorker({
      sink,
      topic,
      log,
      parse,
      clock,
      chance,
      conditions: conditions.reporter(`sink ${sink.name}`),
      commitIntervalMs: params.get("commit.interval.ms"),
      attempts: params.get("sink.attempts"),
      hangMs: params.get("watchdog.timeout.ms"),
      restartAttempts: params.get("restart.attempts"),
      logRetries: params.get("kafka.retries"),
    } as SinkWorkerOptions)
  );
}
