import { assert, assertEquals } from "@std/assert";
import { waitReady } from "../../tools/kit/service.ts";
import { BlackHoleProxy } from "./proxy.ts";
import { Scene, sleep } from "./scene.ts";
import { assertGood, faultTest } from "./with_broker.ts";

/** A request that got no answer in the time that is stated for it. */
const HUNG = /Kafka gave no answer to ([A-Z]\w+) in (\d+) ms/;

faultTest(
  "Kafka job: requests that are never answered are noticed, logged by their names, and recovered",
  async (seed) => {
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
        assert(hung !== null, `It was never reported: ${service.log()}`);
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
    assertGood(seed, verdict);
    assert(verdict.inputs > 10_000);
  },
);
