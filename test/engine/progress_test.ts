import { assert, assertEquals } from "@std/assert";
import { type Progress, ProgressReporter } from "../../src/engine/mod.ts";
import { ManualClock } from "./manual_clock.ts";
import { line, PARTITIONS, World } from "./world.ts";

Deno.test("ProgressReporter adds up parts, and counts those to come like those before", () => {
  const clock = new ManualClock();
  const reported: Progress[] = [];
  const reporter = new ProgressReporter("me", 4, clock, (p) => void reported.push(p));
  const about = { work: "restore", by: "me", over: false } as const;
  const first = reporter.begin("restore", 100);
  assertEquals(reported.pop(), { ...about, done: 0, total: 400 });
  void clock.advance(100);
  first(60);
  assertEquals(reported.pop(), { ...about, done: 60, total: 400 });
  first(100); // too soon
  assertEquals(reported, []);
  void clock.advance(100);
  reporter.begin("restore", 300)(50);
  assertEquals(reported, [{ ...about, done: 100, total: 800 }]);
  void clock.advance(100);
  reporter.begin("replay", 0); // nothing to report
  reporter.end();
  assertEquals(reported.slice(1), [{ ...about, done: 150, total: 400, over: true }]);
  reporter.end();
  assertEquals(reported.length, 2);
});

Deno.test("a recovery reports what it restores and what it folds again", async () => {
  const world = await World.open({ "checkpoint.interval.millis": "0" });
  const put = async (from: number, count: number) => {
    const life = await world.start(undefined, { flags: { "checkpoint.interval.millis": "1000" } });
    for (let p = 0; p < PARTITIONS; p++) {
      const records = Array.from({ length: count }, (_, i) => from + i)
        .map((i) => line(i, `item_${i}`, 1, world.clock.now()))
        .filter(({ itemId }) => life.job.context.owners.partitionOf(itemId) === p)
        .map(({ record }) => record);
      await world.clock.run(life.log.append("transactions", p, records), "records are appended");
    }
    await world.clock.until(() => life.worker.recordsIn === count, "all is folded");
    return life;
  };
  await world.stop(await put(0, 2000)); // leaves a checkpoint
  const killed = await put(2000, 500);
  await world.clock.until(() => killed.worker.commits >= PARTITIONS, "all is committed");
  killed.kill();
  await world.stop(killed).catch(() => {});

  const reported: Progress[] = [];
  const life = await world.start(undefined, { onProgress: (p) => void reported.push(p) });
  for (const [work, total] of [["restore", 2000], ["replay", 500]] as const) {
    const reports = reported.filter((p) => p.work === work);
    const first = reports[0]!;
    assertEquals(first.done, 0, work);
    assert(first.total > 0.8 * total && first.total < 1.2 * total, `${work}: ${first.total}`);
    assertEquals(reports.at(-1), { work, by: "partitions 0,1", done: total, total, over: true });
    assertEquals(reports.filter((p) => p.over).length, 1);
  }
  await world.stop(life);
  world.close();
});
