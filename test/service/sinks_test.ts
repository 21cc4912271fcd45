// Sinks in the process: what they are given over their own failures, crashes, stops and retention.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Conditions } from "../../src/engine/conditions.ts";
import {
  type ConsumableLog,
  type ConsumerSpec,
  LostError,
  OtherLogError,
  type TopicConsumer,
} from "../../src/log/mod.ts";
import { type Delivery, forEach } from "../../src/service/mod.ts";
import type { NamedSink } from "../../src/service/streams.ts";
import { SinkWorker } from "../../src/service/sink_worker.ts";
import {
  encodeBatch,
  encodeUtf8,
  setBaseOffset,
  type TransactionResult,
} from "../../src/types/mod.ts";
import { ManualClock } from "../engine/manual_clock.ts";
import { capturingLogs } from "../engine/captured_logs.ts";
import { drain, feed } from "../engine/feeding.ts";
import { type Life, line, PARTITIONS, World } from "../engine/world.ts";
import { casesOfTest, Random } from "../../tools/kit/random.ts";

const RESULTS = "transaction-results";

/** What a sink was given: the values by their places, and in the order of each partition. */
class Received {
  readonly #values = new Map<string, string>();
  readonly order: number[][] = Array.from({ length: PARTITIONS }, () => []);
  calls = 0;

