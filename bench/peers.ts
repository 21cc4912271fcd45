// stockflow, Apache Flink and Kafka Streams in one run: the same topics, the same work, checked for the same
// answers. Writes bench/RESULTS.md, its charts, and the part of README.md that shows them.
//
//   deno task bench:peers [--quick] [--work=a,b,c,d] [--engine=stockflow,flink,streams] [--answers=first|none]
//       [--keys=item|uuid|pareto|sku] [--records=40000000] [--items=1000000] [--rounds=3] [--resume] [--to=<folder>]
//     --work     d is generated in the process; e is d without windows
//     --quick    10 M records, one round, into data/peers alone: ten minutes
//     --resume   goes on with what was interrupted: rounds that were measured stay
//     --answers  none: those of the whole input are not read; the smaller input's are compared all the same
//     --to       a folder for figures and page, instead of bench/
//     --flink=KEY=VALUE,... --streams=...   tries settings of a peer; what is measured so is not kept
//   deno task bench:peers --report     writes the pages from the figures that are there
//
// It may be interrupted at any time: every round is kept once it is measured.

import { statfs } from "node:fs/promises";
import { parseArgs } from "node:util";
import type { TestBroker } from "../tools/kit/test_broker.ts";
import { orRefuse } from "../tools/kit/command_line.ts";
import { countIn, listIn, oneOf, refuse } from "./options.ts";
import type { ComparedAnswers } from "./peers/answers.ts";
import { startMeasuredBroker } from "./measured_broker.ts";
import { buildPeers, type PeerJars } from "./peers/build.ts";
import { startEngine } from "./peers/engines.ts";
import type { Figures, Wanted } from "./peers/figures.ts";
import { type InputOptions, KEY_SETS } from "./peers/input.ts";
import { Kept, nowText, TO } from "./peers/kept.ts";
import { machineOf } from "./peers/machine.ts";
import { endWhenInterrupted, measureRecords, measureSeconds } from "./peers/measure.ts";
import { printTable, writePages } from "./peers/pages.ts";
import { type Answers, differences } from "./peers/record_sum.ts";
import { deleteTopics, PeerStage } from "./peers/stage.ts";
import {
  DESCRIPTIONS,
  type EngineName,
  ENGINES,
  enginesOf,
  filterOf,
  settingsOf,
  type Work,
  WORKS,
} from "./peers/works.ts";

const USAGE =
  "deno task bench:peers [--quick] [--work=a,b,c,d] [--engine=stockflow,flink,streams] " +
  "[--keys=item|uuid|pareto|sku] [--records=40000000] [--items=1000000] [--rounds=3] [--resume] " +
  "[--answers=first|none] [--to=<folder>] [--report] [--flink=KEY=VALUE,...] [--streams=KEY=VALUE,...]";
const PARTITIONS = 8;
const PARALLELISM = 2;
/** Input, results and changelog of a record, with room. */
const BYTES_PER_RECORD = 350;
const DISK_FREE_MIN = 8e9;
/** Every item with a failure is reported, so that there are many summaries to compare. */
const ANSWERS = {
  input: { records: 1_000_000, items: 50_000, keys: "item", recordsPerSecond: 5000 },
  parameters: { "transaction.num.min": "0", "transaction.failure.rate.min": "0" },
} as const;

function optionsOf() {
  const { values } = orRefuse(USAGE, () =>
    parseArgs({
      args: Deno.args,
      options: {
        quick: { type: "boolean", default: false },
        resume: { type: "boolean", default: false },
        report: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
        work: { type: "string" },
        engine: { type: "string", default: ENGINES.join(",") },
        keys: { type: "string", default: "item" },
        records: { type: "string" },
        items: { type: "string", default: "1000000" },
        rounds: { type: "string" },
        answers: { type: "string", default: "first" },
        flink: { type: "string", default: "" },
        streams: { type: "string", default: "" },
        to: TO,
      },
    }));
  if (values.help) {
    console.log(`Usage: ${USAGE}`);
    Deno.exit(0);
  }
  const { quick } = values;
  const count = (name: string, text: string): number => countIn(USAGE, name, text);
  return {
    quick,
    settings: { flink: settingsIn(values.flink), streams: settingsIn(values.streams) },
    /** What is tried is not kept. */
    isTrial: values.flink !== "" || values.streams !== "",
    resume: values.resume,
    report: values.report,
    /** Without a choice the answers over a smaller input are compared first. */
    comparesAnswers: values.work === undefined,
    /** In the first round those over the whole input: they cannot depend on the round. */
    readsAnswers: oneOf(USAGE, "answers", values.answers, ["first", "none"]) === "first",
    // e is d without windows: by --work alone, so that the others take less than an hour.
    works: listIn(USAGE, "work", values.work ?? "a,b,c,d", WORKS),
    engines: listIn(USAGE, "engine", values.engine, ENGINES),
    keys: oneOf(USAGE, "keys", values.keys, KEY_SETS),
    records: count("records", values.records ?? (quick ? "10000000" : "40000000")),
    items: count("items", values.items),
    rounds: count("rounds", values.rounds ?? (quick ? "1" : "3")),
    to: values.to !== "" ? values.to : quick ? "data/peers" : "",
    // Of what has no end; a minute holds one firing of the windows.
    period: {
      warmUpSeconds: quick ? 5 : 15,
      warmUpCpuSeconds: quick ? 15 : 40,
      seconds: quick ? 20 : 60,
    },
  };
}

