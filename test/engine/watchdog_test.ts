import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { Activity } from "../../src/engine/threads/activity.ts";
import type { Thread } from "../../src/engine/threads/early_threads.ts";
import { ThreadWorker, type ThreadWorkerOptions } from "../../src/engine/threads/thread_worker.ts";
import { Conditions } from "../../src/engine/mod.ts";
import { EmbeddedItemTransactionJob } from "../../src/jobs/mod.ts";
import { Parameters } from "../../src/parameters/mod.ts";
import { StopError } from "../../src/log/mod.ts";
import { HungError, toKv, watchKv } from "../../src/kv/mod.ts";
import { openWatchedKv } from "../../src/kv/mod.ts";
import { NO_FIGURES } from "../../src/engine/figures.ts";
import { systemClock } from "../../src/types/mod.ts";
import { casesOfTest, Random } from "../../tools/kit/random.ts";
import { FaultKv } from "../kv/fault_kv.ts";
import { openLog, records, valuesOf } from "../log/log_fixture.ts";
import { drain, feed } from "./feeding.ts";
import { ManualClock } from "./manual_clock.ts";
import { World } from "./world.ts";

Deno.test("a KV call that never answers fails in time, and is reported by its name", async () => {
  const clock = new ManualClock();
  const kv = new FaultKv(await Deno.openKv(":memory:"), (n) => n === 2 ? "hangs" : null);
  const reported: string[] = [];
  const onHung = (what: string, ms: number) => reported.push(`${what}: ${ms}`);
  const watched = watchKv(kv, { name: "log.kv", timeoutMs: 5000, clock, onHung });
  assert((await watched.atomic().set(["a"], 1).commit()).ok);
  await assertRejects(
    () => clock.run(watched.atomic().set(["a"], 2).commit(), "it fails"),
    HungError,
    "commit null of log.kv did not answer within 5000 ms",
  );
  assertEquals(reported.length, 1);
  assertEquals((await watched.get(["a"])).value, 1);
  assertEquals((await Array.fromAsync(watched.list({ prefix: [] }))).length, 1);
  assertEquals(await Array.fromAsync(watched.listKeys({ prefix: [] })), [["a"]]);
  kv.kv.close();
});

Deno.test("a KV call is not taken to hang while the thread that waits for it stands still", async () => {
  const clock = new ManualClock();
  const kv = new FaultKv(await Deno.openKv(":memory:"), () => null);
  const answer = Promise.withResolvers<Deno.KvEntryMaybe<number>>();
  kv.get = () => answer.promise as never;
  const reported: string[] = [];
  const onHung = (what: string) => reported.push(what);
  const watched = watchKv(kv, { name: "log.kv", timeoutMs: 5000, clock, onHung });
  const got = watched.get<number>(["a"]);
  await clock.advance(60_000);
  answer.resolve({ key: ["a"], value: 1, versionstamp: "1" });
  assertEquals((await got).value, 1);
  assertEquals(reported, []);
  kv.kv.close();
});

Deno.test("a damaged KV file stops the job at once, with its path and what to do", async () => {
  const clock = new ManualClock();
  for (
    const message of [
      "database disk image is malformed",
      "file is not a database",
      "malformed database schema (queue)",
      "unsupported file format",
      "table data_version already exists in ",
      "The value encoding -7 is unknown.",
      "could not deserialize value",
      "unexpected end of file",
      "invalid tag",
      "invalid utf8",
    ]
  ) {
    const damaged = {
      ...toKv(await Deno.openKv(":memory:")),
      get: () => Promise.reject(new TypeError(message)),
    };
    const openKv = () => Promise.resolve(damaged);
    const error = await assertRejects(
      () =>
        openWatchedKv(
          { clock, openKv },
          { path: "data/state.kv", timeoutMs: 1000 },
          (kv) => kv.get(["a"]),
        ),
      StopError,
      `data/state.kv is damaged: `,
    );
    assert(error.message.includes(message));
    assert((error as StopError).remedy.includes("move data/state.kv away"));
  }
});

