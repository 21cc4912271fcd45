import { assertEquals, assertRejects } from "@std/assert";
import { Heartbeats } from "../../../src/kafka/heartbeats.ts";
import { ManualClock } from "../../engine/manual_clock.ts";

const INTERVAL_MS = 100;

/** Heartbeats that are answered when a test says so. */
async function beating() {
  const clock = new ManualClock();
  await clock.advance(10 - clock.monotonic() % 10); // a turn begins
  const heartbeats = new Heartbeats(clock);
  const stop = new AbortController();
  const sent: (PromiseWithResolvers<void> & { at: number; counts: () => boolean })[] = [];
  const from = clock.monotonic();
  const running = heartbeats.run(
    INTERVAL_MS,
    (counts) => {
      sent.push({ ...Promise.withResolvers<void>(), at: clock.monotonic() - from, counts });
      return sent.at(-1)!.promise;
    },
    stop.signal,
  );
  running.catch(() => {});
  await clock.settle();
  return { clock, heartbeats, stop, sent, running, times: () => sent.map(({ at }) => at) };
}

Deno.test("Heartbeats: one goes at its time, or when it is asked for; of a turn the first at once, the others together in the next", async () => {
  const { clock, heartbeats, stop, sent, running, times } = await beating();
  await clock.advance(INTERVAL_MS);
  assertEquals(times(), [100]);
  sent[0]!.resolve();
  await clock.advance(12);
  heartbeats.ask();
  await clock.settle();
  assertEquals(times(), [100, 112]);
  sent[1]!.resolve();
  await clock.settle();
  for (let n = 0; n < 3; n++) heartbeats.ask();
  await clock.advance(7);
  assertEquals(times(), [100, 112]);
  await clock.advance(1);
  assertEquals(times(), [100, 112, 120]);
  sent[2]!.resolve();
  await clock.settle();
  await clock.advance(INTERVAL_MS - 1);
  assertEquals(times().length, 3);
  await clock.advance(1);
  assertEquals(times(), [100, 112, 120, 220]);
  stop.abort();
  await running;
});

Deno.test("Heartbeats: who asks while one is under way does not wait for its answer, unless there are two", async () => {
  const { clock, heartbeats, stop, sent, running, times } = await beating();
  heartbeats.ask();
  await clock.settle();
  await clock.advance(INTERVAL_MS);
  assertEquals(times(), [0], "nobody asks");
  heartbeats.ask();
  await clock.settle();
  assertEquals(times(), [0, 100]);
  heartbeats.ask();
  await clock.advance(50);
  assertEquals(times(), [0, 100]);
  sent[0]!.resolve();
  await clock.settle();
  assertEquals(times(), [0, 100, 150]);
  stop.abort();
  await running;
});

Deno.test("Heartbeats: the first that is refused ends them; what is answered behind that does not count", async () => {
  const { clock, heartbeats, sent, running } = await beating();
  heartbeats.ask();
  await clock.settle();
  heartbeats.ask();
  await clock.advance(10);
  assertEquals(sent.map(({ counts }) => counts()), [true, true]);
  sent[1]!.reject(new Error("another generation"));
  await assertRejects(() => running, Error, "another generation");
  assertEquals(sent.map(({ counts }) => counts()), [false, false]);
  sent[0]!.reject(new Error("late"));
  heartbeats.ask();
  await clock.advance(INTERVAL_MS);
  assertEquals(sent.length, 2);
});
