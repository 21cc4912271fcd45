// stockflow, Apache Flink and Kafka Streams in one run: the same topics, the same work, checked for the same
// answers. Writes bench/RESULTS.md, its charts, and the part of README.md that shows them.
//
//   deno task bench:peers [--quick] [--work=a,b,c,d,e] [--engine=stockflow,flink,streams]
//       [--keys=item|uuid|pareto] [--records=40000000] [--items=1000000] [--rounds=3] [--resume]
//     --quick    10 M records, one round, into data/peers alone: ten minutes
//     --resume   goes on with what was interrupted: rounds that were measured stay
//     --flink=KEY=VALUE,... --streams=...   tries settings of a peer; what is measured so is not kept
//   deno task bench:peers --report     writes the pages from the figures that are there
//
// It may be interrupted at any time: every round is kept once it is measured.

import { statfs } from "node:fs/promises";
import { parseArgs } from "node:util";
import { startTestBroker, type TestBroker } from "../tools/kit/test_broker.ts";
import { orRefuse } from "../tools/kit/command_line.ts";
import { refuse } from "./options.ts";
import { buildPeers, type PeerJars } from "./peers/build.ts";
import { startEngine } from "./peers/engines.ts";
import { FigureFile, type Figures } from "./peers/figures.ts";
import { type InputOptions, KEY_SETS, type KeySet } from "./peers/input.ts";
import { measureRecords, measureSeconds } from "./peers/measure.ts";
import { printTable, writePages } from "./peers/pages.ts";
import { type Answers, differences } from "./peers/record_sum.ts";
import { PeerStage } from "./peers/stage.ts";
import {
  DESCRIPTIONS,
  type EngineName,
  ENGINES,
  enginesOf,
  type Work,
  WORKS,
} from "./peers/works.ts";

const USAGE =
  "deno task bench:peers [--quick] [--work=a,b,c,d,e] [--engine=stockflow,flink,streams] " +
  "[--keys=item|uuid|pareto] [--records=40000000] [--items=1000000] [--rounds=3] [--resume] [--report] [--flink=KEY=VALUE,...] [--streams=KEY=VALUE,...]";
const PARTITIONS = 8;
const PARALLELISM = 2;
/** Input, results and changelog of a record, with room. */
const BYTES_PER_RECORD = 350;
const DISK_FREE_MIN = 30e9;
/** Every item with a failure is reported, so that there are many summaries to compare. */
const ANSWERS = {
  input: { records: 1_000_000, items: 50_000, keys: "item", recordsPerSecond: 5000 },
  parameters: { "transaction.num.min": "0", "transaction.failure.rate.min": "0" },
} as const;

function optionsOf() {
  const options = {
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
    flink: { type: "string", default: "" },
    streams: { type: "string", default: "" },
  } as const;
  const { values } = orRefuse(USAGE, () => parseArgs({ args: Deno.args, options }));
  if (values.help) {
    console.log(`Usage: ${USAGE}`);
    Deno.exit(0);
  }
  const { quick } = values;
  const list = <T extends string>(name: string, text: string, allowed: readonly T[]): T[] =>
    text.split(",").map((value) =>
      allowed.find((a) => a === value) ??
        refuse(USAGE, `--${name} must be of ${allowed.join(", ")}, not ${JSON.stringify(value)}`)
    );
  const count = (name: string, text: string): number =>
    /^[1-9]\d*$/.test(text)
      ? Number(text)
      : refuse(USAGE, `--${name} must be a positive integer, not ${JSON.stringify(text)}`);
  const settings = (text: string): Record<string, string> =>
    Object.fromEntries(
      text.split(",").filter((pair) => pair !== "").map((pair) => {
        const at = pair.indexOf("=");
        if (at < 1) refuse(USAGE, `A setting must be KEY=VALUE, not ${JSON.stringify(pair)}`);
        return [pair.slice(0, at), pair.slice(at + 1)];
      }),
    );
  return {
    quick,
    settings: { flink: settings(values.flink), streams: settings(values.streams) },
    /** What is tried is not kept. */
    isTrial: values.flink !== "" || values.streams !== "",
    resume: values.resume,
    report: values.report,
    /** Without a choice the answers are compared first. */
    comparesAnswers: values.work === undefined,
    works: list("work", values.work ?? WORKS.join(","), WORKS),
    engines: list("engine", values.engine, ENGINES),
    keys: list("keys", values.keys, KEY_SETS)[0] as KeySet,
    records: count("records", values.records ?? (quick ? "10000000" : "40000000")),
    items: count("items", values.items),
    rounds: count("rounds", values.rounds ?? (quick ? "1" : "3")),
    // Of what has no end; a minute holds one firing of the windows.
    period: {
      warmUpSeconds: quick ? 5 : 15,
      warmUpCpuSeconds: quick ? 15 : 40,
      seconds: quick ? 20 : 60,
    },
  };
}