function settingsIn(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(",").filter((pair) => pair !== "").map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) refuse(USAGE, `A setting must be KEY=VALUE, not ${JSON.stringify(pair)}`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

const options = optionsOf();
const { keys, records, items } = options;
const kept = await Kept.open(options.to);
const figures = await kept.figures();
if (options.report) {
  await writePages(kept);
  Deno.exit(0);
}

const { bavail, bsize } = await statfs(await Deno.realPath("/tmp"));
if (bavail * bsize < DISK_FREE_MIN + records * BYTES_PER_RECORD) {
  refuse(
    USAGE,
    `${Math.ceil((DISK_FREE_MIN + records * BYTES_PER_RECORD) / 1e9)} GB must be free in /tmp`,
  );
}

/** What runs now; ended when the benchmark is. */
const ends: (() => Promise<void>)[] = [];
async function endAll(): Promise<void> {
  for (const end of ends.splice(0).reverse()) await end().catch((error) => console.error(error));
}
endWhenInterrupted(endAll);

/** Does something with what has to be ended, whatever happens. */
async function withEnd<T>(end: () => Promise<void>, work: () => Promise<T>): Promise<T> {
  ends.push(end);
  try {
    return await work();
  } finally {
    const at = ends.indexOf(end);
    if (at >= 0) {
      ends.splice(at, 1);
      await end();
    }
  }
}

function say(what: string, engine: EngineName, f: Figures): void {
  console.log(
    `${what} ${engine}: ${f.cpu.toFixed(3)} CPU-s per million records (broker ${
      f.brokerCpu.toFixed(3)
    }; ` +
      `whole ${f.wholeCpu.toFixed(3)}), ${(f.rate / 1e6).toFixed(2)} M records/s, peak RSS ` +
      `${Math.round(f.peakBytes / 2 ** 20)} MiB` +
      (f.checkpoints === undefined ? "" : `; ${f.checkpoints} checkpoints in its steady part`),
  );
}

const chosen = (work: Work) => enginesOf(work).filter((engine) => options.engines.includes(engine));

interface Measured {
  readonly figures: Figures;
  readonly answers?: Answers;
}

/** Runs an engine through the whole input; with its answers, if they are asked for. */
async function runOnKafka(
  stage: PeerStage,
  { broker, work, engine, parameters = filterOf(work), against }: {
    readonly broker: TestBroker;
    readonly work: Work;
    readonly engine: EngineName;
    readonly parameters?: Readonly<Record<string, string>>;
    /** Engines and their answers so far; null if answers are not read. */
    readonly against: readonly [EngineName, Answers][] | null;
  },
): Promise<Measured> {
  const settings = {
    stockflow: settingsOf("stockflow", work, stage.input.records),
    ...options.settings,
  };
  const run = await stage.run({ engine, work, parallelism: PARALLELISM, parameters, settings });
  return await withEnd(run.end, async () => {
    const counts = engine === "stockflow";
    const figures = await measureRecords(run.job, broker.pid, stage.records, counts);
    say(work, engine, figures);
    if (!against) return { figures };
    const first = against.find(([name]) => name !== engine);
    const summaries = first?.[1].summaries?.records ?? 0;
    const answers = await run.answers({ summaries });
    const differ = first ? differences(first, [engine, answers]) : [];
    if (differ.length > 0) throw new Error(`Answers differ at work ${work}: ${differ.join("; ")}`);
    const kinds = Object.entries(answers).map(([kind, { records }]) => `${records} ${kind}`);
    console.log(`  ${first ? `the same as ${first[0]}` : "answers"}: ${kinds.join(", ")}`);
    return { figures, answers };
  });
}

/** Generates in the process, for some time. */
async function runGenerated(work: Work, engine: EngineName, jars: PeerJars): Promise<Figures> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-peers-" });
  const job = await startEngine(engine, {
    work,
    parallelism: PARALLELISM,
    items,
    folder,
    kafka: null,
    jars,
    settings: options.settings,
  });
  const end = async () => {
    await job.kill();
    await Deno.remove(folder, { recursive: true });
  };
  return await withEnd(end, async () => {
    const measured = await measureSeconds(job, options.period, engine === "stockflow");
    say(work, engine, measured);
    return measured;
  });
}

