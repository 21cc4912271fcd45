// The broker that benchmarks use.

import { startTestBroker, type TestBroker } from "../tools/kit/test_broker.ts";

const CORES = navigator.hardwareConcurrency;

/**
 * A broker's own defaults are for machines of its own: 8 threads for requests, 3 for connections, and a collector that
 * works beside them. Here it shares the cores with who is measured, and what it takes is missing to him: as many threads
 * as there are cores, and a collector without threads of its own meanwhile.
 */
const PROPERTIES = {
  "num.io.threads": String(CORES),
  "num.network.threads": String(Math.max(1, CORES / 2)),
};
const JAVA_FLAGS = ["-XX:-UseG1GC", "-XX:+UseParallelGC"];

/** Its code is compiled well, not quickly as in tests. */
export function startMeasuredBroker(
  properties: Readonly<Record<string, string>> = {},
  more: NonNullable<Parameters<typeof startTestBroker>[2]> = {},
): Promise<TestBroker> {
  const options = { shortLived: false, javaFlags: JAVA_FLAGS, ...more };
  return startTestBroker({ ...PROPERTIES, ...properties }, [], options);
}
