// What goes wrong without an end of the job is logged.

import { assertEquals } from "@std/assert";
import { PARTITIONS, World } from "./world.ts";
import { capturingLogs } from "./captured_logs.ts";

const WARNINGS = /^(warning|error)/;

Deno.test("invalid transactions and queries are logged, with reason and place", () =>
  capturingLogs(async (logged) => {
    const world = await World.open();
    const life = await world.start();
    const record = (value: string | null) => ({
      timestamp: 5,
      key: null,
      value: value === null ? null : new TextEncoder().encode(value),
    });
    const values = ["nonsense", "1\t5\titem_1\t7", "more", null];
    const { log } = life;
    await world.clock.run(log.append("transactions", 1, values.map(record)), "transactions");
    await world.clock.run(log.append("queries", 0, [record("1 a"), record("one a")]), "queries");
    await world.clock.until(
      () => life.worker.recordsIn + life.job.queries.answered >= values.length + 1,
      "all of it is folded",
    );
    await world.stop(life);
    world.close();
    const reported = logged.filter((line) =>
      WARNINGS.test(line) && !line.includes("wrong_partition")
    );
    assertEquals(reported.toSorted(), [
      "warning Invalid in queries-0 at offset 1: malformed",
      "warning Invalid in transactions-1 from offset 0 on: 2 records, malformed",
      "warning Invalid in transactions-1 from offset 3 on: 1 records, null_value",
    ]);
  }));

Deno.test("operations that the files refuse are logged, and tried again", () =>
  capturingLogs(async (logged) => {
    const world = await World.open();
    const life = await world.start((file, commit) =>
      (file === "log" && commit === 4) || (file === "state" && commit === 2) ? "fails" : null
    );
    assertEquals(PARTITIONS, 2);
    await world.stop(life);
    world.close();
    const reported = logged.filter((line) => WARNINGS.test(line));
    assertEquals(reported.toSorted(), [
      "warning The checkpoints' file of test is tried again: database is locked",
      "warning The log's file is tried again: database is locked",
    ]);
  }));

Deno.test("a commit that is lost is logged with what follows", () =>
  capturingLogs(async (logged) => {
    const world = await World.open();
    const life = await world.start(undefined, {
      wrapLog: (log) => {
        let lost = false;
        const claim = log.claim.bind(log);
        log.claim = async (input, partitions) => {
          const session = await claim(input, partitions);
          if (input !== "transactions" || lost) return session;
          const commit = session.commit.bind(session);
          session.commit = (c) => lost ? commit(c) : (lost = true, Promise.resolve("lost"));
          return session;
        };
        return log;
      },
    });
    const transaction = { transactionId: 1n, ts: 5, itemId: "item_1", quantity: 7 };
    await world.clock.run(life.job.gateway!.execute([transaction]), "it is executed");
    await world.clock.until(() => life.worker.commits > 0, "it is committed");
    await world.stop(life);
    world.close();
    assertEquals(logged.filter((line) => WARNINGS.test(line)), [
      "warning Transactions of transactions: A commit of transactions was lost; recovering",
    ]);
  }));

Deno.test("a last commit that is lost is logged, and done by the next start", () =>
  capturingLogs(async (logged) => {
    const world = await World.open({ "commit.interval.ms": "60000" });
    const life = await world.start(undefined, {
      wrapLog: (log) => {
        const claim = log.claim.bind(log);
        log.claim = async (input, partitions) => {
          const session = await claim(input, partitions);
          if (input === "transactions") session.commit = () => Promise.resolve("lost");
          return session;
        };
        return log;
      },
    });
    const transaction = { transactionId: 1n, ts: 5, itemId: "item_1", quantity: 7 };
    await world.clock.run(life.job.gateway!.execute([transaction]), "it is executed");
    await world.stop(life);
    assertEquals(logged.filter((line) => WARNINGS.test(line)), [
      "warning Transactions of transactions: A commit of transactions was lost; stopping, what is not " +
      "committed yet comes after the next start",
    ]);
    const next = await world.start();
    await world.clock.until(() => next.worker.commits > 0, "it is committed");
    await world.stop(next);
    await world.assertExactlyOnce();
    world.close();
  }));
