// A worker of a sink on a log that is made up: what it takes from one consumer to the next.

import { assert, assertEquals } from "@std/assert";
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