/** A smaller input with many summaries: do all engines say the same? */
async function compareAnswers(broker: TestBroker, jars: PeerJars): Promise<void> {
  const { input, parameters } = ANSWERS;
  const of = (work: Work) => chosen(work).filter((e) => work === "a" || e !== "flink"); // its results are those of a
  const works = ["a", "b"] as const;
  const there = options.resume ? await kept.read<ComparedAnswers>("answers") : [];
  const isThere = (work: Work, engine: EngineName) =>
    there.some((m) => m.work === work && m.engine === engine);
  if (works.every((work) => of(work).every((engine) => isThere(work, engine)))) return;
  console.log(`Answers over ${input.records} records, all summaries with failures:`);
  const stage = await PeerStage.open(broker, {
    jars,
    partitions: PARTITIONS,
    input,
    prefix: "answers",
  });
  for (const work of works) {
    const against: [EngineName, Answers][] = [];
    for (const engine of of(work)) {
      const { answers } = await runOnKafka(stage, { broker, work, engine, parameters, against });
      against.push([engine, answers!]);
      const isOfSame = (m: ComparedAnswers) => m.work === work && m.engine === engine;
      await kept.put<ComparedAnswers>(
        "answers",
        { work, engine, at: nowText(), answers: answers! },
        isOfSame,
      );
    }
  }
  await deleteTopics(broker.bootstrap, stage.inputTopic);
}

const wanted = (work: Work, engine: EngineName, round: number): Wanted => ({
  keys,
  work,
  engine,
  round,
  records: DESCRIPTIONS[work].generated ? 0 : records,
  items,
  parameters: filterOf(work),
  settings: settingsOf(engine, work, records),
});
const isLeft = (work: Work, engine: EngineName, round: number) =>
  !options.resume || !figures.has(wanted(work, engine, round));

async function measureAll(broker: TestBroker, jars: PeerJars): Promise<void> {
  const rounds = Array.from({ length: options.rounds }, (_, i) => i + 1);
  const left = options.works.filter((work) =>
    rounds.some((round) => chosen(work).some((engine) => isLeft(work, engine, round)))
  );
  const input: InputOptions = { records, items, keys };
  const needsInput = left.some((work) => !DESCRIPTIONS[work].generated);
  if (needsInput) console.log(`Loading ${records} records of ${items} items`);
  const stage = needsInput
    ? await PeerStage.open(broker, { jars, partitions: PARTITIONS, input })
    : null;
  for (const round of rounds) {
    for (const work of left) {
      if (!options.isTrial && !options.resume && round === 1) {
        figures.forget(keys, work, chosen(work));
      }
      const reads = options.readsAnswers && round === 1;
      for (const engine of chosen(work).filter((engine) => isLeft(work, engine, round))) {
        // Those of a run that is gone on with are among them.
        const against = reads ? figures.answersOf(wanted(work, engine, round)) : null;
        const measured: Measured = DESCRIPTIONS[work].generated
          ? { figures: await runGenerated(work, engine, jars) }
          : await runOnKafka(stage!, { broker, work, engine, against });
        if (options.isTrial) continue;
        const about = { ...wanted(work, engine, round), at: nowText(), machine: await machineOf() };
        await figures.add({ ...about, ...measured });
      }
    }
  }
}

const from = performance.now();
const jars = await buildPeers();
const broker = await startMeasuredBroker();
await withEnd(() => broker.remove(), async () => {
  if (options.comparesAnswers && !options.isTrial) await compareAnswers(broker, jars);
  await measureAll(broker, jars);
});
printTable(figures.all, keys);
if (!options.isTrial) await writePages(kept);
console.log(`${((performance.now() - from) / 60_000).toFixed(0)} minutes`);
Deno.exit(0);
