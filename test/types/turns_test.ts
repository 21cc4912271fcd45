import { assertEquals } from "@std/assert";
import { Turns } from "../../src/types/mod.ts";
import { TestClock } from "../log/log_fixture.ts";

Deno.test("long works take turns: one in each turn of the event loop, in their order", async () => {
  const clock = new TestClock();
  const events: string[] = [];
  let turns = 0;
  const sleep = clock.sleep.bind(clock);
  clock.sleep = async (ms) => {
    await sleep(ms);
    events.push(`turn ${++turns}`);
  };
  const work = async (name: string, slices: number) => {
    for (let n = 0; n < slices; n++) {
      await Turns.of(clock).next();
      events.push(name);
    }
  };
  await Promise.all([work("a", 3), work("b", 1), work("c", 2)]);
  assertEquals(events.filter((e) => !e.startsWith("turn")), ["a", "b", "c", "a", "c", "a"]);
  const between = events.join(" ").split(/turn \d+/).map((e) => e.trim());
  assertEquals(between, ["", "a", "b", "c", "a", "c", "a"]);
  // Who comes later finds it as the first did.
  await work("d", 1);
  assertEquals(events.slice(-2), ["turn 7", "d"]);
});

Deno.test("slices are shorter while short work is under way", () => {
  const clock = new TestClock();
  const turns = Turns.of(clock);
  const sliceOf = (short: number) => {
    turns.short = short;
    const slices = turns.begin();
    const from = clock.time;
    while (!slices.isDue(50_000)) clock.time += 0.5;
    return clock.time - from;
  };
  assertEquals(sliceOf(0), 4);
  assertEquals(sliceOf(16), 1);
});

Deno.test("while short work is under way, long work has a third of the thread, and else no pause", async () => {
  const clock = new TestClock();
  const turns = Turns.of(clock);
  const pauses: number[] = [];
  const sleep = clock.sleep.bind(clock);
  clock.sleep = (ms) => {
    pauses.push(ms);
    return sleep(ms);
  };
  // One slice of each of two long works, however many there are.
  const pausesOf = async (short: number) => {
    turns.short = short;
    await Promise.all([turns.next(), turns.next()]);
    return pauses.splice(0);
  };
  const sliceMs = (short: number) => {
    turns.short = short;
    return turns.sliceMs;
  };
  assertEquals(await pausesOf(0), [0, 0]);
  assertEquals(await pausesOf(1), [2 * sliceMs(1), 2 * sliceMs(1)]);
});
