// Does it stay as it is? The generator flat out for a long time; memory, queues and rate are sampled.
//
//   deno task soak [--minutes=30] [--items=100000]
//
// Memory is resident memory of the whole process. Its slope is taken over the second half by least
// squares: in the first half all items are seen, so that the item table does not grow any more.

import { parseArgs } from "node:util";
import { type Service, startService } from "../test/system/service.ts";
import { cpuSeconds, residentBytes } from "./process_figures.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    minutes: { type: "string", default: "30" },
    items: { type: "string", default: "100000" },
  },
});
const MINUTES = Number(values.minutes);
const SAMPLE_MS = 5000;
const MIB = 1024 * 1024;

interface Sample {
  readonly minute: number;
  readonly mebibytes: number;
  readonly records: number;
  readonly items: number;
  readonly waitingBytes: number;
}

/** Sum of a metric over its labels; 0 where there is none. */
function metric(text: string, name: string): number {
  return [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))]
    .reduce((n, [, value]) => n + Number(value), 0);
}

async function sample({ url, pid }: Service, from: number): Promise<Sample> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return {
    minute: (performance.now() - from) / 60_000,
    mebibytes: await residentBytes(pid) / MIB,
    records: metric(text, "stockflow_records_in_total"),
    items: metric(text, "stockflow_items"),
    waitingBytes: metric(text, "stockflow_log_waiting_bytes"),
  };
}

/** Slope of a line through points, by least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (i: 0 | 1) => points.reduce((n, p) => n + p[i], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const over = points.reduce((n, p) => n + (p[0] - x) * (p[1] - y), 0);
  return over / points.reduce((n, p) => n + (p[0] - x) ** 2, 0);
}

const service = await startService({
  flags: {
    "generate.transactions": "true",
    "generate.rate": "0",
    "generate.queries": "true",
    "num.items": values.items,
  },
});
const from = performance.now();
const samples: Sample[] = [];
let told = 0;
while (performance.now() - from < MINUTES * 60_000) {
  await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
  const now = await sample(service, from);
  samples.push(now);
  if (now.minute < told + 1) continue;
  told = Math.floor(now.minute);
  console.log(
    `${told} min: ${now.mebibytes.toFixed(0)} MiB, ${(now.records / 1e6).toFixed(0)} M records, ` +
      `${now.items} items, ${now.waitingBytes} bytes wait for the log`,
  );
}
const half = samples.slice(Math.floor(samples.length / 2));
const [first, last] = [half[0]!, half.at(-1)!];
const rate = (last.records - first.records) / (60 * (last.minute - first.minute));
const cpu = await cpuSeconds(service.pid) / (last.records / 1e6);
service.signal("SIGTERM");
const { code } = await service.status;
await Deno.remove(service.folder, { recursive: true });
console.log(
  `${(rate / 1e6).toFixed(2)} M records/s, ${cpu.toFixed(3)} CPU-s per million, ` +
    `largest queue of the log ${Math.max(...samples.map((s) => s.waitingBytes))} bytes`,
);
console.log(
  `RSS ${first.mebibytes.toFixed(0)} -> ${
    last.mebibytes.toFixed(0)
  } MiB in the second half, slope ${
    slope(half.map((s) => [s.minute / 60, s.mebibytes])).toFixed(1)
  } MiB per hour; exit code ${code}`,
);
