import { assert } from "@std/assert";
import { faultRun } from "./faults.ts";
import { whySkipped } from "../../tools/kit/test_broker.ts";
import { assertGood, faultTest } from "./with_broker.ts";

/** The oldest line of brokers that is tried each time: ZooKeeper, no topic ids in a fetch. */
const OLD_VERSION = "2.8.2";

/** A small part of the load of `deno task faults`: else most of the test's CPU is the load and its verdict. */
const LOAD_PAUSE_MS = 200;

faultTest("Kafka job: kills of job and broker lose nothing and double nothing", async (seed) => {
  const faults = { kills: 10, brokerKills: 1, pauses: 1, stops: 1, clockJumps: 0, rebalances: 2 };
  const { verdict } = await faultRun({ ...faults, seed, loadPauseMs: LOAD_PAUSE_MS });
  assertGood(seed, verdict);
  assert(verdict.inputs > 20_000 && verdict.summaries > 100 && verdict.deadLetters > 100);
  assert(verdict.queries > 50);
});

faultTest(
  `Kafka job on Apache Kafka ${OLD_VERSION}: kills of job and broker lose nothing and double nothing`,
  async (seed) => {
    const faults = { kills: 3, brokerKills: 1, pauses: 0, stops: 1, clockJumps: 0, rebalances: 0 };
    const { verdict } = await faultRun({
      ...faults,
      seed,
      loadPauseMs: LOAD_PAUSE_MS,
      brokerVersion: OLD_VERSION,
    });
    assertGood(seed, verdict);
    assert(verdict.inputs > 10_000 && verdict.summaries > 100 && verdict.deadLetters > 100);
  },
  await whySkipped(OLD_VERSION),
);
