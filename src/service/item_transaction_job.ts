import type {
  ItemTransaction,
  Query,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "../types/mod.ts";
import type { Parameters, ParameterTable } from "../parameters/parameters.ts";
import { GENERATED_SUFFIX } from "./job_names.ts";
import { Pipeline } from "./pipeline.ts";
import {
  checkDifferent,
  type InputStream,
  type LogKind,
  OutputStream,
  topic,
  topicsOf,
  type Wiring,
} from "./streams.ts";

/** A class of jobs: what run starts. */
export interface JobClass {
  readonly prototype: ItemTransactionJob;
  new (): ItemTransactionJob;
  /** Of the class; the default of jobName. */
  readonly name: string;
  readonly jobName: string | null;
  readonly parameters: ParameterTable;
}

/**
 * The item management job: validates and executes transactions, answers queries, sums up every item per
 * window. Subclasses say where its streams come from and go to (docs/jobs.md).
 */
export abstract class ItemTransactionJob {
  /**
   * Parameters of the subclass's own, by their keys: read, checked and shown by --help like the others.
   *
   * @example
   * static override readonly parameters = { "shop.limit": integer(1, 100, 10, "orders at a time") };
   */
  static readonly parameters: ParameterTable = {};

  /** Under which checkpoints are kept; by default the name of the class, which must not change then. */
  static readonly jobName: string | null = null;

  /** Where the topics are: in this process, or in Apache Kafka. By default as the parameter log says. */
  log(params: Parameters): LogKind {
    return params.get("log");
  }

  /** Where transactions come from. */
  abstract readTransactionStream(params: Parameters): InputStream<ItemTransaction>;

  /** Where queries come from; by default posted over HTTP, or written to the topic queries. */
  readQueryStream(_params: Parameters): InputStream<Query> {
    return topic(DEFAULT_QUERIES);
  }

  /** Adds sinks for what became of transactions; without one, results are not even written. */
  writeTransactionResults(_params: Parameters, _results: OutputStream<TransactionResult>): void {}

  /** Adds sinks for the answers to queries. */
  writeQueryOutput(_params: Parameters, _results: OutputStream<QueryResult>): void {}

  /** Adds sinks for the summaries that pass the alert filter. */
  writeTransactionSummaries(
    _params: Parameters,
    _summaries: OutputStream<TransactionSummary>,
  ): void {}

  /** Topic for invalid records; null = they are counted and logged. */
  deadLetterTopic(_params: Parameters): string | null {
    return null;
  }

  /** Wires the job; nothing runs before `execute`. */
  createApplicationPipeline(params: Parameters): Pipeline {
    const log = this.log(params);
    const internal = log === "kafka" ? `${params.get("kafka.group.id")}-` : "internal-";
    const wiring = {
      log,
      transactions: { topic: DEFAULT_TRANSACTIONS, ...this.readTransactionStream(params) },
      queries: { topic: DEFAULT_QUERIES, ...this.readQueryStream(params) },
      results: new OutputStream<TransactionResult>("transaction-results", internal),
      queryResults: new OutputStream<QueryResult>("query-results", internal),
      summaries: new OutputStream<TransactionSummary>("summaries", internal),
      deadLetterTopic: this.deadLetterTopic(params),
    };
    this.writeTransactionResults(params, wiring.results);
    this.writeQueryOutput(params, wiring.queryResults);
    this.writeTransactionSummaries(params, wiring.summaries);
    if (log === "embedded") checkDifferent(topicsOf(wiring)); // Kafka's log names the parameters
    const { jobName, name } = this.constructor as unknown as JobClass;
    return new Pipeline(params, wiring, generatedName(jobName ?? name, wiring));
  }
}

const DEFAULT_TRANSACTIONS = "transactions";
const DEFAULT_QUERIES = "queries";

/** Generated transactions have a stock, and so checkpoints, of their own. */
function generatedName(name: string, { transactions }: Pick<Wiring, "transactions">): string {
  return name + (transactions.generated ? GENERATED_SUFFIX : "");
}
