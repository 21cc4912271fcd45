// The Kafka job under the generator's load, as bench/soak.ts watches it.

import { GroupView } from "../tools/kit/group_view.ts";
import { GROUP, TOPICS } from "../tools/kit/job_process.ts";
import { KafkaScene } from "./kafka_scene.ts";
import type { Soaked } from "./soaked.ts";

const PARTITIONS = 8;
/** Brokers look more seldom, and until then nothing is removed. */
const RETENTION_LOOK_MS = "10000";
const SEGMENT_BYTES = 32 * 1024 * 1024;
/** More than a generated record takes. */
const RECORD_BYTES = 80;
/** The log keeps what so many seconds bring: much more than what lies behind the oldest checkpoint. */
const KEPT_SECONDS = 300;
const KEPT_BYTES_MIN = 2 * SEGMENT_BYTES;
/** What stat(2) counts in; the broker's index files have holes. */
const BLOCK_BYTES = 512;
/** Nobody reads them. */
const OUTPUT_KEPT_BYTES = 2 * SEGMENT_BYTES;
const INPUTS: readonly string[] = [TOPICS["transaction.input.topic"], TOPICS["query.input.topic"]];

export interface KafkaSoakOptions {
  readonly items: number;
  /** Records a second. */
  readonly rate: number;
}

/** Starts a broker that keeps its disk bounded, the job, and the generator in this process. */
export async function soakKafka({ items, rate }: KafkaSoakOptions): Promise<Soaked> {
  const kept = Math.max(KEPT_BYTES_MIN, rate * RECORD_BYTES * KEPT_SECONDS / PARTITIONS);
  const scene = await KafkaScene.open({
    partitions: PARTITIONS,
    properties: { "log.retention.check.interval.ms": RETENTION_LOOK_MS },
    configsOf: (topic) => ({
      "segment.bytes": String(SEGMENT_BYTES),
      "retention.bytes": String(Math.round(INPUTS.includes(topic) ? kept : OUTPUT_KEPT_BYTES)),
    }),
  });
  try {
    const service = await scene.startJob(await scene.newFolder());
    const group = await GroupView.open(scene.broker.bootstrap, GROUP);
    const generator = scene.generate({ items, rate, queries: true });
    return {
      service,
      waits: "records of lag",
      waiting: () => {
        scene.check();
        return group.lag(INPUTS);
      },
      // A second of the load: what commits and checkpoints make come and go is less.
      growthMax: rate,
      furtherFigures: async () => {
        const mebibytes = await bytesBelow(`${scene.broker.folder}/logs`) / 2 ** 20;
        return `${(generator.records / 1e6).toFixed(0)} M generated, the broker's disk ` +
          `${mebibytes.toFixed(0)} MiB`;
      },
      close: async () => {
        await group.close();
        await scene[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await scene[Symbol.asyncDispose]();
    throw error;
  }
}

/** Bytes on disk of all files below a folder; those that go meanwhile count as none. */
async function bytesBelow(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) bytes += await bytesBelow(path).catch(orGone);
    else bytes += await Deno.stat(path).then(({ blocks }) => BLOCK_BYTES * blocks!, orGone);
  }
  return bytes;
}

function orGone(error: unknown): number {
  if (error instanceof Deno.errors.NotFound) return 0;
  throw error;
}
