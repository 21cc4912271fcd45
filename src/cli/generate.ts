// generate: fills the transaction topic of Kafka with generated transactions.
//
//   deno task generate [--config=config/job.properties] [--generate.count=<n>] [--<key>=<value> ...]

import { exitCodeOf, ownConfigOf, parseArguments } from "./arguments.ts";
import { KafkaDataGeneratorJob } from "../kafka/kafka_data_generator_job.ts";
import { VERSION } from "../service/mod.ts";
import { runGenerator } from "./run_generator.ts";

const USAGE = `Usage: deno task generate [--config=config/job.properties] [--<key>=<value> ...]

Writes generated transactions to transaction.input.topic, from its end on, until Ctrl-C or generate.count.
Its parameters: kafka.*, transaction.input.topic, transaction.partitioner, format, num.items, pareto.shape,
generator.seed, generate.rate, sleep, generate.count, generate.queries; deno task start --help explains them.`;

async function main(): Promise<void> {
  const args = parseArguments(Deno.args);
  if (args.help) return console.log(USAGE);
  if (args.version) return console.log(`stockflow ${VERSION}`);
  await runGenerator(KafkaDataGeneratorJob, args, ownConfigOf("kafka"));
}

if (import.meta.main) Deno.exit(await exitCodeOf(main));
