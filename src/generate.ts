// generate: fills the transaction topic of Kafka with generated transactions.
//
//   deno task generate [--config=config/job.properties] [--generate.count=<n>] [--<key>=<value> ...]

import { parseArguments, readParameters, whenAskedToStop } from "./arguments.ts";
import { ParameterError, StopError } from "./job/mod.ts";
import { closeLogs, configureLogs } from "./job/logging.ts";
import { KafkaDataGeneratorJob } from "./kafka/mod.ts";
import { systemChance, systemClock } from "./types/mod.ts";

const EXIT_WRONG = 2;

const USAGE = `Usage: deno task generate [--config=config/job.properties] [--<key>=<value> ...]

Writes generated transactions to transaction.input.topic, from its end on, until Ctrl-C or generate.count.
Its parameters: kafka.*, transaction.input.topic, transaction.partitioner, format, num.items, pareto.shape,
generator.seed, generate.rate, sleep, generate.count, generate.queries; deno task start --help explains them.`;

async function main(): Promise<number> {
  try {
    const args = parseArguments(Deno.args);
    if (args.help) {
      console.log(USAGE);
      return 0;
    }
    const params = readParameters({ ...args, flags: { ...args.flags, job: "kafka" } });
    await configureLogs({ level: params.get("log.level"), secrets: params.secrets });
    const stop = new AbortController();
    void whenAskedToStop().then(() => stop.abort());
    const job = new KafkaDataGeneratorJob(params, systemClock, systemChance);
    const from = systemClock.monotonic();
    await job.run(stop.signal);
    const seconds = (systemClock.monotonic() - from) / 1000;
    console.log(`${job.records} records in ${seconds.toFixed(1)} s`);
    return 0;
  } catch (error) {
    if (error instanceof ParameterError) console.error(`stockflow: ${error.message}`);
    else if (error instanceof StopError) {
      console.error(`stockflow: ${error.message}; ${error.remedy}`);
    } else throw error;
    return EXIT_WRONG;
  } finally {
    await closeLogs();
  }
}

if (import.meta.main) Deno.exit(await main());
