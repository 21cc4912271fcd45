// Windows that are fired because a partition has no records: only if that was known all the time.

import { assertEquals } from "@std/assert";
import { Idleness } from "../../src/engine/idleness.ts";
import { Random } from "../../tools/kit/random.ts";
import { OtherSessions } from "../log/log_doubles.ts";
import { drain, feed } from "./feeding.ts";
import { type Life, World } from "./world.ts";

const IDLE_MS = 20_000;

const coresOf = ({ worker }: Life) => worker.partitions.map(({ processor }) => processor.core);

const haveOpen = (life: Life) => coresOf(life).map((core) => core.openWindows > 0);

const late = (life: Life) => coresOf(life).map((core) => core.state.late);

/** Time passes in which the log is looked at again and again. */
async function pass({ clock }: World, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) await clock.advance(500);
}

Deno.test("time in which nothing is known of a log does not count as idle: a leader that hides records behind it has none fired late", async () => {
  const world = await World.open({ "window.idle.timeout.ms": String(IDLE_MS) });
  /** What the log answers: all it has; that it does not know its end; or that it ends where it is asked. */
  let shows: "all" | "nothing known" | "no more" = "all";
  const life = await world.start(() => null, {
    wrapLog: (log) =>
      new OtherSessions(log, (session) => ({
        read: async (partition, offset, options) => {
          if (shows === "all") return await session.read(partition, offset, options);
          await world.clock.sleep(options.waitMs, options.signal);
          return { batches: [], endOffset: shows === "no more" ? offset : -1 };
        },
      })),
  });
  await feed(world, life, new Random(7), 60);
  await drain(world, life);
  await pass(world, 1000);
  shows = "nothing known";
  await pass(world, 1000); // reads that were under way have ended
  await feed(world, life, new Random(8), 40);
  await pass(world, IDLE_MS);
  shows = "no more";
  await pass(world, IDLE_MS / 2);
  assertEquals(haveOpen(life), [true, true]);
  shows = "all";
  await drain(world, life);
  assertEquals(late(life), [0n, 0n]);
  await world.clock.until(() => haveOpen(life).every((open) => !open), "all are fired");
  await world.stop(life);
  assertEquals(life.worker.recoveries, 0);
  world.close();
});

Deno.test("a partition is idle for as long as it was looked at without a pause, and had no record", () => {
  let now = 1000;
  const idleness = new Idleness({ monotonic: () => now });
  const after = (ms: number) => {
    now += ms;
    return idleness.look();
  };
  assertEquals([after(0), after(2000), after(2000)], [0, 2000, 4000]);
  assertEquals([after(60_000), after(2000)], [0, 2000]); // the process stood still, or had no room
  idleness.over();
  assertEquals([after(2000), after(500)], [0, 500]);
});
