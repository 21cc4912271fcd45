// What runs a generator until it has made what was asked for, or is asked to stop.

import type { GeneratorClass } from "../service/mod.ts";
import { ParameterError } from "../parameters/mod.ts";
import { secretsOfFiles } from "../kafka/security.ts";
import { systemChance, systemClock } from "../types/mod.ts";
import { configureLogs } from "../engine/logging.ts";
import { type Arguments, enterFolder, readParameters, whenAskedToStop } from "./arguments.ts";
import { displayOrLog } from "./progress_display.ts";

/**
 * @param config file of parameters that is read where none was named; null = none
 * @throws {ParameterError} when a parameter is wrong, or a topic is missing
 * @throws {StopError} when the brokers refuse
 */
export async function runGenerator(
  Job: GeneratorClass,
  args: Arguments,
  config: string | null,
): Promise<void> {
  if (args.check) throw new ParameterError("--check is for jobs: a generator looks when it starts");
  enterFolder(args.folder);
  const flags = { ...args.flags, job: "kafka" };
  const params = readParameters({ ...args, flags }, config, Job.parameters);
  const topics = new Job().filledTopics(params);
  const secrets = [...params.secrets, ...secretsOfFiles(params)];
  await configureLogs({ level: params.get("log.level"), secrets });
  const stop = new AbortController();
  void whenAskedToStop().then(() => stop.abort());
  const display = displayOrLog();
  // Loaded where it is needed: kafkajs reads the environment then.
  const { KafkaDataGenerator } = await import("../kafka/data_generator.ts");
  const generator = new KafkaDataGenerator(
    params,
    topics,
    systemClock,
    systemChance,
    display.onProgress,
  );
  const from = systemClock.monotonic();
  await generator.run(stop.signal);
  display.hide();
  const seconds = (systemClock.monotonic() - from) / 1000;
  console.log(`${generator.records} records in ${seconds.toFixed(1)} s`);
}
