import {
  type EmbeddedLog,
  type GeneratorFacts,
  GeneratorLog,
  type GeneratorSpan,
  type LogOpener,
} from "../log/mod.ts";
import { PARTITIONERS } from "../state/mod.ts";
import type { Chance, Clock, ItemTransaction, Query } from "../types/mod.ts";
import type { GeneratorOptions } from "../wasm/mod.ts";
import { StopError } from "../log/mod.ts";
import type { Gateway } from "./gateway.ts";
import { formatOf, type Parameters, partitionerNameOf } from "../parameters/parameters.ts";
import type { InputStream } from "./streams.ts";

/** Topic whose records the generator computes; the embedded log keeps the positions in it. */
export const GENERATED_TOPIC = "generated";

/** Flat out, records are dated as if they came so many a second. */
const NOMINAL_RATE = 1_000_000;

/** Time from one generated query to the next. */
export const QUERY_INTERVAL_MS = 100;

/** Name under which the embedded log keeps what a generated log depends on. */
const NOTES = "generator";

/**
 * The transactions that the generator makes instead of callers: computed where they are folded, and the same again
 * after a crash, so only positions are stored, in an embedded log. The parameters of the generator decide them.
 */
export function generated(): InputStream<ItemTransaction> {
  return { topic: GENERATED_TOPIC, generated: true };
}

/** The log of generated transactions, above the embedded one. */
export function generatorOpener(
  params: Parameters,
  embedded: LogOpener<EmbeddedLog>,
  clock: Clock,
): LogOpener<GeneratorLog> {
  return {
    open: async (user, restoration) => {
      if (restoration) {
        throw new StopError(
          "Generated transactions cannot go on from a savepoint: they are generated from their own start",
          "start without --restore, or without generated transactions",
        );
      }
      const log = await embedded.open(user, null);
      await beginSpan(log, params, clock);
      return await openGeneratorLog(log, clock);
    },
    // A log that began with a savepoint goes on, whatever is generated beside it.
    existing: () => embedded.existing(),
    moveAway: () => Promise.resolve(null),
    close: () => embedded.close(),
  };
}

/** Records that come a second, of all partitions; 0 = flat out. */
export function rateOf(params: Parameters): number {
  const sleep = params.get("sleep");
  return sleep > 0 ? 1000 / sleep : params.get("generate.rate");
}

/** What decides the generated records of a topic with so many partitions. */
export function generatorOptionsOf(
  params: Parameters,
  partitions: number,
): Omit<GeneratorOptions, "partition"> {
  return {
    seed: BigInt(params.get("generator.seed")),
    items: params.get("num.items"),
    shape: params.get("pareto.shape"),
    format: formatOf(params),
    partitioner: PARTITIONERS[partitionerNameOf(params)],
    partitions,
  };
}

/** The p-th of so many nearly equal parts of a count. */
export function shareOf(count: number, p: number, parts: number): number {
  return Math.floor(count / parts) + (p < count % parts ? 1 : 0);
}

/** A query for a random item. */
export function randomQuery(queryId: bigint, params: Parameters, chance: Chance): Query {
  return { queryId, itemId: `item_${1 + Math.floor(chance() * params.get("num.items"))}` };
}

/** What is kept of a generated log at every start. */
interface Note extends Omit<GeneratorFacts, "spans" | "topic"> {
  readonly span: GeneratorSpan;
}

/** The generated log as it was left. */
export async function openGeneratorLog(log: EmbeddedLog, clock: Clock): Promise<GeneratorLog> {
  const notes = await log.notes<Note>(NOTES);
  const last = notes.at(-1);
  if (!last) throw new StopError("Nothing was ever generated here", "generate first");
  const { id, options } = last;
  const spans = notes.map((note) => note.span);
  return new GeneratorLog(log, { id, options, topic: GENERATED_TOPIC, spans }, clock);
}

/**
 * Begins a new span of the generated log: from the committed offsets on, or behind the batches that they lie within (a
 * full memory stops anywhere). What was read of a batch, its bounds and its CRC, stays as it was.
 *
 * @throws {StopError} when the log was generated from other parameters before
 */
async function beginSpan(log: EmbeddedLog, params: Parameters, clock: Clock): Promise<void> {
  const partitions = log.partitionsOf(GENERATED_TOPIC);
  const options = generatorOptionsOf(params, partitions);
  const id = `${log.id} generator.seed=${options.seed} num.items=${options.items} ` +
    `pareto.shape=${options.shape} format=${params.get("format")} ` +
    `transaction.partitioner=${partitionerNameOf(params)}`;
  const notes = await log.notes<Note>(NOTES);
  const other = notes.find((note) => note.id !== id);
  if (other) {
    throw new StopError(
      `The transactions were generated from other parameters before (${other.id}; now ${id})`,
      "generate from the same parameters, or start with another data folder",
    );
  }
  const before = notes.length > 0 ? await openGeneratorLog(log, clock) : null;
  const offsets = (await log.claim(GENERATED_TOPIC)).partitions.map(({ partition, committed }) =>
    before?.boundaryFrom(partition, committed.offset) ?? committed.offset
  );
  const rate = rateOf(params);
  const count = params.get("generate.count");
  const span: GeneratorSpan = {
    offsets,
    origin: clock.now(),
    msPerRecord: 1000 * partitions / (rate || NOMINAL_RATE),
    paced: rate > 0,
    ends: count === 0 ? null : offsets.map((_, p) => shareOf(count, p, partitions)),
  };
  await log.addNote(NOTES, { id, options, span } satisfies Note);
}

/** Asks for the stock of random items from time to time, until the signal is aborted. */
export async function generateQueries(
  gateway: Gateway,
  params: Parameters,
  { clock, chance }: { clock: Clock; chance: Chance },
  stop: AbortSignal,
): Promise<void> {
  for (let queryId = 1n; !stop.aborted; queryId++) {
    await gateway.ask([randomQuery(queryId, params, chance)]).catch(() => {}); // while the job recovers, or is overloaded
    await clock.sleep(QUERY_INTERVAL_MS, stop);
  }
}
