// How fast is the embedded service over HTTP? Starts it in a folder of its own and posts transactions:
// batches of 1,000 JSON lines by one client, then single transactions by 16 clients.
//
//   deno task bench:http [--seconds=10] [--format=text|json] [--parallelism=0]
//   deno task bench:http --against=FOLDER [--pairs=5] [--seconds=10]
//     single transactions alone, to this checkout and another one in turn, and the ratios of rate and CPU

import { Random } from "../tools/kit/random.ts";
import { type Service, startService, waitReady } from "../tools/kit/service.ts";
import { oneOf, readOptions } from "./options.ts";
import { describeRatios } from "./pairs.ts";
import { cpuSeconds } from "./process_figures.ts";

const USAGE = "deno task bench:http [--seconds=10] [--format=text|json] [--items=1000000] " +
  "[--parallelism=0] [--against=<folder of another checkout>] [--pairs=5]";
const BATCH = 1000;
const CLIENTS = 16;
const WARM_UP_MS = 2000;
const random = new Random(1);

const values = readOptions(USAGE, {
  seconds: 10,
  format: "text",
  items: 1_000_000,
  parallelism: 0,
  against: "",
  pairs: 5,
});
const format = oneOf(USAGE, "format", values.format, ["text", "json"]);

function transaction(): string {
  const item = random.below(values.items);
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

async function batches({ url }: Service, ms: number): Promise<void> {
  const bodies = Array.from(
    { length: 50 },
    () => Array.from({ length: BATCH }, transaction).join("\n") + "\n",
  );
  let next = 0;
  const body = () => bodies[next++ % bodies.length]!;
  const type = "application/x-ndjson";
  await client(url, type, body, performance.now() + WARM_UP_MS);
  const from = performance.now();
  const latencies = (await client(url, type, body, from + ms)).toSorted((a, b) => a - b);
  const rate = latencies.length * BATCH / (performance.now() - from) * 1000;
  console.log(
    `JSON lines, batches of ${BATCH}, 1 client, log ${format}: ${
      Math.round(rate)
    } transactions/s, ` +
      `per batch p50 ${percentile(latencies, 0.5)} ms, p99 ${percentile(latencies, 0.99)} ms`,
  );
}

interface Figures {
  /** Posts a second. */
  readonly rate: number;
  /** Of the service for a post, all its threads together. */
  readonly cpuMicroseconds: number;
}

async function singles({ url, pid }: Service, ms: number, where = ""): Promise<Figures> {
  const [cpu, clientsCpu] = [await cpuSeconds(pid), await cpuSeconds(Deno.pid)];
  const from = performance.now();
  const clients = Array.from(
    { length: CLIENTS },
    () => client(url, "application/json", transaction, from + ms),
  );
  const latencies = (await Promise.all(clients)).flat().toSorted((a, b) => a - b);
  const rate = latencies.length / (performance.now() - from) * 1000;
  const microseconds = (seconds: number) => seconds / latencies.length * 1e6;
  const cpuMicroseconds = microseconds(await cpuSeconds(pid) - cpu);
  const ofClients = microseconds(await cpuSeconds(Deno.pid) - clientsCpu);
  console.log(
    `single posts, ${CLIENTS} clients: ${Math.round(rate)} transactions/s, ` +
      `p50 ${percentile(latencies, 0.5)} ms, p99 ${percentile(latencies, 0.99)} ms, ` +
      `${Math.round(cpuMicroseconds)} us of CPU each and ${
        Math.round(ofClients)
      } us of the clients${where}`,
  );
  return { rate, cpuMicroseconds };
}

/** Does something with a service of its own, of this checkout or another. */
async function withService<T>(
  checkout: string | undefined,
  use: (service: Service) => Promise<T>,
): Promise<T> {
  const flags = { format, parallelism: String(values.parallelism) };
  const service = await startService({ flags, ...(checkout ? { checkout } : {}) });
  try {
    await waitReady(service);
    return await use(service);
  } finally {
    await service.kill();
    await Deno.remove(service.folder, { recursive: true });
  }
}

const MS = 1000 * values.seconds;

function singlesOf(checkout?: string): Promise<Figures> {
  return withService(checkout, async (service) => {
    await client(service.url, "application/json", transaction, performance.now() + WARM_UP_MS);
    return await singles(service, MS, ` in ${checkout ?? "this checkout"}`);
  });
}

async function compare(against: string): Promise<void> {
  const ratios: { rate: number; cpu: number }[] = [];
  for (let pair = 0; pair < values.pairs; pair++) {
    // Each is first as often as the other: what the machine does slowly meets both.
    const otherFirst = pair % 2 === 0;
    const before = otherFirst ? await singlesOf(against) : null;
    const own = await singlesOf();
    const other = before ?? await singlesOf(against);
    ratios.push({
      rate: own.rate / other.rate,
      cpu: own.cpuMicroseconds / other.cpuMicroseconds,
    });
  }
  console.log(`single posts: ${describeRatios(ratios.map(({ rate }) => rate), "rate")}`);
  console.log(`single posts: ${describeRatios(ratios.map(({ cpu }) => cpu))}`);
}

if (values.against !== "") await compare(values.against);
else {
  await withService(undefined, async (service) => {
    await batches(service, MS);
    await singles(service, MS);
  });
}
