// What a stop waits for, over real connections; the job is in a world of its own (test/engine/world.ts).

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { accessOf, limitsOf, startServer } from "../../src/http/mod.ts";
import { ProcessLife } from "../../src/service/mod.ts";
import { Parameters } from "../../src/parameters/mod.ts";
import { World } from "../engine/world.ts";

/** Far longer than a stop waits for requests of a job that is not ready. */
const LONG_MS = 15_000;

Deno.test("a stop while partitions are recovered does not wait for requests that wait for them", async () => {
  const world = await World.open();
  const recovered = Promise.withResolvers<void>();
  const life = await world.start(() => null, {
    wait: false,
    wrapLog: (log) => {
      const claim = log.claim.bind(log);
      log.claim = async (input, ...more) => {
        if (input === "transactions") await recovered.promise;
        return await claim(input, ...more);
      };
      return log;
    },
  });
  const server = startServer({
    conditions: life.job.context.conditions,
    hostname: "127.0.0.1",
    port: 0,
    limits: limitsOf(Parameters.of()),
    access: accessOf(Parameters.of()),
    life: new ProcessLife("a"),
  });
  server.serve(life.job);
  const posted = fetch(`${server.url}/transactions`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: "1\t1\titem_1\t5\n",
  });
  const { transactionWaiters } = life.job.gateway!;
  while (transactionWaiters.count === 0) await world.clock.settle();
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), LONG_MS);
  const lateness = new Promise((resolve) => late.signal.addEventListener("abort", resolve));
  await Promise.race([server.drain(), lateness]);
  clearTimeout(timer);
  assert(!late.signal.aborted, "the stop waits");
  recovered.resolve();
  await world.stop(life);
  const answer = await posted;
  assertEquals(answer.status, 503);
  assertStringIncludes(await answer.text(), "The job has ended");
  await server.stop();
  const next = await world.start();
  assertEquals(await next.job.lookUp(["item_1"], new AbortController().signal), [5n]);
  await world.stop(next);
  await world.assertExactlyOnce();
  world.close();
});
