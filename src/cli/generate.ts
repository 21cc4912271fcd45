// generate: fills the transaction topic of Kafka with generated transactions.
//
//   deno task generate [--config=config/job.properties] [--generate.count=<n>] [--<key>=<value> ...]

import {
  enterFolder,
  exitCodeOf,
  ownConfigOf,
  parseArguments,
  readParameters,
  whenAskedToStop,
} from "./arguments.ts";
import { configureLogs } from "../engine/logging.ts";
import { KafkaDataGeneratorJob, secretsOfFiles } from "../kafka/mod.ts";
import { displayOrLog } from "./progress_display.ts";
import { VERSION } from "../service/mod.ts";
import { systemChance, systemClock } from "../types/mod.ts";

const USAGE = `Usage: deno task generate [--config=config/job.properties] [--<key>=<value> ...]

Writes generated transactions to transaction.input.topic, from its end on, until Ctrl-C or generate.count.
Its parameters: kafka.*, transaction.input.topic, transaction.partitioner, format, num.items, pareto.shape,
generator.seed, generate.rate, sleep, generate.count, generate.queries; deno task start --help explains them.`;

async function main(): Promise<void> {
  const args = parseArguments(Deno.args);
  if (args.help) return console.log(USAGE);
  if (args.version) return console.log(`stockflow ${VERSION}`);
  enterFolder(args.folder);
  const params = readParameters(
    { ...args, flags: { ...args.flags, job: "kafka" } },
    ownConfigOf("kafka"),
  );
  const secrets = [...params.secrets, ...secretsOfFiles(params)];
  await configureLogs({ level: params.get("log.level"), secrets });
  const stop = new AbortController();
  void whenAskedToStop().then(() => stop.abort());
  const display = displayOrLog();
  const job = new KafkaDataGeneratorJob(params, systemClock, systemChance, display.onProgress);
  const from = systemClock.monotonic();
  await job.run(stop.signal);
  display.hide();
  const seconds = (systemClock.monotonic() - from) / 1000;
  console.log(`${job.records} records in ${seconds.toFixed(1)} s`);
}

if (import.meta.main) Deno.exit(await exitCodeOf(main));
