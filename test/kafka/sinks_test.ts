// A sink in the process of a job on Kafka: a consumer of its output topic with a committed offset of its own.

import { assert, assertEquals } from "@std/assert";
import { decodeSinkMetadata } from "../../src/kafka/committed_metadata.ts";
import { Loader } from "../../tools/kit/load.ts";
import { serviceArguments } from "../../tools/kit/service.ts";
import { type Scene, Stage } from "./scene.ts";
import { witness } from "./witness.ts";
import { until } from "./until.ts";

const ROOT = new URL("../../", import.meta.url);
const stage = await Stage.shared();

/** Starts the job with the sink. */
function start(scene: Scene, file: string, more: Record<string, string> = {}): Deno.ChildProcess {
  const args = serviceArguments(scene.folder, {
    "kafka.bootstrap.servers": stage.broker.bootstrap,
    "commit.interval.ms": "20",
    "kafka.session.timeout.ms": "6000",
    ...scene.flags,
    ...more,
    "test.file": file,
  });
  const own = args.map((arg) => arg === "src/cli/main.ts" ? "test/kafka/sink_job.ts" : arg);
  return new Deno.Command(Deno.execPath(), {
    args: own,
    cwd: ROOT,
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
}

/** What each life of the process was given: place and value, in the order of the calls. */
async function livesOf(file: string): Promise<[place: string, value: string][][]> {
  const text = await Deno.readTextFile(file).catch(() => "");
  return text.split("life\n").slice(1).map((life) =>
    life.split("\n").filter((line) => line !== "").map((line) => {
      const [place, ...value] = line.split(" ");
      return [place!, value.join(" ")];
    })
  );
}

const placesOf = async (file: string) => new Set((await livesOf(file)).flat().map(([p]) => p));

for (const output of ["named", "internal"] as const) {
  stage.test(`a sink on Kafka is given every committed result at least once, in order, over kill -9 and a stop (${output} topic)`, async () => {
    const scene = await stage.scene(2);
    const { topics, group, folder } = scene;
    const file = `${folder}/given`;
    const results = output === "named"
      ? topics["transaction.output.topic"]
      : `${group}-transaction-results`;
    const flags: Record<string, string> = output === "named"
      ? {}
      : { "transaction.output.topic": "", "kafka.create.topics": "true" };
    const loader = await Loader.open(stage.broker.bootstrap, topics["transaction.input.topic"]);
    let sent = 0;
    const send = async (count: number) => {
      const lines = Array.from({ length: count }, () => {
        const id = sent++;
        return loader.recordOf(
          `${id}\t${id}\titem_${id % 7}\t${id % 3 === 2 ? -1 : 1}`,
          Date.now(),
        );
      });
      await loader.append(lines);
    };
    let process = start(scene, file, flags);
    try {
      await send(300);
      await until("the sink has values", async () => (await placesOf(file)).size >= 100);
      await send(200);
      process.kill("SIGKILL");
      await process.status;
      await send(200);
      process = start(scene, file, flags);
      await until("the sink has all", async () => (await placesOf(file)).size === sent);
      process.kill("SIGTERM");
      assertEquals((await process.status).code, 0);
      await send(100);
      process = start(scene, file, flags);
      await until("the sink has the rest", async () => (await placesOf(file)).size === sent);
      process.kill("SIGTERM");
      assertEquals((await process.status).code, 0);
    } finally {
      try {
        process.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await process.status;
    }
    const lives = await livesOf(file);
    assertEquals(lives.length, 3);
    // The same value at the same place, each time: that which readers of the topic see.
    const given = new Map<string, string>();
    for (const [place, value] of lives.flat()) {
      assertEquals(given.get(place) ?? value, value, place);
      given.set(place, value);
    }
    const seen = (await witness(stage.broker.bootstrap, results)).flat();
    const expected = new Map(seen.map(({ partition, offset, value }) => {
      const fields = value!.split("\t");
      return [`${partition}/${offset}`, `${fields[0]} ${fields[4]}`];
    }));
    assertEquals(given, expected);
    for (const [n, life] of lives.entries()) {
      for (const partition of [0, 1]) {
        const offsets = life.map(([place]) => place.split("/").map(Number))
          .filter(([p]) => p === partition).map(([, offset]) => offset!);
        assertEquals(offsets, offsets.toSorted((a, b) => a - b), `life ${n}`);
      }
    }
    // A stop in good order repeats nothing.
    const second = new Set(lives[1]!.map(([place]) => place));
    assert(lives[2]!.every(([place]) => !second.has(place)));
    await stage.withAdmin(async (admin) => {
      const [offsets] = await admin.fetchOffsets({ groupId: `${group}-file`, topics: [results] });
      const last = new Map<number, number>();
      for (const place of given.keys()) {
        const [partition, offset] = place.split("/").map(Number) as [number, number];
        last.set(partition, Math.max(last.get(partition) ?? 0, offset));
      }
      for (const { partition, offset, metadata } of offsets!.partitions) {
        assert(Number(offset) > last.get(partition)!, `partition ${partition} at ${offset}`);
        const { topicId, last: batch } = decodeSinkMetadata(metadata!);
        assert(topicId !== null && batch!.baseOffset < Number(offset), metadata!);
      }
    });
  });
}

stage.test("a sink on Kafka is given all of a topic that is created anew while the job runs, from its first record on", async () => {
  const scene = await stage.scene(1);
  const { topics, folder } = scene;
  const file = `${folder}/given`;
  const results = topics["transaction.output.topic"];
  const loader = await Loader.open(stage.broker.bootstrap, topics["transaction.input.topic"]);
  const send = (from: number, count: number) =>
    loader.append(
      Array.from({ length: count }, (_, i) =>
        loader.recordOf(`${from + i}\t${from + i}\titem_1\t1`, Date.now())),
    );
  const process = start(scene, file, { "kafka.partition.discovery.interval.ms": "300" });
  try {
    await send(0, 40);
    await until("the sink has the first", async () => (await placesOf(file)).size === 40);
    await stage.withAdmin((admin) => admin.deleteTopics({ topics: [results] }));
    const isCreated = () => stage.broker.createTopics([results], 1).then(() => true, () => false);
    await until("the topic is created", isCreated);
    // A producer's first transaction of a topic created anew is lost, and made again: one record stands near its start.
    await send(100, 1);
    await stage.untilCommitted(scene, 41);
    // It becomes as long as the one before, and longer.
    await send(101, 59);
    const given = async () => (await livesOf(file))[0]!.slice(40);
    const idsOf = async () => new Set((await given()).map(([, value]) => value));
    await until("the sink has the last", async () => (await idsOf()).has("159 true"));
    process.kill("SIGTERM");
    assertEquals((await process.status).code, 0);
    const written = (await witness(stage.broker.bootstrap, results)).flat();
    const expected = written.map(({ offset, value }) => {
      const fields = value!.split("\t");
      return [`0/${offset}`, `${fields[0]} ${fields[4]}`];
    });
    assertEquals(expected.length, 60);
    // At least once, in their order.
    const first = (await given()).filter(([place], i, all) =>
      all.findIndex(([other]) => other === place) === i
    );
    assertEquals(first, expected as [string, string][]);
  } finally {
    try {
      process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await process.status;
  }
});
