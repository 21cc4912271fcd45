import {
  EmbeddedLog,
  type EmbeddedLogOptions,
  LogFormatError,
  type LogSource,
  type Restoration,
  type RestoredFrom,
} from "../log/mod.ts";
import type {
  ItemTransaction,
  Query,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "../types/mod.ts";
import { type FileDisk, MissingFileError, openWatchedKv } from "../kv/mod.ts";
import { StopError } from "../log/mod.ts";
import { GENERATED_TOPIC, generatedStream } from "../service/generated_stream.ts";
import { ItemTransactionJob } from "../service/item_transaction_job.ts";
import type { Parameters } from "../parameters/parameters.ts";
import { MACHINE, type Surroundings } from "../service/surroundings.ts";
import type { InputStream, OutputStream } from "../service/streams.ts";

/** Topics of the embedded log. */
export const EMBEDDED_TOPICS = {
  transactions: "transactions",
  queries: "queries",
  results: "transaction-results",
  queryResults: "query-results",
  summaries: "summaries",
  deadLetters: "dead-letters",
} as const;

/** The default job: reads and writes the embedded log, which is fed by the HTTP API or by the generator. */
export class EmbeddedItemTransactionJob extends ItemTransactionJob {
  readonly #surroundings: Surroundings;
  #source: LogSource<EmbeddedLog> | null = null;

  constructor(surroundings: Surroundings = MACHINE) {
    super();
    this.#surroundings = surroundings;
  }

  #log(params: Parameters): LogSource<EmbeddedLog> {
    return this.#source ??= embeddedLogSource(params, this.#surroundings);
  }

  override readTransactionStream(params: Parameters): InputStream<ItemTransaction> {
    if (params.get("generate.transactions")) {
      return generatedStream(params, this.#log(params), this.#surroundings.clock);
    }
    return { source: this.#log(params), topic: EMBEDDED_TOPICS.transactions };
  }

  override readQueryStream(params: Parameters): InputStream<Query> {
    return { source: this.#log(params), topic: EMBEDDED_TOPICS.queries };
  }

  override writeTransactionResults(
    params: Parameters,
    results: OutputStream<TransactionResult>,
  ): void {
    if (params.get("generate.transactions") && !params.get("generate.results")) return;
    results.addSink({ kind: "topic", topic: EMBEDDED_TOPICS.results });
  }

  override writeQueryOutput(_: Parameters, results: OutputStream<QueryResult>): void {
    results.addSink({ kind: "topic", topic: EMBEDDED_TOPICS.queryResults });
  }

  override writeTransactionSummaries(
    _: Parameters,
    summaries: OutputStream<TransactionSummary>,
  ): void {
    summaries.addSink({ kind: "topic", topic: EMBEDDED_TOPICS.summaries });
  }

  override deadLetterTopic(): string {
    return EMBEDDED_TOPICS.deadLetters;
  }
}

/** The topics of an embedded log, and which of them are inputs. */
export function embeddedTopics(
  partitions: number,
): Pick<EmbeddedLogOptions, "topics" | "inputs"> {
  const topics = [...Object.values(EMBEDDED_TOPICS), GENERATED_TOPIC];
  return {
    topics: Object.fromEntries(topics.map((topic) => [topic, partitions])),
    inputs: [EMBEDDED_TOPICS.transactions, EMBEDDED_TOPICS.queries, GENERATED_TOPIC],
  };
}

/** Opens the embedded log that parameters describe. */
export function embeddedLogSource(
  params: Parameters,
  surroundings: Surroundings,
): LogSource<EmbeddedLog> {
  let opened: Promise<EmbeddedLog> | null = null;
  const partitions = params.get("log.partitions");
  const open = async (disk: FileDisk | null, restoration: Restoration | null) => {
    const { clock, chance } = surroundings;
    const path = params.get("log.kv");
    const timeoutMs = params.get("watchdog.timeout.ms");
    return await openWatchedKv(
      surroundings,
      { path, timeoutMs, disk },
      (kv) =>
        EmbeddedLog.open(kv, {
          ...embeddedTopics(partitions),
          ...(restoration ? { restore: { topic: EMBEDDED_TOPICS.transactions, restoration } } : {}),
          computed: [GENERATED_TOPIC],
          refusal: () => disk?.refusal ?? null,
          clock,
          chance,
        }),
    ).catch((error) => {
      if (!(error instanceof LogFormatError)) throw error;
      throw new StopError(error.message, `the log is ${path}`, { cause: error });
    });
  };
  // Several streams come from the one log.
  return {
    open: ({ logDisk }, restoration) => opened ??= open(logDisk, restoration),
    existing: () => restoredLog(params, surroundings),
    moveAway: async () => await surroundings.moveKv?.(params.get("log.kv")) ?? null,
    close: async () => {
      const log = await opened?.catch(() => null);
      opened = null;
      await log?.close();
    },
  };
}

/** What the log in the file was created from; null = there is none. */
async function restoredLog(
  params: Parameters,
  surroundings: Surroundings,
): Promise<{ restoredFrom: RestoredFrom | null } | null> {
  const file = {
    path: params.get("log.kv"),
    timeoutMs: params.get("watchdog.timeout.ms"),
    mustExist: true,
  };
  try {
    let found: { restoredFrom: RestoredFrom | null } | null = null;
    const kv = await openWatchedKv(surroundings, file, async (kv) => {
      found = await EmbeddedLog.look(kv);
      return kv;
    });
    kv.close();
    return found;
  } catch (error) {
    if (error instanceof MissingFileError) return null;
    throw error;
  }
}
