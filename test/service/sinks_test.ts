// Sinks in the process: what they are given over their own failures, crashes, stops and retention.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Delivery, forEach } from "../../src/service/mod.ts";
import type { TransactionResult } from "../../src/types/mod.ts";
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