  take(values: readonly TransactionResult[], { partition, offset }: Delivery): void {
    this.calls++;
    for (const [i, { transaction: t, success }] of values.entries()) {
      const text = `${t.transactionId}\t${t.ts}\t${t.itemId}\t${t.quantity}\t${success}`;
      const place = `${partition}/${offset + i}`;
      // What comes again is what came.
      assertEquals(this.#values.get(place) ?? text, text, place);
      this.#values.set(place, text);
      this.order[partition]!.push(offset + i);
    }
  }

  /** Fails unless all values that readers of the topic see were given. */
  async assertAll(world: World): Promise<void> {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const records = await world.read(RESULTS, partition);
      const expected = await world.values(RESULTS, partition);
      const given = records.map(({ offset }) => this.#values.get(`${partition}/${offset}`));
      assertEquals(given, expected, `partition ${partition}`);
    }
  }

  /** Offsets of a partition that did not follow the one before; the first is among them. */
  jumps(partition: number): number[] {
    const all = this.order[partition]!;
    return all.filter((offset, i) => i === 0 || offset !== all[i - 1]! + 1);
  }
}

const committedOf = (life: Life, partition: number) => life.job.sinks[0]!.neededFrom(partition);

/** Appends a transaction of each partition, n times. */
async function append(life: Life, world: World, n: number, from = 0): Promise<void> {
  for (let i = from; i < from + n; i++) {
    for (const itemId of ["item_1", "item_2", "item_3", "item_4"]) {
      const partition = life.job.context.owners.partitionOf(itemId);
      const { record } = line(i, itemId, 1, world.clock.now());
      await life.log.append("transactions", partition, [record]);
    }
    await world.clock.advance(100);
  }
}

/** Waits until a sink has been given everything. */
async function untilTaken(world: World, life: Life): Promise<void> {
  await drain(world, life);
  const isBehind = () => life.job.sinks[0]!.figures().partitions.some(({ lag }) => lag !== 0);
  await world.clock.until(() => !isBehind(), "the sink has everything");
}

Deno.test("a sink that throws is given the same values again, with back-off, and then those behind them", async () => {
  const world = await World.open();
  const received = new Received();
  const times: number[] = [];
  let fails = true;
  const life = await world.start(() => null, {
    sink: forEach((values, at) => {
      if (at.partition === 0 && fails) {
        times.push(world.clock.now());
        throw new Error("The shop is closed");
      }
      received.take(values, at);
    }),
  });
  await append(life, world, 5);
  await world.clock.until(() => times.length >= 6, "it fails again and again");
  const [condition] = life.job.context.conditions.list();
  assertEquals([condition!.what, condition!.blocks], ["sink", "nothing"]);
  assertStringIncludes(condition!.reason, "The shop is closed");
  const waits = times.slice(1).map((at, i) => at - times[i]!);
  assert(waits.at(-1)! > 4 * waits[0]!, `${waits}`);
  // It holds up nobody: results are committed, look-ups answered, the other partition is delivered.
  await append(life, world, 5, 5);
  await world.clock.until(() => received.order[1]!.length >= 10, "the other partition is given");
  assertEquals(received.order[0], []);
  assertEquals(life.worker.recoveries, 0);
  assert(life.job.isReady);
  fails = false;
  await untilTaken(world, life);
  await received.assertAll(world);
  assertEquals([received.jumps(0), received.jumps(1)], [[0], [0]]);
  assertEquals(life.job.context.conditions.list(), []);
  assertEquals(life.job.sinks[0]!.figures().failures, times.length);
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("a sink that has failed sink.attempts times stops the job", async () => {
  const world = await World.open({ "sink.attempts": "3" });
  let calls = 0;
  const life = await world.start(() => null, {
    sink: forEach(() => {
      calls++;
      return Promise.reject(new Error("The shop is closed"));
    }, { name: "shop" }),
  });
  await append(life, world, 1);
  await world.clock.until(() => life.job.failure !== null, "the job fails");
  assertStringIncludes(life.job.failure!.message, "Sink shop failed 3 times");
  assert(calls >= 3 && calls <= 3 * PARTITIONS, `${calls}`);
  world.close();
});

Deno.test("a sink that hangs is reported, holds up neither commits nor a stop, and is called again by the next start alone", async () => {
  const world = await World.open({ "watchdog.timeout.ms": "30000" });
  const received = new Received();
  let hanging = 0;
  const life = await world.start(() => null, {
    sink: forEach((_, { partition }) => {
      if (partition === 0) hanging++;
      return partition === 0 ? new Promise<void>(() => {}) : Promise.resolve();
    }),
  });
  await append(life, world, 10);
  await world.clock.until(
    () => life.job.context.conditions.list().length > 0,
    "it is reported",
  );
  assertStringIncludes(life.job.context.conditions.list()[0]!.reason, "has not taken");
  assertEquals(hanging, 1, "one call of a partition at a time");
  await world.stop(life);
  await world.assertExactlyOnce();
  const again = await world.start(() => null, {
    sink: forEach((values, at) => received.take(values, at)),
  });
  await untilTaken(world, again);
  assertEquals(received.jumps(0), [0], "all of the partition that hung");
  assertEquals(received.order[1], [], "nothing of the other, which the stop has committed");
  await world.stop(again);
  world.close();
});

Deno.test("a crash at every write between delivery and its commit: all is delivered at least once, in order, from the committed offset on", async () => {
  let repeated = 0;
  for (const [row, fault] of (["dies before", "dies after"] as const).entries()) {
    for (const at of casesOfTest(3, 30, 14, 7 * row)) {
      const world = await World.open();
      const received = new Received();
      const random = new Random(at);
      const lives: Received[] = [];
      for (const file of ["log", "state", null] as const) {
        const own = new Received();
        lives.push(own);
        let kv: { dead: boolean } | null = null;
        const life = await world.start((f, n) => f === file && n === at ? fault : null, {
          wait: false,
          sink: forEach((values, delivery) => {
            if (kv?.dead) return; // it is gone
            own.take(values, delivery);
            received.take(values, delivery);
          }),
        }).catch(() => null);
        if (!life) continue;
        kv = life.logKv;
        for (let round = 0; round < 6 && !life.logKv.dead; round++) {
          // One that dies within an append is never answered.
          let fed = false;
          void feed(world, life, random, 10).catch(() => {}).finally(() => fed = true);
          await world.clock.until(() => fed || life.logKv.dead, "it is fed, or dead");
          await world.clock.advance(500);
        }
        if (file === null) {
          await untilTaken(world, life);
          await world.stop(life);
        } else life.kill();
      }
      await received.assertAll(world);
      for (const own of lives) {
        for (let p = 0; p < PARTITIONS; p++) {
          assert(own.jumps(p).length <= 1, `one life gives ${own.order[p]} in their order`);
        }
      }
      const given = received.order.reduce((n, offsets) => n + offsets.length, 0);
      const distinct = received.order.reduce((n, offsets) => n + new Set(offsets).size, 0);
      repeated += given - distinct;
      world.close();
    }
  }
  assert(repeated > 0, "some were delivered again");
});

Deno.test("a stop in good order delivers what it has committed: the next start repeats nothing", async () => {
  const world = await World.open();
  const received = new Received();
  const sink = forEach<TransactionResult>((values, at) => received.take(values, at));
  for (let start = 0; start < 3; start++) {
    const life = await world.start(() => null, { sink });
    await append(life, world, 5, 5 * start);
    await world.stop(life);
    await received.assertAll(world);
  }
  assertEquals([received.jumps(0), received.jumps(1)], [[0], [0]]);
  world.close();
});

Deno.test("a sink that is new begins with the first record, or with what comes; one that is known where it was", async () => {
  const world = await World.open();
  const plain = await world.start();
  await append(plain, world, 3);
  await world.stop(plain);
  const before = (await world.read(RESULTS, 1)).length;
  assert(before > 0);
  const earliest = new Received();
  const first = await world.start(() => null, {
    sink: forEach((values, at) => earliest.take(values, at), { name: "all" }),
  });
  await untilTaken(world, first);
  await world.stop(first);
  assertEquals(earliest.jumps(1), [0]);
  const latest = new Received();
  for (let start = 0; start < 2; start++) {
    const life = await world.start(() => null, {
      sink: forEach((values, at) => latest.take(values, at), {
        name: "new",
        offsetReset: "latest",
      }),
    });
    await append(life, world, 2, 3 + 2 * start);
    await untilTaken(world, life);
    await world.stop(life);
  }
  assertEquals(latest.jumps(1), [before]);
  world.close();
});

Deno.test("retention waits for a sink that is behind, up to sink.retention.bytes; what it takes away then is reported", async () => {
  await capturingLogs(async (logged) => {
    const world = await World.open({
      "log.retention.ms": "60000",
      "sink.retention.bytes": "20000",
    });
    const received = new Received();
    let closed = true;
    const life = await world.start(() => null, {
      sink: forEach((values, at) => {
        if (closed) throw new Error("The shop is closed");
        received.take(values, at);
      }),
    });
    const start = () => life.log.bounds(RESULTS, 1).start;
    await append(life, world, 20);
    await drain(world, life);
    await world.clock.advance(3_600_000);
    for (let look = 0; look < 4; look++) await world.clock.advance(60_000);
    assertEquals([start(), committedOf(life, 1)], [0, 0]);
    // More than is kept for it.
    await append(life, world, 300, 20);
    await drain(world, life);
    await world.clock.advance(3_600_000);
    await world.clock.until(() => start() > 0, "what is too much is removed");
    const kept = start();
    closed = false;
    await world.clock.until(() => life.job.sinks[0]!.figures().lost > 0, "the loss is counted");
    assert(logged.some((text) => text.includes("were removed before they were delivered")));
    await untilTaken(world, life);
    assertEquals(received.jumps(1).at(-1), kept);
    // Now that it is delivered, age alone decides.
    for (let look = 0; look < 4; look++) await world.clock.advance(60_000);
    await world.clock.until(() => start() === life.log.bounds(RESULTS, 1).end, "all is removed");
    await world.stop(life);
    world.close();
  });
});

Deno.test("what somebody else wrote to the topic is left out, and the places of the others stay true", async () => {
  await capturingLogs(async (logged) => {
    const world = await World.open();
    const received = new Received();
    const life = await world.start(() => null, {
      sink: forEach((values, at) => received.take(values, at)),
    });
    await append(life, world, 2);
    const bad = { timestamp: world.clock.now(), key: null, value: new Uint8Array([1, 2]) };
    const offset = await life.log.append(RESULTS, 1, [bad]);
    await append(life, world, 2, 2);
    await untilTaken(world, life);
    assertEquals(received.jumps(1), [0, offset + 1]);
    assert(logged.some((text) => text.includes("cannot be read, and is left out")));
    await world.stop(life);
    world.close();
  });
});

function workerOf(
  clock: ManualClock,
  log: ConsumableLog,
  sink: Pick<NamedSink<unknown>, "accept"> & Partial<NamedSink<unknown>>,
  commitIntervalMs = 10,
): SinkWorker {
  return new SinkWorker({
    sink: { kind: "process", name: "s", offsetReset: "earliest", ...sink },
    topic: "t",
    log,
    parse: (value) => value,
    clock,
    chance: () => 0.5,
    conditions: new Conditions(clock),
    commitIntervalMs,
    attempts: 0,
    hangMs: 1000,
    restartAttempts: 3,
    logRetries: 3,
  });
}

Deno.test("a session that begins while a call of the one before is under way waits for it", async () => {
  const clock = new ManualClock();
  const batch = encodeBatch(
    [0, 1].map((n) => ({ timestamp: n, key: null, value: encodeUtf8(`${n}`) })),
  );
  const ended = [new AbortController(), new AbortController()];
  const reads: number[] = [];
  let sessions = 0;
  const log: ConsumableLog = {
    prepareConsumer: () => Promise.resolve(),
    consume: () => {
      const session = sessions++;
      return Promise.resolve({
        committed: new Map([[0, 0]]),
        ended: ended[session]!.signal,
        read: async (_, offset, { signal }) => {
          reads.push(offset);
          if (offset === 0) return { batches: [batch], endOffset: 2 };
          await clock.sleep(1e9, signal);
          return { batches: [], endOffset: 2 };
        },
        endOf: () => 2,
        commit: () => Promise.resolve(),
        close: () => {},
      });
    },
  };
  const calls: PromiseWithResolvers<void>[] = [];
  const accept = () => {
    calls.push(Promise.withResolvers());
    return calls.at(-1)!.promise;
  };
  const worker = workerOf(clock, log, { accept });
  const stop = new AbortController();
  const running = worker.run(stop.signal);
  await clock.until(() => calls.length === 1, "the first call");
  ended[0]!.abort(new LostError("Another process is active"));
  await clock.until(() => sessions === 2, "the next session");
  await clock.advance(5000);
  assertEquals([calls.length, reads], [1, [0]], "nothing while the call is under way");
  calls[0]!.resolve();
  await clock.until(() => reads.length === 2, "it goes on");
  // Behind what the call has taken, not at what was committed.
  assertEquals([calls.length, reads], [1, [0, 2]]);
  stop.abort("stop");
  await clock.run(running, "it stops");
});

/** A log of one partition, whose topic may be another one for each consumer. */
class ChangingLog implements ConsumableLog {
  readonly specs: ConsumerSpec[] = [];
  readonly #ended: AbortController[] = [];

  constructor(
    readonly clock: ManualClock,
    /** By consumer: its values, and where it begins. */
    readonly sessions: readonly {
      readonly values: readonly string[];
      readonly committed: number;
      readonly begun: boolean;
      /** Its commits are lost. */
      readonly loses?: boolean;
    }[],
  ) {}

  prepareConsumer(): Promise<void> {
    return Promise.resolve();
  }

  consume(spec: ConsumerSpec): Promise<TopicConsumer> {
    const { values, committed, begun, loses = false } = this.sessions[this.specs.length]!;
    this.specs.push(spec);
    const ended = new AbortController();
    this.#ended.push(ended);
    return Promise.resolve({
      committed: new Map([[0, committed]]),
      begun: new Set(begun ? [0] : []),
      ended: ended.signal,
      read: async (_, offset, { signal }) => {
        if (offset < values.length) {
          const records = values.slice(offset).map((value) => ({
            timestamp: 1,
            key: null,
            value: encodeUtf8(value),
          }));
          const batch = encodeBatch(records);
          setBaseOffset(batch, offset);
          return { batches: [batch], endOffset: values.length };
        }
        await this.clock.sleep(1e9, AbortSignal.any([signal!, ended.signal]));
        ended.signal.throwIfAborted();
        return { batches: [], endOffset: values.length };
      },
      endOf: () => values.length,
      commit: () => loses ? Promise.reject(new LostError("No answer")) : Promise.resolve(),
      close: () => {},
    });
  }

  /** The last consumer ends. */
  end(reason: Error): void {
    this.#ended.at(-1)!.abort(reason);
  }
}

Deno.test("a topic that was created anew is given from its first record on, however far the sink was in the one before", () =>
  capturingLogs(async (logged) => {
    const clock = new ManualClock();
    const log = new ChangingLog(clock, [
      { values: ["a", "b", "c", "d"], committed: 0, begun: true },
      { values: ["A", "B", "C", "D", "E"], committed: 0, begun: true },
    ]);
    const given: [number, string[]][] = [];
    const calls: PromiseWithResolvers<void>[] = [];
    const accept = (values: readonly unknown[], { offset }: Delivery) => {
      given.push([offset, values as string[]]);
      calls.push(Promise.withResolvers());
      return calls.at(-1)!.promise;
    };
    const worker = workerOf(clock, log, { accept, offsetReset: "latest" });
    const stop = new AbortController();
    const running = worker.run(stop.signal);
    await clock.until(() => calls.length === 1, "the first call");
    log.end(new LostError("Topic t is not there"));
    await clock.until(() => log.specs.length === 2, "the next consumer");
    await clock.advance(5000);
    assertEquals(calls.length, 1, "a call of the topic before is under way");
    calls[0]!.resolve();
    await clock.until(() => calls.length === 2, "it goes on");
    calls[1]!.resolve();
    await clock.run(worker.settled(stop.signal), "all is given");
    assertEquals(given, [[0, ["a", "b", "c", "d"]], [0, ["A", "B", "C", "D", "E"]]]);
    assertEquals(worker.neededFrom(0), 5);
    // What brokers have forgotten with the topic is not taken for a sink that is new.
    assertEquals(log.specs.map(({ offsetReset }) => offsetReset), ["latest", "earliest"]);
    assertEquals(worker.figures().lost, 4, "they were not taken when their topic went");
    assert(logged.some((line) => line.includes("t-0 is another log than the one")));
    stop.abort("stop");
    await clock.run(running, "it stops");
  }));

Deno.test("of a log that has lost records, what was delivered and not committed is given again", async () => {
  for (const [reason, again] of [[LostError, false], [OtherLogError, true]] as const) {
    const clock = new ManualClock();
    const log = new ChangingLog(clock, [
      { values: ["a", "b", "c"], committed: 0, begun: true, loses: true },
      { values: ["a", "B", "C", "D"], committed: 1, begun: false },
    ]);
    const given: unknown[] = [];
    const accept = (values: readonly unknown[]) => void given.push(...values);
    const worker = workerOf(clock, log, { accept }, 60_000);
    const stop = new AbortController();
    const running = worker.run(stop.signal);
    await clock.until(() => given.length === 3, "all of the first");
    log.end(new reason("The log of t-0 ends before offset 2"));
    await clock.until(() => given.at(-1) === "D", "all of the second");
    assertEquals(given, again ? ["a", "b", "c", "B", "C", "D"] : ["a", "b", "c", "D"]);
    stop.abort("stop");
    await clock.run(running, "it stops");
  }
});
