// Writes what report.ts makes of the figures: bench/RESULTS.md, the charts, and its part of README.md.

import { type Measurement, rowsOf } from "./figures.ts";
import { latencyChartOf, type LatencyMeasurement } from "./latencies.ts";
import { KEY_SETS, type KeySet } from "./input.ts";
import { machineOf } from "./machine.ts";
import type { StateMeasurement } from "./state_figures.ts";
import { chartOf, pageOf, shortTable, withPeers } from "./report.ts";

/** The charts of a key set, by what they show. */
const CHARTS = ["cpu", "peakBytes"] as const;

const fileOf = (keys: KeySet, what: typeof CHARTS[number]) =>
  `results/peers-${keys}-${what === "cpu" ? "cpu" : "memory"}.svg`;

/** @param root the folder of the checkout */
export async function writePages(root: URL, all: readonly Measurement[]): Promise<void> {
  const charts: Partial<Record<KeySet, string[]>> = {};
  for (const keys of KEY_SETS) {
    const rows = rowsOf(all, keys);
    if (rows.length === 0) continue;
    charts[keys] = CHARTS.map((what) => fileOf(keys, what));
    for (const what of CHARTS) {
      const svg = await draw(root, chartOf(rows, what));
      await Deno.writeTextFile(new URL(`bench/${fileOf(keys, what)}`, root), svg);
    }
  }
  const latencies = await readResults<LatencyMeasurement>(root, "latency");
  const states = await readResults<StateMeasurement>(root, "state");
  const latencyCharts: string[] = [];
  for (const what of latencies.length > 0 ? ["transactions", "queries"] as const : []) {
    const file = `results/latency-${what}.svg`;
    await Deno.writeTextFile(
      new URL(`bench/${file}`, root),
      await draw(root, latencyChartOf(latencies, what)),
    );
    latencyCharts.push(file);
  }
  const page = new URL("bench/RESULTS.md", root);
  const readme = new URL("README.md", root);
  await Deno.writeTextFile(
    page,
    pageOf({ all, machine: await machineOf(), charts, latencies, latencyCharts, states }),
  );
  const rows = rowsOf(all, "item");
  const part = rows.length === 0
    ? "(No figures yet.)"
    : `![CPU-seconds per million records](bench/${fileOf("item", "cpu")})\n\n${shortTable(rows)}`;
  await Deno.writeTextFile(readme, withPeers(await Deno.readTextFile(readme), part));
  await deno(["fmt", "-q", page.pathname, readme.pathname]);
}

/** What was measured by `deno task bench:peers:latency`, or `:state`. */
export async function readResults<T>(root: URL, name: "latency" | "state"): Promise<T[]> {
  try {
    return JSON.parse(await Deno.readTextFile(new URL(`bench/results/${name}.json`, root)));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return [];
  }
}

export function printTable(all: readonly Measurement[], keys: KeySet): void {
  console.log(`\n${shortTable(rowsOf(all, keys))}`);
}

/** SVG of a specification of Vega-Lite, by the libraries of bench/charts. */
function draw(root: URL, specification: unknown): Promise<string> {
  const program = new URL("bench/charts/draw.ts", root).pathname;
  return deno(["run", "--no-prompt", "--allow-read", program], JSON.stringify(specification));
}

async function deno(args: readonly string[], input = ""): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error(`deno ${args.join(" ")} failed`);
  return new TextDecoder().decode(stdout);
}
