// stockflow, Apache Flink and Kafka Streams over the same topic: do they answer the same, and what the model
// says? This is the comparison of `deno task bench:peers` in its small form. Builds the peers with Maven.

import { assertEquals } from "@std/assert";
import { readVisible } from "../../bench/peers/answers.ts";
import { buildPeers, whyNoPeers } from "../../bench/peers/build.ts";
import type { Topics } from "../../bench/peers/engines.ts";
import { Input, type InputOptions } from "../../bench/peers/input.ts";
import { measureRecords } from "../../bench/peers/measure.ts";
import { type Answers, RecordSum } from "../../bench/peers/record_sum.ts";
import { PeerStage } from "../../bench/peers/stage.ts";
import type { EngineName, Work } from "../../bench/peers/works.ts";
import {
  codecOf,
  decodeUtf8,
  encodeUtf8,
  Format,
  type NewRecord,
  Partitioner,
  partitionOf,
  reasonName,
} from "../../src/types/mod.ts";
import { Model } from "../model/model.ts";
import { Stage } from "./scene.ts";

const PARTITIONS = 2;
const INPUT: InputOptions = {
  records: 20_000,
  items: 500,
  keys: "item",
  refusedEvery: 100,
  // More than three windows, whose items have twelve transactions each.
  recordsPerSecond: 100,
};
const WINDOW_MS = 60_000;

/** All items with failures are reported; the peers commit every second. */
const PARAMETERS = {
  "transaction.num.min": "0",
  "transaction.failure.rate.min": "0",
  "checkpoint.interval.millis": "1000",
};

interface Expected {
  readonly answers: Answers;
  /** Of each item its results in the order of the log. */
  readonly results: ReadonlyMap<string, string[]>;
}

/** What the model answers. */
function expectedOf(inputTopic: string): Expected {
  const input = new Input(INPUT);
  const models = Array.from({ length: PARTITIONS }, (_, partition) =>
    new Model({
      format: Format.Text,
      partitioner: Partitioner.Murmur2,
      partition,
      partitions: PARTITIONS,
      windowMs: WINDOW_MS,
      eventTime: true,
      outOfOrderMs: 60_000,
      maxAheadMs: 86_400_000,
      alertTotalMin: 0,
      alertRateMin: 0,
    }));
  const deadLetters = new RecordSum();
  const fold = ({ timestamp, key, value }: NewRecord) => {
    const partition = partitionOf(Partitioner.Murmur2, key!, PARTITIONS);
    const model = models[partition]!;
    const offset = model.position;
    const outcome = model.fold({ offset, timestamp, value });
    if (typeof outcome !== "number") return;
    const about = { topic: inputTopic, partition, offset, timestamp, reason: reasonName(outcome) };
    const headers = Object.entries(about).map(([name, of]) => ({
      key: `stockflow.${name}`,
      value: encodeUtf8(String(of)),
    }));
    deadLetters.add({ key, value, headers });
  };
  for (let i = 0; i < INPUT.records; i++) fold(input.record(i));
  for (const record of input.closing(PARTITIONS)) fold(record);

  const codec = codecOf(Format.Text);
  const plain = (sum: RecordSum, key: string, value: string) =>
    sum.add({ key: encodeUtf8(key), value: encodeUtf8(value), headers: [] });
  const results = new RecordSum();
  const summaries = new RecordSum();
  const stocks = new RecordSum();
  for (const model of models) {
    for (const { key, value } of model.results) plain(results, key, value);
    for (const { summary } of model.summaries) {
      plain(summaries, summary.itemId, codec.formatSummary(summary));
    }
  }
  for (let n = 1; n <= INPUT.items; n++) {
    const itemId = `item_${n}`;
    const quantity = models.map(({ stock }) => stock.get(itemId)).find((q) => q !== undefined);
    const itemInfo = quantity === undefined ? null : { itemId, quantity };
    plain(stocks, String(n), codec.formatQueryResult({ queryId: BigInt(n), itemInfo }));
  }
  return {
    answers: {
      "results": results.digest,
      "summaries": summaries.digest,
      "dead letters": deadLetters.digest,
      "stocks": stocks.digest,
    },
    results: groupByItem(models.flatMap((model) => model.results.map(({ value }) => value))),
  };
}

function groupByItem(results: readonly string[]): Map<string, string[]> {
  return Map.groupBy(results, (line) => line.split("\t")[2]!);
}

async function resultsOf(bootstrap: string, topics: Topics, expected: number): Promise<string[]> {
  const results: string[] = [];
  await readVisible(bootstrap, topics["transaction.output.topic"], expected, ({ value }) => {
    results.push(decodeUtf8(value!)!);
  });
  return results;
}

const stage = await Stage.shared();
const skipped = stage.skipped ?? await whyNoPeers();
if (skipped !== null && Deno.env.get("CI") !== undefined) throw new Error(skipped);

interface Case {
  readonly engine: EngineName;
  readonly work: Work;
  /** Beside its name. */
  readonly title?: string;
  readonly settings?: Readonly<Record<string, string>>;
}
const CASES: readonly Case[] = [
  { engine: "stockflow", work: "a" },
  { engine: "flink", work: "a" },
  {
    engine: "flink",
    work: "a",
    title: " with the standard operator of windows",
    settings: { "windows": "operator" },
  },
  { engine: "streams", work: "b" },
];

for (const { engine, work, title = "", settings = {} } of CASES) {
  const name = `${engine}${title} answers what the model says: results, ${
    work === "a" ? "summaries, " : ""
  }dead letters and stocks`;
  Deno.test({
    name: skipped === null ? name : `${name}: ${skipped}`,
    ignore: skipped !== null,
    sanitizeOps: false,
    sanitizeResources: false,
    fn: () => compare(engine, work, settings),
  });
}

async function compare(
  engine: EngineName,
  work: Work,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const { broker } = stage;
  const peers = await PeerStage.open(broker, {
    jars: await buildPeers(),
    partitions: PARTITIONS,
    input: INPUT,
    prefix: `peers-${crypto.randomUUID().slice(0, 8)}`,
  });
  const expected = expectedOf(peers.inputTopic);
  const { summaries, ...others } = expected.answers;
  assertEquals(summaries!.records > INPUT.items, true);
  const run = await peers.run({
    engine,
    work,
    parallelism: 2,
    parameters: PARAMETERS,
    settings: { [engine]: settings },
  });
  try {
    await measureRecords(run.job, broker.pid, peers.records);
    const answers = await run.answers({ summaries: summaries!.records });
    assertEquals(answers, work === "a" ? expected.answers : others);
    const results = await resultsOf(broker.bootstrap, run.topics, answers.results!.records);
    assertEquals(groupByItem(results), expected.results);
  } finally {
    await run.end();
  }
}
