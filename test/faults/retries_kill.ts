// Producers that send every transaction three times to a Kafka job that is killed again and again.

import { codecOf, encodeUtf8, Format, type ItemTransaction } from "../../src/types/mod.ts";
import { Random } from "../../tools/kit/random.ts";
import { startJob, TOPICS } from "../../tools/kit/job_process.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { startTestBroker } from "../../tools/kit/test_broker.ts";
import { witness } from "../kafka/witness.ts";
import { Answers, judge, type RetryVerdict } from "../system/retries_verdict.ts";
import { SESSION_MS, sleep, untilCaughtUp } from "./scene.ts";

const PARTITIONS = 2;
const ITEMS = 50;
const BATCH = 50;
const TIMES = 3;
const ALIVE_MS_MAX = 1000;
const FLAGS = {
  "idempotency.window.ms": "3600000",
  "checkpoint.interval.millis": "300",
  "commit.interval.ms": "20",
  "kafka.session.timeout.ms": String(SESSION_MS),
};
const CODEC = codecOf(Format.Text);

/** What a producer sends, and when it does so again. */
class Producer {
  readonly sent: ItemTransaction[] = [];
  readonly #waiting: { readonly batch: readonly ItemTransaction[]; left: number }[] = [];
  isOver = false;
  #nextId = 1;

  constructor(readonly loader: Loader, readonly random: Random) {}

  #some(): ItemTransaction[] {
    const { random } = this;
    return Array.from({ length: BATCH }, () => ({
      transactionId: BigInt(this.#nextId++),
      ts: Date.now(),
      itemId: `item_${random.below(ITEMS)}`,
      quantity: random.below(60) - 28,
    }));
  }

  /** New batches, and those of before again, until it is over and each was sent as often as it has to be. */
  async run(): Promise<void> {
    while (!this.isOver || this.#waiting.length > 0) {
      if (!this.isOver) {
        const batch = this.#some();
        this.sent.push(...batch);
        this.#waiting.push({ batch, left: TIMES });
      }
      const next = this.#waiting[this.random.below(this.#waiting.length)]!;
      await this.loader.append(
        next.batch.map((t) => ({
          timestamp: Date.now(),
          key: encodeUtf8(t.itemId),
          value: encodeUtf8(CODEC.formatTransaction(t)),
        })),
      );
      if (--next.left === 0) this.#waiting.splice(this.#waiting.indexOf(next), 1);
      await sleep(20);
    }
  }
}

/** Kills the Kafka job again and again, then compares its results with what was sent. */
export async function kafkaRetriesRun(
  { kills, seed, log = () => {} }: {
    readonly kills: number;
    readonly seed: number;
    readonly log?: (line: string) => void;
  },
): Promise<RetryVerdict> {
  const random = new Random(seed);
  const broker = await startTestBroker();
  const folder = await Deno.makeTempDir({ prefix: "stockflow-retries-" });
  let service: Service | null = null;
  try {
    await broker.createTopics(Object.values(TOPICS), PARTITIONS);
    const loader = await Loader.open(broker.bootstrap, TOPICS["transaction.input.topic"]);
    const producer = new Producer(loader, random);
    service = await startJob(broker.bootstrap, folder, FLAGS);
    await waitReady(service);
    const running = producer.run();
    for (let kill = 1; kill <= kills; kill++) {
      await sleep(100 + random.below(ALIVE_MS_MAX));
      await service.kill();
      log(`kill ${kill}: ${producer.sent.length} transactions so far`);
      service = await startJob(broker.bootstrap, folder, FLAGS);
      await waitReady(service);
    }
    producer.isOver = true;
    await running;
    await loader.close();
    await untilCaughtUp(broker, service);
    const stocks = new Map<string, number>();
    for (let i = 0; i < ITEMS; i++) {
      const response = await fetch(`${service.url}/items/item_${i}`);
      const text = await response.text();
      stocks.set(`item_${i}`, response.ok ? JSON.parse(text).quantity : 0);
    }
    await stopInGoodOrder(service);
    const seen = (await witness(broker.bootstrap, TOPICS["transaction.output.topic"])).flat()
      .map(({ value, headers }) => ({
        result: CODEC.parseTransactionResult(value!),
        isRepetition: "stockflow.duplicate" in headers,
      }));
    return judge(producer.sent, seen, new Answers(), stocks);
  } finally {
    await service?.kill();
    await broker.remove();
    await Deno.remove(folder, { recursive: true });
  }
}
