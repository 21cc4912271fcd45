import { Chart } from "../chart.ts";
import type { Connection } from "../connection.ts";
import { button, Figure, h, section, setAttribute, setText } from "../dom.ts";
import { Flow } from "../flow.ts";
import * as format from "../format.ts";
import type { Page } from "../page.ts";

const RANGES = [
  { ms: 60_000, label: "1 min" },
  { ms: 600_000, label: "10 min" },
  { ms: 3_600_000, label: "1 h" },
] as const;

const MARKS = { ok: "✓", warning: "!", broken: "✕" } as const;

export function overviewPage(connection: Connection): Page {
  let rangeMs: number = RANGES[0].ms;
  const mark = h("span", { class: "mark", "aria-hidden": "true" });
  const sentence = h("p", { class: "sentence" });
  const findings = h("ul", { class: "findings" });
  const verdict = h(
    "section",
    { class: "verdict", "aria-label": "Health", role: "status" },
    mark,
    h("div", {}, sentence, findings),
  );
  const figures = {
    in: new Figure("Records in"),
    out: new Figure("Records out"),
    lag: new Figure("Lag"),
    rejected: new Figure("Rejected"),
    commit: new Figure("Commit latency"),
    query: new Figure("Query latency"),
  };
  const flow = new Flow();
  const lagChart = new Chart({
    title: "Lag in records",
    lines: [{ label: "behind", of: (p) => p.lag, colour: 3 }],
    format: format.compact,
  });
  /** In the place of the lag where the end of the log is not known. */
  const itemsChart = new Chart({
    title: "Items",
    lines: [{ label: "seen", of: (p) => p.items, colour: 3 }],
    format: format.compact,
  });
  const started = h("p", { class: "hint" });
  const charts = [
    new Chart({
      title: "Records a second",
      lines: [
        { label: "in", of: (p) => p.recordsIn, colour: 1 },
        { label: "out", of: (p) => p.recordsOut, colour: 2 },
      ],
      format: format.compact,
    }),
    new Chart({
      title: "Outcomes a second",
      lines: [
        { label: "accepted", of: (p) => p.accepted, colour: 1 },
        { label: "rejected", of: (p) => p.rejected, colour: 3 },
        { label: "invalid", of: (p) => p.invalid, colour: 4 },
      ],
      format: format.compact,
    }),
    lagChart,
    itemsChart,
    new Chart({
      title: "Latency, p99",
      lines: [
        { label: "commit", of: (p) => p.commitP99Ms, colour: 1 },
        { label: "query", of: (p) => p.queryP99Ms, colour: 2 },
      ],
      format: format.duration,
    }),
    new Chart({
      title: "Time of the workers",
      lines: [
        { label: "busy", of: (p) => p.busy, colour: 1 },
        { label: "back-pressured", of: (p) => p.backPressured, colour: 4 },
        { label: "idle", of: (p) => p.idle, colour: 2 },
      ],
      format: format.wholePercent,
      max: 1,
    }),
    new Chart({
      title: "Memory of the state",
      lines: [{ label: "used", of: (p) => p.stateBytes, colour: 2 }],
      format: format.bytes,
    }),
  ];
  const ranges = RANGES.map(({ ms, label }) =>
    button(label, () => {
      rangeMs = ms;
      page.update(connection);
    })
  );
  const page: Page = {
    path: "",
    title: "Overview",
    element: h(
      "div",
      {},
      verdict,
      h("dl", { class: "figures" }, ...Object.values(figures).map(({ element }) => element)),
      section("Data flow", flow.element),
      h(
        "div",
        { class: "bar-above" },
        h("h2", {}, "Charts"),
        h("div", { class: "segments", role: "group", "aria-label": "Time range" }, ...ranges),
      ),
      h("div", { class: "charts" }, ...charts.map(({ element }) => element)),
      started,
    ),
    update: ({ status, seconds, tens }) => {
      ranges.forEach((element, i) =>
        setAttribute(element, "aria-pressed", String(RANGES[i]!.ms === rangeMs))
      );
      if (!status) return;
      const { level, sentence: text, findings: found } = status.verdict;
      setAttribute(verdict, "class", `verdict ${level}`);
      setText(mark, MARKS[level]);
      setText(sentence, `${text}.`);
      const others = found.slice(1).map((finding) => finding.text);
      if (findings.dataset["texts"] !== others.join("\n")) {
        findings.dataset["texts"] = others.join("\n");
        findings.replaceChildren(...others.map((other) => h("li", {}, other)));
      }
      const points = rangeMs > 600_000 ? tens : seconds;
      const within = tens.filter(({ at }) => at >= status.at - 3_600_000);
      const mean = (of: (p: (typeof tens)[number]) => number) =>
        within.length === 0
          ? ""
          : `${
            format.rate(within.reduce((n, p) => n + of(p), 0) / within.length)
          }/s in the last hour`;
      const { rates, totals, lag, latency } = status;
      figures.in.show(`${format.rate(rates.recordsIn)}/s`, mean((p) => p.recordsIn));
      figures.out.show(`${format.rate(rates.recordsOut)}/s`, mean((p) => p.recordsOut));
      const slowest = status.partitions.reduce((n, p) => Math.max(n, p.lag ?? 0), 0);
      figures.lag.show(
        format.integer(lag),
        lag === null
          ? "end of the log unknown"
          : lag > 0
          ? `at most ${format.integer(slowest)} in a partition`
          : "every record is folded",
      );
      lagChart.element.hidden = lag === null;
      itemsChart.element.hidden = lag !== null;
      setText(
        started,
        `Rates, latencies and charts are of ${
          status.cluster ? "all processes that answer; this one" : "this process, which"
        } started at ${
          format.moment(status.startedAt)
        }. Accepted, rejected and invalid are counted over restarts; stocks, checkpoints and savepoints ` +
          "survive them, too.",
      );
      const outcomes = totals.accepted + totals.rejected;
      const invalid = Object.values(totals.invalid).reduce((a, b) => a + b, 0);
      figures.rejected.show(
        outcomes === 0 ? "–" : format.percent(totals.rejected / outcomes),
        `${format.compact(totals.accepted)} accepted, ${format.compact(invalid)} invalid`,
      );
      figures.commit.show(
        format.duration(latency.commit.p50Ms),
        `p99 ${format.duration(latency.commit.p99Ms)}`,
      );
      figures.query.show(
        format.duration(latency.query.p50Ms),
        latency.query.count === 0
          ? "no query in the last minute"
          : `p99 ${format.duration(latency.query.p99Ms)}`,
      );
      flow.show(status);
      for (const chart of charts) chart.show(points, rangeMs, status.at);
    },
  };
  return page;
}
