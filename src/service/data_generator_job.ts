import type { ItemTransaction, Query } from "../types/mod.ts";
import type { Parameters, ParameterTable } from "../parameters/parameters.ts";
import { checkDifferent, OutputStream } from "./streams.ts";

/** A class of generators: what run starts. */
export interface GeneratorClass {
  readonly prototype: DataGeneratorJob;
  new (): DataGeneratorJob;
  /** Of the class; the default of jobName. */
  readonly name: string;
  readonly jobName: string | null;
  readonly parameters: ParameterTable;
}

/** Where what is generated goes. */
export interface FilledTopics {
  readonly transactions: string;
  /** Null: none are generated. */
  readonly queries: string | null;
}

/**
 * Fills topics of Kafka with generated records, and executes nothing: it has no state, and joins no group. The
 * parameters of the generator decide the records; subclasses say where they go (docs/jobs.md).
 */
export abstract class DataGeneratorJob {
  /** Parameters of the subclass's own, as those of ItemTransactionJob. */
  static readonly parameters: ParameterTable = {};

  /** How it is called; by default by the name of the class. */
  static readonly jobName: string | null = null;

  /** Adds the topic that generated transactions go to. */
  abstract writeTransactions(params: Parameters, transactions: OutputStream<ItemTransaction>): void;

  /** Adds the topic that queries of random items go to; without one none are made. */
  writeQueries(_params: Parameters, _queries: OutputStream<Query>): void {}

  /**
   * Where its records go, as its methods say.
   *
   * @throws {ParameterError} when both streams go to one topic
   * @throws {Error} when transactions have no topic, or a stream has a sink of another kind
   */
  filledTopics(params: Parameters): FilledTopics {
    const transactions = new OutputStream<ItemTransaction>("transactions");
    const queries = new OutputStream<Query>("queries");
    this.writeTransactions(params, transactions);
    this.writeQueries(params, queries);
    for (const { name, processSinks } of [transactions, queries]) {
      if (processSinks.length === 0) continue;
      throw new Error(`Generated ${name} go to a topic alone, not to a sink in the process`);
    }
    if (transactions.topic === null) throw new Error("Generated transactions need a topic");
    const topics = { transactions: transactions.topic, queries: queries.topic };
    const unused = { results: null, queryResults: null, summaries: null, deadLetters: null };
    checkDifferent({ ...unused, ...topics, queries: topics.queries ?? "" });
    return topics;
  }
}
