// Starts a broker of its own (test/kafka/broker.ts).

import { assert, assertEquals } from "@std/assert";
import { newSeed } from "../model/random.ts";
import { whySkipped } from "../kafka/broker.ts";
import { waitReady } from "../system/service.ts";
import { BlackHoleProxy } from "./proxy.ts";
import { Scene, sleep } from "./scene.ts";
import { detailLine, isGood, verdictLine } from "./verdict.ts";

const NAME =
  "Kafka job: requests that are never answered are noticed, told by their names, and recovered";
const skipped = await whySkipped();

/** A request that got no answer in the time that is stated for it. */
const HUNG = /Kafka gave no answer to ([A-Z]\w+) in (\d+) ms/;

Deno.test({
  name: skipped ? `${NAME}: ${skipped}` : NAME,
  ignore: skipped !== null,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const seed = newSeed();
    const proxy = new BlackHoleProxy();
    let hung: RegExpExecArray | null = null;
    const verdict = await Scene.run({
      seed,
      brokerProperties: { "advertised.listeners": `PLAINTEXT://${proxy.address}` },
      via: (bootstrap) => {
        proxy.leadTo(bootstrap);
        return proxy.address;
      },
    }, async ({ service }) => {
      await sleep(2000);
      const before = service.log().length;
      proxy.swallow();
      try {
        // The process itself lives on, and says so.
        for (let i = 0; i < 900 && hung === null; i++) {
          await sleep(100);
          hung = HUNG.exec(service.log().slice(before));
        }
        assert(hung !== null, `It was never told: ${service.log()}`);
        const [live, ready] = await Promise.all(
          ["livez", "readyz"].map((path) => fetch(`${service.url}/${path}`)),
        ) as [Response, Response];
        assertEquals([live.status, ready.status], [200, 503]);
        await Promise.all([live.text(), ready.text()]);
      } finally {
        proxy.goOn();
      }
      await waitReady(service);
      await sleep(1000);
    });
    proxy.close();
    const [, what, ms] = hung!;
    console.log(`seed ${seed}: ${what} hung, noticed after ${ms} ms`);
    console.log(`${verdictLine(verdict)}; ${detailLine(verdict)}`);
    assert(isGood(verdict), verdict.differences.join("\n"));
    assert(verdict.inputs > 10_000);
  },
});
