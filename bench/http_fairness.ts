// Do single posts get their turn beside a client that posts large bodies? Starts the embedded service in a
// folder of its own, posts single transactions by 16 clients, alone and then beside a client that posts
// 50,000 lines in a loop, and prints a table: rate, p50 and p99 of the singles, and the lines per second.
//
//   deno task bench:http:fairness [--seconds=10] [--lines=50000] [--posters=1]
//
// The clients of large bodies run in threads of their own, so that they do not hold up the singles'.

import { startService, waitReady } from "../tools/kit/service.ts";
import { readOptions } from "./options.ts";
import { cpuSeconds } from "./process_figures.ts";

const USAGE = "deno task bench:http:fairness [--seconds=10] [--lines=50000] [--posters=1]";
const CLIENTS = 16;
const WARM_UP_MS = 2000;
const ITEMS = 1_000_000;

/** What a thread of large bodies is started with. */
interface BigOrder {
  readonly url: string;
  readonly lines: number;
}

function line(): string {
  const id = Math.floor(Math.random() * 2 ** 50);
  return `${id}\t${Date.now()}\titem_${Math.floor(Math.random() * ITEMS)}\t${
    Math.floor(Math.random() * 200) - 90
  }\n`;
}

/** Posts a body of text lines; answers the status. */
async function post(url: string, body: string): Promise<number> {
  const response = await fetch(`${url}/transactions`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body,
  });
  await response.arrayBuffer();
  return response.status;
}

/** In a thread: posts large bodies for ever, and reports each. */
function serveBig(): void {
  const scope = self as unknown as { postMessage(m: unknown): void; onmessage: unknown };
  scope.onmessage = async ({ data: { url, lines } }: MessageEvent<BigOrder>) => {
    const body = Array.from({ length: lines }, line).join("");
    while (true) {
      const from = performance.now();
      const status = await post(url, body);
      scope.postMessage({ status, ms: performance.now() - from });
      if (status === 503) await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  };
}

interface Figures {
  /** Of the answers with status 200, sorted, in ms. */
  readonly latencies: number[];
  refused: number;
}

async function singles(url: string, ms: number): Promise<Figures> {
  const figures: Figures = { latencies: [], refused: 0 };
  const until = performance.now() + ms;
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    while (performance.now() < until) {
      const from = performance.now();
      if (await post(url, line()) === 200) figures.latencies.push(performance.now() - from);
      else figures.refused++;
    }
  }));
  figures.latencies.sort((a, b) => a - b);
  return figures;
}

function percentile(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN).toFixed(1);
}

async function main(): Promise<void> {
  const { seconds, lines, posters } = readOptions(USAGE, {
    seconds: 10,
    lines: 50_000,
    posters: 1,
  });
  const service = await startService();
  try {
    await waitReady(service);
    const rows: string[] = [];
    let bigs: { status: number; ms: number }[] = [];
    const measure = async (
      name: string,
      clients: (url: string, ms: number) => Promise<Figures>,
    ) => {
      bigs = [];
      const cpu = await cpuSeconds(service.pid);
      const from = performance.now();
      const { latencies, refused } = await clients(service.url, 1000 * seconds);
      const took = (performance.now() - from) / 1000;
      const used = await cpuSeconds(service.pid) - cpu;
      const served = bigs.filter(({ status }) => status === 200);
      const worst = Math.max(0, ...served.map(({ ms }) => ms));
      const ms = Math.round(1000 * took);
      rows.push(
        `| ${name} | ${Math.round(latencies.length / took)} | ${percentile(latencies, 0.5)} | ` +
          `${percentile(latencies, 0.99)} | ${refused} | ${
            Math.round(served.length * lines / took)
          } | ` +
          `${Math.round(worst)} | ${bigs.length - served.length} | ${(used / took).toFixed(2)} |`,
      );
      return ms;
    };
    await singles(service.url, WARM_UP_MS);
    await measure("singles alone", singles);
    const threads = Array.from({ length: posters }, () => {
      const thread = new Worker(import.meta.url, { type: "module" });
      thread.onmessage = ({ data }) => bigs.push(data);
      thread.postMessage({ url: service.url, lines } satisfies BigOrder);
      return thread;
    });
    await singles(service.url, WARM_UP_MS);
    await measure(`singles beside ${posters} x ${lines} lines`, singles);
    const idle = async (_: string, ms: number): Promise<Figures> => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      return { latencies: [], refused: 0 };
    };
    await measure(`${posters} x ${lines} lines alone`, idle);
    for (const thread of threads) thread.terminate();
    console.log(
      "| load | singles/s | p50 ms | p99 ms | 503 | lines/s | slowest body ms | 503 | cores |",
    );
    console.log("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (const row of rows) console.log(row);
  } finally {
    await service.kill();
    await Deno.remove(service.folder, { recursive: true });
  }
}

if (
  import.meta.main &&
  typeof (globalThis as { WorkerGlobalScope?: unknown }).WorkerGlobalScope === "undefined"
) await main();
else serveBig();