Deno.test("a file that cannot be read when the job starts stops it, with its path and what to do", async () => {
  for (const broken of ["data/state.kv", "data/log.kv"]) {
    const opened: Deno.Kv[] = [];
    const openKv = async (path: string) => {
      const kv = await Deno.openKv(":memory:");
      opened.push(kv);
      const fails = () => Promise.reject(new TypeError("disk I/O error"));
      const list = () => ({
        next: fails,
        [Symbol.asyncIterator]() {
          return this;
        },
      });
      return path === broken ? { ...toKv(kv), get: fails, list: list as never } : toKv(kv);
    };
    const surroundings = { clock: systemClock, chance: () => 0.5, openKv };
    const params = Parameters.of({ "state.kv": "data/state.kv", "log.kv": "data/log.kv" });
    const starting = new EmbeddedItemTransactionJob()
      .createApplicationPipeline(params).start("test", surroundings);
    const message = `Cannot read ${broken}: disk I/O error`;
    const error = await assertRejects(() => starting, StopError, message);
    assert((error as StopError).remedy.includes(`move ${broken} away`));
    // Both files are closed.
    for (const kv of opened) assertThrows(() => kv.close());
  }
});

Deno.test("a write that hung never happens behind a later one", async () => {
  const clock = new ManualClock();
  const kv = new FaultKv(
    await Deno.openKv(":memory:"),
    (n) => n === 4 ? "hangs, then happens" : null,
  );
  const onHung = () => {};
  const log = await clock.run(
    openLog(watchKv(kv, { name: "log", timeoutMs: 1000, clock, onHung }), clock),
    "it opens",
  );
  await log.append("transactions", 0, records(["first"]));
  const hung = log.append("transactions", 0, records(["hung"])).then(
    () => "written",
    (e) => e.name,
  );
  assertEquals(await clock.run(hung, "it is reported"), "HungError");
  // The hung write happens just before this one, at the offset that this one would have taken.
  const next = log.append("transactions", 0, records(["next"])).then(
    () => "written",
    (e) => e.name,
  );
  assertEquals(await clock.run(next, "the next is reported"), "UnknownWriteError");
  await log.append("transactions", 0, records(["last"]));
  assertEquals(await valuesOf(log, "transactions", 0), ["first", "hung", "last"]);
  kv.kv.close();
});

Deno.test("job recovers from a write that never answers, whether it happens or not", async () => {
  for (const [row, fault] of (["hangs", "hangs, then happens"] as const).entries()) {
    for (const file of ["log", "state"] as const) {
      for (const third of casesOfTest(1, 5, 2, row)) {
        const at = 3 * third;
        const world = await World.open({ "watchdog.timeout.ms": "1000" });
        const life = await world.start((f, n) => f === file && n === at ? fault : null);
        const random = new Random(at);
        for (let round = 0; round < 4; round++) {
          void feed(world, life, random, 25).catch(() => {});
          await world.clock.advance(700);
          for (let i = 0; i < 30; i++) await world.clock.advance(100);
        }
        assertEquals(life.job.failure, null);
        await drain(world, life);
        await world.stop(life);
        await world.assertExactlyOnce();
        world.close();
      }
    }
  }
});

const SPEC = { partitions: [1, 3], settings: { restartAttempts: 3 } };

interface SentCall {
  readonly id: number;
  readonly method?: string;
  readonly args?: unknown[];
}

/** A thread that answers nothing; the first one says what it is busy with, the next ones end at once. */
class SilentThread implements Thread {
  static started = 0;
  onmessage: Thread["onmessage"] = null;
  onmessageerror: Thread["onmessageerror"] = null;
  onerror: Thread["onerror"] = null;
  terminated = false;

  postMessage(messages: readonly SentCall[]): void {
    const message = messages.find(({ method }) => method === "run");
    if (!message) return;
    if (++SilentThread.started === 1) {
      const [{ activity }] = message.args as [{ activity: SharedArrayBuffer }];
      new Activity(activity).set("folding", 3);
      return;
    }
    const answer = { kind: "answer", id: message.id, value: undefined };
    queueMicrotask(() => this.onmessage!.call(this as never, { data: [answer] } as MessageEvent));
  }

  terminate(): void {
    this.terminated = true;
  }
}

