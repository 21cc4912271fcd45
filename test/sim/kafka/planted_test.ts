// The simulator must be able to fail: each bug that is planted in src/kafka is found within some seeds.

import { assert, assertEquals } from "@std/assert";
import { turnOfTheEventLoop } from "../event_loop.ts";
import { Sim } from "../sim.ts";
import { run } from "../simulation.ts";
import { makeKafka } from "./mod.ts";
import { PLANTED_KAFKA_BUGS } from "./planted_bugs.ts";

const SEEDS = 1000;

for (const [name, { plant, from, where, plan }] of Object.entries(PLANTED_KAFKA_BUGS)) {
  Deno.test(`simulated Kafka finds: ${name}`, async () => {
    const options = { kafka: makeKafka, plan };
    for (let seed = from, runs = 0; runs < SEEDS; seed++) {
      if (!where(new Sim(seed, null, true).plan)) continue;
      runs++;
      const { violations } = await run(seed, { ...options, bug: plant() });
      await turnOfTheEventLoop();
      const [first] = violations;
      if (!first) continue;
      // Without the bug nothing breaks: it was the bug that was found.
      assertEquals((await run(seed, { ...options, bug: null })).violations, []);
      console.log(`seed ${seed}, run ${runs}, ${first.promise}: ${first.message.slice(0, 150)}`);
      return;
    }
    assert(false, `${SEEDS} seeds did not find it`);
  });
}
