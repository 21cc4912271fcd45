// Writes what report.ts makes of the figures: bench/RESULTS.md, the charts, and its part of README.md.

import type { ComparedAnswers } from "./answers.ts";
import { headline, shortTable } from "./comparison.ts";
import { type Measurement, rowsOf } from "./figures.ts";
import { KEY_SETS, type KeySet } from "./input.ts";
import type { Kept } from "./kept.ts";
import { latencyChartOf, type LatencyMeasurement } from "./latencies.ts";
import type { RecoveryMeasurement } from "./recoveries.ts";
import { chartOf, pageOf, withPeers } from "./report.ts";
import { scaleChartOf, type ScaleMeasurement } from "./scale.ts";
import type { StageMeasurement } from "./stage_costs.ts";
import type { StateMeasurement } from "./state_figures.ts";

/** The charts of a key set, by what they show. */
const CHARTS = ["cpu", "peakBytes"] as const;

const fileOf = (keys: KeySet, what: typeof CHARTS[number]) =>
  `results/peers-${keys}-${what === "cpu" ? "cpu" : "memory"}.svg`;

export async function writePages(kept: Kept): Promise<void> {
  const { all } = await kept.figures();
  /** Draws a chart; answers its file. */
  const chart = async (file: string, specification: unknown): Promise<string> => {
    await Deno.writeTextFile(kept.fileOf(file), await draw(kept.root, specification));
    return file;
  };
  const charts: Partial<Record<KeySet, string[]>> = {};
  for (const keys of KEY_SETS) {
    const rows = rowsOf(all, keys);
    if (rows.length === 0) continue;
    charts[keys] = [];
    for (const what of CHARTS) {
      charts[keys].push(await chart(fileOf(keys, what), chartOf(rows, what)));
    }
  }
  const latencies = await kept.read<LatencyMeasurement>("latency");
  const latencyCharts: string[] = [];
  for (const what of latencies.length > 0 ? ["transactions", "queries"] as const : []) {
    const specification = latencyChartOf(latencies, what);
    latencyCharts.push(await chart(`results/latency-${what}.svg`, specification));
  }
  const scales = await kept.read<ScaleMeasurement>("scale");
  const scaleCharts = scales.length > 0
    ? [await chart("results/scale.svg", scaleChartOf(scales))]
    : [];
  const page = kept.fileOf("RESULTS.md");
  await Deno.writeTextFile(
    page,
    pageOf({
      all,
      charts,
      answers: await kept.read<ComparedAnswers>("answers"),
      latencies,
      latencyCharts,
      states: await kept.read<StateMeasurement>("state"),
      recoveries: await kept.read<RecoveryMeasurement>("recovery"),
      scales,
      scaleCharts,
      stages: await kept.read<StageMeasurement>("stages"),
    }),
  );
  await deno(["fmt", "-q", page.pathname]);
  if (kept.isOwn) await writeReadme(kept.root, all);
}

/** The part of README.md; what is there stays as long as there are no figures. */
async function writeReadme(root: URL, all: readonly Measurement[]): Promise<void> {
  const rows = rowsOf(all, "item");
  if (rows.length === 0) return;
  const readme = new URL("README.md", root);
  const picture = `![CPU-seconds per million records](bench/${fileOf("item", "cpu")})`;
  const part = [picture, headline(rows), shortTable(rows)].filter((text) => text !== "").join(
    "\n\n",
  );
  await Deno.writeTextFile(readme, withPeers(await Deno.readTextFile(readme), part));
  await deno(["fmt", "-q", readme.pathname]);
}

export function printTable(all: readonly Measurement[], keys: KeySet): void {
  const rows = rowsOf(all, keys);
  console.log(`\n${shortTable(rows)}\n\n${headline(rows)}`);
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
