import { assert, assertEquals } from "@std/assert";
import { Format, Partitioner, warmUpInSteps } from "../../src/wasm/mod.ts";

Deno.test("warmUpInSteps goes through a way of the core in many steps, and once", () => {
  const options = {
    format: Format.Text,
    partitioner: Partitioner.None,
    partition: 0,
    partitions: 1,
    windowMs: 7,
    eventTime: false,
    outOfOrderMs: 0,
    maxAheadMs: 0,
    alertTotalMin: 100,
    alertRateMin: 0.5,
  };
  assert([...warmUpInSteps(options)].length > 10);
  assertEquals([...warmUpInSteps(options)].length, 0);
  assert([...warmUpInSteps({ ...options, eventTime: true })].length > 10);
});
