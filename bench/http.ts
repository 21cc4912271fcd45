// How fast is the embedded service over HTTP? Starts it in a folder of its own and posts transactions:
// batches of 1,000 JSON lines by one client, then single transactions by 16 clients.
//
//   deno task bench:http [--seconds=10] [--format=text|json]

import { parseArgs } from "node:util";
import { Random } from "../tools/kit/random.ts";
import { startService } from "../tools/kit/service.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seconds: { type: "string", default: "10" },
    format: { type: "string", default: "text" },
    items: { type: "string", default: "1000000" },
  },
});
const SECONDS = Number(values.seconds);
const BATCH = 1000;
const CLIENTS = 16;
const random = new Random(1);

function transaction(): string {
  const item = random.below(Number(values.items));
  return `{"transactionId":${
    random.bits() >> 1n
  },"ts":${Date.now()},"itemId":"item_${item}","quantity":${random.below(200) - 90}}`;
}

function percentile(sorted: readonly number[], share: number): string {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!.toFixed(2);
}

/** Posts bodies one after the other until the time is over; returns the latencies in ms. */
async function client(
  url: string,
  type: string,
  body: () => string,
  until: number,
): Promise<number[]> {
  const latencies: number[] = [];
  while (performance.now() < until) {
    const content = body();
    const from = performance.now();
    const response = await fetch(`${url}/transactions`, {
      method: "POST",
      headers: { "content-type": type },
      body: content,
    });
    const text = await response.text();
    latencies.push(performance.now() - from);
    if (response.status !== 200) throw new Error(`${response.status}: ${text.slice(0, 200)}`);
  }
  return latencies;
}

const service = await startService({ flags: { format: values.format } });
try {
  const bodies = Array.from(
    { length: 50 },
    () => Array.from({ length: BATCH }, transaction).join("\n") + "\n",
  );
  let next = 0;
  const body = () => bodies[next++ % bodies.length]!;
  await client(service.url, "application/x-ndjson", body, performance.now() + 2000);
  const from = performance.now();
  const batches = (await client(service.url, "application/x-ndjson", body, from + 1000 * SECONDS))
    .toSorted((a, b) => a - b);
  const rate = batches.length * BATCH / (performance.now() - from) * 1000;
  console.log(
    `JSON lines, batches of ${BATCH}, 1 client, log ${values.format}: ${
      Math.round(rate)
    } transactions/s, ` +
      `per batch p50 ${percentile(batches, 0.5)} ms, p99 ${percentile(batches, 0.99)} ms`,
  );
  const begin = performance.now();
  const singles = (await Promise.all(
    Array.from(
      { length: CLIENTS },
      () => client(service.url, "application/json", transaction, begin + 1000 * SECONDS),
    ),
  )).flat().toSorted((a, b) => a - b);
  console.log(
    `single posts, ${CLIENTS} clients: ${
      Math.round(singles.length / (performance.now() - begin) * 1000)
    } transactions/s, ` +
      `p50 ${percentile(singles, 0.5)} ms, p99 ${percentile(singles, 0.99)} ms`,
  );
} finally {
  await service.kill();
}