const options = optionsOf();
const { keys, records, items } = options;
const root = new URL("../", import.meta.url);
const results = new URL(options.quick ? "data/peers/" : "bench/results/", root);
await Deno.mkdir(results, { recursive: true });
const figures = await FigureFile.open(new URL("peers.json", results));
if (options.report) {
  await writePages(root, figures.all);
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
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => void endAll().finally(() => Deno.exit(130)));
}

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
      `${Math.round(f.peakBytes / 2 ** 20)} MiB`,
  );
}

const chosen = (work: Work) => enginesOf(work).filter((engine) => options.engines.includes(engine));

/** Runs an engine through the whole input; with its answers, if they are asked for. */
function runOnKafka(
  stage: PeerStage,
  { broker, work, engine, parameters = {}, against }: {
    readonly broker: TestBroker;
    readonly work: Work;
    readonly engine: EngineName;
    readonly parameters?: Readonly<Record<string, string>>;
    /** Engines and their answers so far; null if answers are not read. */
    readonly against: [EngineName, Answers][] | null;
  },
): Promise<Figures> {
  const { settings } = options;
  return stage.run({ engine, work, parallelism: PARALLELISM, parameters, settings }).then((run) =>
    withEnd(run.end, async () => {
      const measured = await measureRecords(run.job, broker.pid, stage.records);
      say(work, engine, measured);
      if (against) {
        const first = against[0];
        const summaries = first?.[1].summaries?.records ?? 0;
        const answers = await run.answers({ summaries });
        against.push([engine, answers]);
        const differ = first ? differences(first, [engine, answers]) : [];
        if (differ.length > 0) {
          throw new Error(`Answers differ at work ${work}: ${differ.join("; ")}`);
        }
        const counts = Object.entries(answers).map(([kind, { records }]) => `${records} ${kind}`);
        console.log(`  ${first ? `the same as ${first[0]}` : "answers"}: ${counts.join(", ")}`);
      }
      return measured;
    })
  );
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
    const measured = await measureSeconds(job, options.period);
    say(work, engine, measured);
    return measured;
  });
}

/** A smaller input with many summaries: do all engines say the same? */
async function compareAnswers(broker: TestBroker, jars: PeerJars): Promise<void> {
  const { input, parameters } = ANSWERS;
  console.log(`Answers over ${input.records} records, all summaries with failures:`);
  const stage = await PeerStage.open(broker, {
    jars,
    partitions: PARTITIONS,
    input,
    prefix: "answers",
  });
  for (const work of ["a", "b"] as const) {
    const against: [EngineName, Answers][] = [];
    for (const engine of chosen(work)) {
      if (work === "b" && engine === "flink") continue; // its results are those of a
      await runOnKafka(stage, { broker, work, engine, parameters, against });
    }
  }
}

const wanted = (work: Work, engine: EngineName, round: number) => ({
  keys,
  work,
  engine,
  round,
  records: DESCRIPTIONS[work].generated ? 0 : records,
  items,
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
      // Answers are compared in the first round: they cannot depend on the round.
      const against: [EngineName, Answers][] | null = round === 1 ? [] : null;
      for (const engine of chosen(work).filter((engine) => isLeft(work, engine, round))) {
        const at = new Date().toISOString().slice(0, 16) + "Z";
        const measured = DESCRIPTIONS[work].generated
          ? await runGenerated(work, engine, jars)
          : await runOnKafka(stage!, { broker, work, engine, against });
        if (!options.isTrial) {
          await figures.add({ ...wanted(work, engine, round), at, figures: measured });
        }
      }
    }
  }
}

const from = performance.now();
const jars = await buildPeers();
const broker = await startTestBroker();
await withEnd(() => broker.remove(), async () => {
  if (options.comparesAnswers && !options.resume) await compareAnswers(broker, jars);
  await measureAll(broker, jars);
});
printTable(figures.all, keys);
if (!options.quick && !options.isTrial) await writePages(root, figures.all);
console.log(`${((performance.now() - from) / 60_000).toFixed(0)} minutes`);
Deno.exit(0);
