// Latency of the Kafka job: from the moment when a transaction is produced to the moment when its result
// is visible under read_committed.
//
//   deno task bench:kafka:latency [--rate=100000] [--commit=20] [--seconds=15]

import { parseArgs } from "node:util";
import { Fetcher } from "../src/kafka/fetcher.ts";
import { KafkaClient } from "../src/kafka/client/kafka_client.ts";
import { decodeBatch, decodeUtf8, systemClock } from "../src/types/mod.ts";
import { waitReady } from "../test/system/service.ts";
import { startTestBroker } from "../test/kafka/broker.ts";
import { startJob, TOPICS } from "../test/kafka/job_process.ts";
import { Loader } from "../test/kafka/load.ts";

const PARTITIONS = 8;
const ITEMS = 1_000_000;
const TICK_MS = 10;
/** The first results are those of a cold process. */
const SKIPPED = 0.2;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    rate: { type: "string", default: "100000" },
    commit: { type: "string", default: "20" },
    seconds: { type: "string", default: "15" },
  },
});
const rate = Number(values.rate);
const origin = Date.now() - performance.now();
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const broker = await startTestBroker();
const folder = await Deno.makeTempDir({ prefix: "stockflow-bench-" });
try {
  await broker.createTopics(Object.values(TOPICS), PARTITIONS);
  const job = await startJob(broker.bootstrap, folder, { "commit.interval.ms": values.commit });
  await waitReady(job);
  const topic = TOPICS["transaction.output.topic"];
  const connection = { brokers: [broker.bootstrap], clientId: "latency" };
  const client = new KafkaClient(connection, systemClock);
  await client.connect([topic]);
  const fetcher = new Fetcher({ client, topic, clock: systemClock, ends: new Map() });
  const latencies: number[] = [];
  const stop = new AbortController();
  const readers = Array.from({ length: PARTITIONS }, async (_, partition) => {
    for (let offset = 0; !stop.signal.aborted;) {
      const options = { maxBytes: 1e6, waitMs: 500, signal: stop.signal };
      const { batches } = await fetcher.read(partition, offset, options);
      const now = performance.now();
      for (const batch of batches) {
        for (const record of decodeBatch(batch)) {
          latencies.push(now - Number(decodeUtf8(record.value!)!.split("\t")[1]) / 1000);
          offset = record.offset + 1;
        }
      }
    }
  });
  const loader = await Loader.open(broker.bootstrap, TOPICS["transaction.input.topic"]);
  const from = performance.now();
  let sent = 0;
  const sending: Promise<void>[] = [];
  while (performance.now() - from < 1000 * Number(values.seconds)) {
    const due = Math.floor((performance.now() - from) * rate / 1000);
    const ts = Math.round(1000 * performance.now());
    const line = () => `${sent++}\t${ts}\titem_${Math.floor(Math.random() * ITEMS)}\t5`;
    const timestamp = Math.round(origin + performance.now());
    sending.push(
      loader.append(Array.from({ length: due - sent }, () => loader.recordOf(line(), timestamp))),
    );
    await sleep(TICK_MS);
  }
  await Promise.all(sending);
  while (latencies.length < sent) await sleep(50);
  stop.abort();
  await Promise.all(readers);
  const counted = latencies.slice(Math.floor(SKIPPED * latencies.length)).toSorted((a, b) => a - b);
  const at = (share: number) => counted[Math.floor(share * (counted.length - 1))]!.toFixed(1);
  console.log(
    `${rate} records/s, commits every ${values.commit} ms: p50 ${at(0.5)} ms, p99 ${
      at(0.99)
    } ms, ` +
      `max ${at(1)} ms of ${counted.length}`,
  );
  await job.kill();
  await loader.close();
  await client.close();
} finally {
  await broker.remove();
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(0);
