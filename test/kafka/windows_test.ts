// Summaries are fired once over take-overs, also on an idle partition. Starts a broker of its own
// (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  codecOf,
  encodeUtf8,
  Format,
  type NewRecord,
  Partitioner,
  partitionOf,
} from "../../src/types/mod.ts";
import { Model } from "../model/model.ts";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { runTool } from "./java_tools.ts";
import { Loader } from "../../tools/kit/load.ts";
import { Stage } from "./scene.ts";
import { until } from "./until.ts";
import { witness } from "./witness.ts";

const PARTITIONS = 2;
const WINDOW_MS = 60_000;
const BASE_MS = 1_700_000_040_000;

const stage = await Stage.shared();

/** Waits until all windows of the service are fired and committed. */
function untilFired(service: Service): Promise<void> {
  return until("all windows are fired", async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text();
    return /^stockflow_open_windows(\{.*\})? 0$/m.test(text);
  }, service);
}

for (const eventTime of [false, true]) {
  const kind = eventTime ? "event" : "processing";
  stage.test(`summaries in ${kind} time are fired once over take-overs, also when idle`, async () => {
    const scene = await stage.scene(PARTITIONS);
    const { topics } = scene;
    const input = topics["transaction.input.topic"];
    const loader = await Loader.open(stage.broker.bootstrap, input);
    const flags = {
      "event.time": String(eventTime),
      "watermark.out.of.orderness.ms": "0",
      "transaction.num.min": "0",
      "transaction.failure.rate.min": "0",
      "window.idle.timeout.ms": "1000",
      "kafka.session.timeout.ms": "6000",
      "commit.interval.ms": "20",
    };
    const models = Array.from({ length: PARTITIONS }, (_, partition) =>
      new Model({
        format: Format.Text,
        partitioner: Partitioner.Murmur2,
        partition,
        partitions: PARTITIONS,
        windowMs: WINDOW_MS,
        eventTime,
        outOfOrderMs: 0,
        maxAheadMs: 86_400_000,
        alertTotalMin: 0,
        alertRateMin: 0,
      }));
    let id = 0;
    /** Three windows of records for some partitions, whose last ones stay open until they are idle. */
    const append = async (partitions: readonly number[]) => {
      const lists = new Map<number, NewRecord[]>(partitions.map((p) => [p, []]));
      for (let n = 0; n < 600; n++) {
        const item = `item_${n % 40}`;
        const key = encodeUtf8(item);
        const partition = partitionOf(Partitioner.Murmur2, key, PARTITIONS);
        const time = BASE_MS + 300 * ++id;
        // The other of the two times says nothing.
        const [timestamp, ts] = eventTime ? [BASE_MS, time] : [time, 1];
        const value = encodeUtf8(`${id}\t${ts}\t${item}\t${n % 3 === 0 ? -1_000_000 : 2}`);
        lists.get(partition)?.push({ timestamp, key, value });
      }
      for (const [partition, records] of lists) {
        await loader.appendTo(partition, records);
        const model = models[partition]!;
        for (const { timestamp, value } of records) {
          model.fold({ offset: model.position, timestamp, value });
        }
        model.idle();
      }
      id += 1000; // behind the windows that were fired because the partition was idle
      await stage.untilCommitted(scene, models.reduce((n, model) => n + model.position, 0));
    };

    const folders = [scene.folder, await stage.newFolder()];
    const start = (n: number) => scene.start({ ...flags, "state.kv": `${folders[n]}/state.kv` });
    const first = await start(0);
    await waitReady(first);
    const second = await start(1);
    await append([0, 1]);
    await first.kill();
    await waitReady(second);
    await untilFired(second);
    // Partition 1 stays idle. What stands by has the checkpoints of its first life, or none.
    const third = await start(0);
    await append([0]);
    await untilFired(second);
    await second.kill();
    await waitReady(third);
    // The metric may still be that of before the last records.
    const expected = models.reduce((n, model) => n + model.summaries.length, 0);
    const published = () => witness(stage.broker.bootstrap, topics["summary.output.topic"]);
    const isPublished = async () => (await published()).flat().length >= expected;
    await until("all summaries are published", isPublished, third);
    await stopInGoodOrder(third);
    await loader.close();

    const codec = codecOf(Format.Text);
    const summaries = await witness(stage.broker.bootstrap, topics["summary.output.topic"]);
    for (const [partition, model] of models.entries()) {
      assertEquals(
        summaries[partition]!.map((r) => r.value!).toSorted(),
        model.summaries.map((s) => codec.formatSummary(s.summary)).toSorted(),
      );
      assertEquals(model.summaries.length > 50, true);
    }
  });
}

stage.test("kafka-consumer-groups shows member, offsets and lag", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics["transaction.input.topic"];
  const loader = await Loader.open(stage.broker.bootstrap, topic);
  const record = loader.recordOf("1\t1\titem_2\t70", 1);
  const describe = async () => {
    // deno-fmt-ignore
    const text = await runTool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
      ["--bootstrap-server", stage.broker.bootstrap, "--describe", "--group", scene.group]);
    const line = text.split("\n").find((l) => l.includes(` ${topic} `));
    return line?.trim().split(/\s+/) ?? [text];
  };
  await loader.append([record, record, record]);
  const service = await scene.start();
  await waitReady(service);
  await stage.untilCommitted(scene, 3, service);
  const [group, , partition, offset, end, lag, member] = await describe();
  assertEquals([group, partition, offset, end, lag], [scene.group, "0", "3", "3", "0"]);
  assertStringIncludes(member!, "stockflow");
  await stopInGoodOrder(service);
  await loader.append([record, record]);
  await loader.close();
  assertEquals((await describe()).slice(2, 7), ["0", "3", "5", "2", "-"]);
});
