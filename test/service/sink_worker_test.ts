// A worker of a sink on a log that is made up: what it takes from one consumer to the next.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Conditions } from "../../src/engine/conditions.ts";
import {
  type ConsumableLog,
  type ConsumerSpec,
  LostError,
  OtherLogError,
  type TopicConsumer,
} from "../../src/log/mod.ts";
import type { Delivery } from "../../src/service/mod.ts";
import { SinkWorker } from "../../src/service/sink_worker.ts";
import type { NamedSink } from "../../src/service/streams.ts";
import { encodeBatch, encodeUtf8, setBaseOffset } from "../../src/types/mod.ts";
import { capturingLogs } from "../engine/captured_logs.ts";
import { ManualClock } from "../engine/manual_clock.ts";

function workerOf(
  clock: ManualClock,
  log: ConsumableLog,
  sink: Pick<NamedSink<unknown>, "accept"> & Partial<NamedSink<unknown>>,
  commitIntervalMs = 10,
  conditions = new Conditions(clock),
): SinkWorker {
  return new SinkWorker({
    sink: { kind: "process", name: "s", offsetReset: "earliest", ...sink },
    topic: "t",
    log,
    parse: (value) => value,
    clock,
    chance: () => 0.5,
    conditions,
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
  // At what is committed: what the call has taken comes again.
  await clock.until(() => calls.length === 2, "the second call");
  assertEquals(reads, [0, 0]);
  stop.abort("stop");
  await clock.run(running, "it stops");
});

/** One consumer of a ChangingLog. */
interface Session {
  /** Values of each partition. */
  readonly values: readonly string[];
  readonly committed: number;
  readonly begun: boolean;
  /** 1 if nothing is said. */
  readonly partitions?: number;
}

/** A log whose topic may be another one for each consumer. */
class ChangingLog implements ConsumableLog {
  readonly specs: ConsumerSpec[] = [];
  /** What was committed. */
  readonly commits: [session: number, partition: number, offset: number][] = [];
  readonly #ended: AbortController[] = [];

  constructor(readonly clock: ManualClock, readonly sessions: readonly Session[]) {}

  prepareConsumer(): Promise<void> {
    return Promise.resolve();
  }

  consume(spec: ConsumerSpec): Promise<TopicConsumer> {
    const session = this.specs.length;
    const { values, committed, begun, partitions = 1 } = this.sessions[session]!;
    this.specs.push(spec);
    const ended = new AbortController();
    this.#ended.push(ended);
    const all = Array.from({ length: partitions }, (_, p) => p);
    return Promise.resolve({
      committed: new Map(all.map((p) => [p, committed])),
      begun: new Set(begun ? all : []),
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
      endOf: (partition) => partition < partitions ? values.length : null,
      commit: (offsets) => {
        if ([...offsets.keys()].some((partition) => partition >= partitions)) {
          return Promise.reject(new LostError("There is no such partition"));
        }
        for (const [partition, offset] of offsets) this.commits.push([session, partition, offset]);
        return Promise.resolve();
      },
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
    assert(logged.some((line) => line.includes("t-0 is another log now")));
    stop.abort("stop");
    await clock.run(running, "it stops");
  }));

const SINCE: readonly [what: string, next: Session, again: readonly string[]][] = [
  [
    "lost its end, and was written to since",
    { values: ["a", "B", "C", "D"], committed: 1, begun: false },
    ["B", "C", "D"],
  ],
  [
    "were created anew, and the commit that it begins there had no answer",
    { values: ["A", "B", "C", "D"], committed: 0, begun: false },
    ["A", "B", "C", "D"],
  ],
  [
    "were created anew, and another process had begun with it",
    { values: ["A", "B", "C", "D"], committed: 2, begun: false },
    ["C", "D"],
  ],
];

for (const [what, next, again] of SINCE) {
  Deno.test(`a sink goes on at its committed offset, whatever it has delivered, as if the log ${what}`, async () => {
    for (const Reason of [LostError, OtherLogError]) {
      for (const commitIntervalMs of [10, 60_000]) {
        const clock = new ManualClock();
        const first: Session = { values: ["a", "b", "c"], committed: 0, begun: true };
        const log = new ChangingLog(clock, [first, next]);
        const given: unknown[] = [];
        const accept = (values: readonly unknown[]) => void given.push(...values);
        const worker = workerOf(clock, log, { accept }, commitIntervalMs);
        const isCommitted = () => commitIntervalMs > 10 || worker.neededFrom(0) === 3;
        const stop = new AbortController();
        const running = worker.run(stop.signal);
        await clock.until(() => given.length === 3 && isCommitted(), "all of the first");
        log.end(new Reason("The log of t-0 is not there as it was"));
        await clock.until(() => given.at(-1) === "D", "all of the second");
        assertEquals(given, ["a", "b", "c", ...again]);
        stop.abort("stop");
        await clock.run(running, "it stops");
      }
    }
  });
}

Deno.test("behind a failure nothing is committed: what was delivered may not be in the log any more", async () => {
  for (const Reason of [LostError, OtherLogError]) {
    const clock = new ManualClock();
    const log = new ChangingLog(clock, [
      { values: ["a", "b", "c"], committed: 0, begun: true },
      { values: ["a", "B"], committed: 0, begun: false },
    ]);
    const given: unknown[] = [];
    const accept = (values: readonly unknown[]) => void given.push(...values);
    const worker = workerOf(clock, log, { accept }, 60_000);
    const stop = new AbortController();
    const running = worker.run(stop.signal);
    await clock.until(() => given.length === 3, "all of the first");
    log.end(new Reason("The log of t-0 ends before offset 2"));
    await clock.until(() => given.length === 5, "all of the second");
    assertEquals([given, log.commits], [["a", "b", "c", "a", "B"], []]);
    stop.abort("stop");
    await clock.run(running, "it stops");
    assertEquals(log.commits, [[1, 0, 2]], "a stop in good order commits");
  }
});

Deno.test("a call with values of the log before, which ends late, does not move on in the log that stands there now", async () => {
  const clock = new ManualClock();
  const log = new ChangingLog(clock, [
    { values: ["a", "b", "c"], committed: 0, begun: true },
    { values: ["a", "B", "C", "D"], committed: 1, begun: false },
  ]);
  const given: unknown[] = [];
  const first = Promise.withResolvers<void>();
  const accept = (values: readonly unknown[]) => {
    given.push(...values);
    return given.length === 3 ? first.promise : Promise.resolve();
  };
  const worker = workerOf(clock, log, { accept }, 60_000);
  const stop = new AbortController();
  const running = worker.run(stop.signal);
  await clock.until(() => given.length === 3, "the call");
  log.end(new OtherLogError("The log of t-0 ends before offset 2"));
  await clock.until(() => log.specs.length === 2, "the next consumer");
  await clock.advance(5000);
  assertEquals(given, ["a", "b", "c"]);
  first.resolve();
  await clock.until(() => given.at(-1) === "D", "all of the second");
  assertEquals(given, ["a", "b", "c", "B", "C", "D"]);
  stop.abort("stop");
  await clock.run(running, "it stops");
});

Deno.test("of partitions that a topic created anew has not, nothing is committed; what they held counts as lost", () =>
  capturingLogs(async (logged) => {
    const clock = new ManualClock();
    const conditions = new Conditions(clock);
    const log = new ChangingLog(clock, [
      { values: ["a", "b"], committed: 0, begun: true, partitions: 3 },
      { values: ["A"], committed: 0, begun: true },
    ]);
    const given: [number, unknown][] = [];
    let failures = 0;
    const accept = (values: readonly unknown[], { partition }: Delivery) => {
      if (partition === 2 && ++failures) throw new Error("The shop is closed");
      given.push(...values.map((value): [number, unknown] => [partition, value]));
    };
    const worker = workerOf(clock, log, { accept }, 60_000, conditions);
    const stop = new AbortController();
    const running = worker.run(stop.signal);
    await clock.until(() => given.length === 4 && failures > 0, "what it takes");
    assertStringIncludes(conditions.list()[0]!.reason, "t-2 at offset 0: The shop is closed");
    log.end(new OtherLogError("Topic t was deleted and created anew"));
    await clock.until(() => given.length === 5, "all of the second");
    assertEquals(given.at(-1), [0, "A"]);
    const { lost, partitions } = worker.figures();
    assertEquals([lost, partitions.map((p) => p.partition)], [2, [0]]);
    assert(
      logged.some((line) =>
        line.includes("t-2 is not there any more") && line.includes("2 records were not delivered")
      ),
    );
    assertEquals(conditions.list(), [], "nobody waits for a partition that is gone");
    stop.abort("stop");
    await clock.run(running, "it stops");
    assertEquals(log.commits, [[1, 0, 1]]);
  }));

Deno.test("a partition that is gone and comes again is given nothing while a call from before has not ended", async () => {
  const clock = new ManualClock();
  const log = new ChangingLog(clock, [
    { values: ["a"], committed: 0, begun: true, partitions: 2 },
    { values: ["A"], committed: 0, begun: true },
    { values: ["1"], committed: 0, begun: true, partitions: 2 },
  ]);
  const given: unknown[] = [];
  const first = Promise.withResolvers<void>();
  const accept = (values: readonly unknown[], { partition }: Delivery) => {
    given.push(...values.map((value) => `${partition}${value}`));
    return given.at(-1) === "1a" ? first.promise : Promise.resolve();
  };
  const worker = workerOf(clock, log, { accept });
  const stop = new AbortController();
  const running = worker.run(stop.signal);
  for (const value of ["1a", "0A", "01"]) {
    await clock.until(() => given.includes(value), value);
    if (value !== "01") log.end(new LostError("The topic is created anew"));
  }
  await clock.advance(5000);
  assertEquals(given, ["0a", "1a", "0A", "01"]);
  first.resolve();
  await clock.until(() => given.length === 5, "it goes on");
  assertEquals(given.at(-1), "11");
  stop.abort("stop");
  await clock.run(running, "it stops");
});

Deno.test("why a sink cannot begin is reported until it can; behind that, a call that hangs is reported as before", async () => {
  for (const hangs of [false, true]) {
    const clock = new ManualClock();
    const conditions = new Conditions(clock);
    const reasons = () => conditions.list().map(({ what, reason }) => `${what}: ${reason}`);
    const session: Session = { values: ["a"], committed: 0, begun: false };
    const there = new ChangingLog(clock, [session, session]);
    let isOffline = false;
    const log: ConsumableLog = {
      prepareConsumer: () => Promise.resolve(),
      consume: (spec) =>
        isOffline
          ? Promise.reject(new LostError("Partitions 1 of t have no leader now"))
          : there.consume(spec),
    };
    const accept = () => hangs ? new Promise<void>(() => {}) : Promise.resolve();
    const worker = workerOf(clock, log, { accept }, 10, conditions);
    const stop = new AbortController();
    const running = worker.run(stop.signal);
    const hasBegun = () => hangs ? reasons().length > 0 : worker.neededFrom(0) === 1;
    await clock.until(hasBegun, "it begins");
    const hanging = "sink: Sink s is behind: it has not taken t-0 at offset 0 for 1000 ms " +
      "(watchdog.timeout.ms)";
    assertEquals(reasons(), hangs ? [hanging] : []);
    isOffline = true;
    there.end(new LostError("A partition has no leader now"));
    const offline = "sink: Partitions 1 of t have no leader now";
    await clock.until(() => reasons()[0] === offline, "it is reported");
    isOffline = false;
    await clock.until(() => there.specs.length === 2, "it begins again");
    assertEquals(reasons(), hangs ? [hanging] : []);
    stop.abort("stop");
    await clock.run(running, "it stops");
  }
});