/** A thread that crashes as soon as it is to run. */
class CrashingThread extends SilentThread {
  override postMessage(messages: readonly SentCall[]): void {
    if (!messages.some(({ method }) => method === "run")) return;
    const event = new ErrorEvent("error", { message: "out of memory", cancelable: true });
    queueMicrotask(() => this.onerror!.call(this as never, event));
  }
}

Deno.test("a thread that crashes again and again ends the job, with the reason", async () => {
  const clock = new ManualClock();
  const threads: CrashingThread[] = [];
  const worker = workerOf(clock, () => threads[threads.push(new CrashingThread()) - 1]!, []);
  const error = await assertRejects(
    () => clock.run(worker.run(new AbortController().signal), "it ends"),
    StopError,
    "Worker 0 failed 4 times without progress: The thread crashed: out of memory",
  );
  assert((error as StopError).remedy.includes("restart.attempts"));
  assertEquals(threads.length, 4); // the first, and restart.attempts=3
  assert(threads.every((thread) => thread.terminated));
});

function workerOf(clock: ManualClock, startThread: () => Thread, gone: number[]): ThreadWorker {
  return new ThreadWorker({
    name: "Worker 0",
    spec: SPEC as unknown as ThreadWorkerOptions["spec"],
    log: {} as ThreadWorkerOptions["log"],
    store: { kv: {} } as ThreadWorkerOptions["store"],
    conditions: new Conditions(clock),
    clock,
    chance: () => 0.5,
    watchdogMs: 10_000,
    startThread,
    onOwner: (partition) => gone.push(partition),
  });
}

Deno.test("a thread that hangs is noticed in time, logged with what it was doing, and replaced", async () => {
  const clock = new ManualClock();
  const threads: SilentThread[] = [];
  const reported: LogRecord[] = [];
  await configure({
    sinks: { reported: (record) => void reported.push(record) },
    loggers: [
      { category: ["stockflow"], sinks: ["reported"], lowestLevel: "warning" },
      { category: ["logtape", "meta"], sinks: [] },
    ],
    reset: true,
  });
  const gone: number[] = [];
  const worker = workerOf(clock, () => threads[threads.push(new SilentThread()) - 1]!, gone);
  const from = clock.monotonic();
  const run = worker.run(new AbortController().signal);
  await clock.until(() => threads[0]!.terminated, "the first one is given up");
  assert(clock.monotonic() - from < 11_000);
  await clock.run(run, "the second one ends");
  assertEquals(threads.length, 2);
  assertEquals(gone, [1, 3, 1, 3]);
  assertEquals(worker.figures().recoveries, 1);
  const text = reported.map((record) => String(record.properties["message"])).join();
  assert(text.includes("hangs while folding partition 3"), text);
  await reset();
});

/** A thread that reports its figures four times a second, of which nobody hears while the clock is moved at once. */
class TalkingThread extends SilentThread {
  #isOver = false;

  constructor(readonly clock: ManualClock) {
    super();
    void this.#talk();
  }

  async #talk(): Promise<void> {
    while (!this.#isOver) {
      await this.clock.sleep(250);
      const data = { kind: "call", id: 0, method: "figures", args: [NO_FIGURES] };
      this.onmessage?.call(this as never, { data: [data] } as MessageEvent);
    }
  }

  override postMessage(): void {}

  override terminate(): void {
    this.#isOver = true;
    super.terminate();
  }
}

Deno.test("while the control plane stands still, no thread is taken to hang, however long", async () => {
  const clock = new ManualClock();
  const threads: SilentThread[] = [];
  const start = () => threads[threads.push(new TalkingThread(clock)) - 1]!;
  const worker = workerOf(clock, start, []);
  const stop = new AbortController();
  const run = worker.run(stop.signal);
  await clock.advance(1000);
  for (let n = 0; n < 20; n++) {
    // Four times watchdog.timeout.ms: what the thread said meanwhile is heard after the watchdog's look.
    await clock.advance(40_000);
    await clock.advance(50);
    for (let k = 0; k < 5; k++) await clock.advance(250);
  }
  assertEquals(threads.length, 1);
  assertEquals(threads[0]!.terminated, false);
  assertEquals(worker.figures().recoveries, 0);
  worker.crash();
  stop.abort();
  await clock.run(run.catch(() => {}), "it ends");
});
