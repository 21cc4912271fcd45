// The simulator must be able to fail: each planted bug is found within some seeds.

import { assert } from "@std/assert";
import { turnOfTheEventLoop } from "./event_loop.ts";
import { PLANTED_BUGS } from "./planted_bugs.ts";
import { run } from "./simulation.ts";

const SEEDS = 1000;

for (const [name, plant] of Object.entries(PLANTED_BUGS)) {
  Deno.test(`simulator finds: ${name}`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violations } = await run(seed, { bug: plant() });
      await turnOfTheEventLoop();
      if (violations.length === 0) continue;
      const [{ promise, message }] = violations as [typeof violations[number]];
      console.log(`seed ${seed}, ${promise}: ${message.slice(0, 150)}`);
      return;
    }
    assert(false, `${SEEDS} seeds did not find it`);
  });
}
