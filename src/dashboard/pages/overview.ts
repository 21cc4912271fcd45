import type { JobStatus, SeriesPoint } from "../api.ts";
import { Chart, type ChartOptions } from "../chart.ts";
import type { Connection } from "../connection.ts";
import { button, Figure, h, section, setAttribute, setText } from "../dom.ts";
import { Flow } from "../flow.ts";
import * as format from "../format.ts";
import type { Page } from "../page.ts";

const HOUR_MS = 3_600_000;

const RANGES = [
  { ms: 60_000, label: "1 min" },
  { ms: 600_000, label: "10 min" },
  { ms: HOUR_MS, label: "1 h" },
] as const;

const MARKS = { ok: "✓", warning: "!", broken: "✕", plain: "?" } as const;

/** Whether all is well, in one sentence, and what else was found. */
class VerdictView {
  readonly #mark = h("span", { class: "mark", "aria-hidden": "true" });
  readonly #sentence = h("p", { class: "sentence" });
  readonly #findings = h("ul", { class: "findings" });
  readonly element = h(
    "section",
    { class: "verdict", "aria-label": "Health", role: "status" },
    this.#mark,
    h("div", {}, this.#sentence, this.#findings),
  );

  show({ verdict, at }: JobStatus, { kind }: Connection["state"]): void {
    // What was well may be otherwise now.
    if (kind === "disconnected" || kind === "refused") {
      this.#show("plain", "Not known: the service does not say how it is", [
        `At ${format.time(at)}: ${verdict.sentence}.`,
      ]);
    } else {
      const others = verdict.findings.slice(1).map(({ text }) => text);
      this.#show(verdict.level, verdict.sentence, others);
    }
  }

  #show(level: keyof typeof MARKS, sentence: string, others: readonly string[]): void {
    setAttribute(this.element, "class", `verdict ${level}`);
    setText(this.#mark, MARKS[level]);
    setText(this.#sentence, `${sentence}.`);
    if (this.#findings.dataset["texts"] === others.join("\n")) return;
    this.#findings.dataset["texts"] = others.join("\n");
    this.#findings.replaceChildren(...others.map((other) => h("li", {}, other)));
  }
}

/** The figures of now. */
class FigureRow {
  readonly #in = new Figure("Records in");
  readonly #out = new Figure("Records out");
  readonly #lag = new Figure("Lag");
  readonly #rejected = new Figure("Rejected");
  readonly #commit = new Figure("Commit latency");
  readonly #query = new Figure("Query latency");
  readonly element = h(
    "dl",
    { class: "figures" },
    ...[this.#in, this.#out, this.#lag, this.#rejected, this.#commit, this.#query]
      .map(({ element }) => element),
  );

  show(status: JobStatus, tens: readonly SeriesPoint[]): void {
    const { rates, totals, latency: { commit, query } } = status;
    const mean = (of: (p: SeriesPoint) => number) => meanOf(tens, status.at, of);
    this.#in.show(`${format.rate(rates.recordsIn)}/s`, mean((p) => p.recordsIn));
    this.#out.show(`${format.rate(rates.recordsOut)}/s`, mean((p) => p.recordsOut));
    this.#lag.show(format.integer(status.lag), lagNote(status));
    const outcomes = totals.accepted + totals.rejected;
    const share = outcomes === 0 ? null : totals.rejected / outcomes;
    this.#rejected.show(format.percent(share), outcomesNote(totals));
    this.#commit.show(
      format.duration(commit.p50Ms),
      commit.count === 0 ? "no commit in the last minute" : `p99 ${format.duration(commit.p99Ms)}`,
    );
    this.#query.show(
      format.duration(query.p50Ms),
      query.count === 0 ? "no query in the last minute" : `p99 ${format.duration(query.p99Ms)}`,
    );
  }
}

/** The mean of a rate over the last hour, as far as there are points of it. */
function meanOf(
  tens: readonly SeriesPoint[],
  now: number,
  of: (p: SeriesPoint) => number,
): string {
  const within = tens.filter(({ at }) => at >= now - HOUR_MS);
  if (within.length === 0) return "";
  const mean = within.reduce((n, p) => n + of(p), 0) / within.length;
  const isWhole = now - within[0]!.at > HOUR_MS - 60_000;
  return `${format.rate(mean)}/s ${isWhole ? "in the last hour" : "since the start"}`;
}

function lagNote({ lag, partitions, topics }: JobStatus): string {
  if (lag === null) {
    return topics.transactions === "generated"
      ? "generated: nothing waits"
      : "end of the log unknown";
  }
  if (lag === 0) return "every record is folded";
  const slowest = partitions.reduce((n, p) => Math.max(n, p.lag ?? 0), 0);
  return `at most ${format.integer(slowest)} in a partition`;
}

function outcomesNote({ accepted, duplicates, invalid }: JobStatus["totals"]): string {
  const invalids = Object.values(invalid).reduce((a, b) => a + b, 0);
  return `${format.compact(accepted)} accepted, ${format.compact(invalids)} invalid` +
    (duplicates > 0 ? `, ${format.compact(duplicates)} repeated` : "");
}

const LAG: ChartOptions = {
  title: "Lag in records",
  lines: [{ label: "behind", of: (p) => p.lag, colour: 3 }],
  format: format.compact,
};

/** In the place of the lag where the end of the log is not known. */
const ITEMS: ChartOptions = {
  title: "Items",
  lines: [{ label: "seen", of: (p) => p.items, colour: 3 }],
  format: format.compact,
};

const CHARTS: readonly ChartOptions[] = [
  {
    title: "Records a second",
    lines: [
      { label: "in", of: (p) => p.recordsIn, colour: 1 },
      { label: "out", of: (p) => p.recordsOut, colour: 2 },
    ],
    format: format.compact,
  },
  {
    title: "Outcomes a second",
    lines: [
      { label: "accepted", of: (p) => p.accepted, colour: 1 },
      { label: "rejected", of: (p) => p.rejected, colour: 3 },
      { label: "invalid", of: (p) => p.invalid, colour: 4 },
    ],
    format: format.compact,
  },
  LAG,
  ITEMS,
  {
    title: "Latency, p99",
    lines: [
      { label: "commit", of: (p) => p.commitP99Ms, colour: 1 },
      { label: "query", of: (p) => p.queryP99Ms, colour: 2 },
    ],
    format: format.duration,
  },
  {
    title: "Time of the workers",
    lines: [
      { label: "busy", of: (p) => p.busy, colour: 1 },
      { label: "back-pressured", of: (p) => p.backPressured, colour: 4 },
      { label: "idle", of: (p) => p.idle, colour: 2 },
    ],
    format: format.wholePercent,
    max: 1,
  },
  {
    title: "Memory of the state",
    lines: [{ label: "used", of: (p) => p.stateBytes, colour: 2 }],
    format: format.bytes,
  },
];

/** The charts, and the buttons that choose their range. */
class ChartGrid {
  readonly element: HTMLElement;
  readonly #charts = CHARTS.map((options) => new Chart(options));
  readonly #ranges: readonly HTMLButtonElement[];
  #rangeMs: number = RANGES[0].ms;

  constructor(connection: Connection) {
    this.#ranges = RANGES.map(({ ms, label }) =>
      button(label, () => {
        this.#rangeMs = ms;
        this.show(connection);
      })
    );
    this.element = h(
      "div",
      {},
      h(
        "div",
        { class: "bar-above" },
        h("h2", {}, "Charts"),
        h("div", { class: "segments", role: "group", "aria-label": "Time range" }, ...this.#ranges),
      ),
      h("div", { class: "charts" }, ...this.#charts.map(({ element }) => element)),
    );
  }

  show({ status, seconds, tens }: Connection): void {
    this.#ranges.forEach((element, i) =>
      setAttribute(element, "aria-pressed", String(RANGES[i]!.ms === this.#rangeMs))
    );
    if (!status) return;
    const points = this.#rangeMs > 600_000 ? tens : seconds;
    for (const chart of this.#charts) {
      if (chart.options === LAG) chart.element.hidden = status.lag === null;
      if (chart.options === ITEMS) chart.element.hidden = status.lag !== null;
      chart.show(points, this.#rangeMs, status.at);
    }
  }
}

/** What the figures are of, and what of them survives a restart. */
function scopeOf({ cluster, startedAt }: JobStatus): string {
  const whose = cluster ? "all processes that answer; this one" : "this process, which";
  return `Rates, latencies and charts are of ${whose} started at ${format.moment(startedAt)}. ` +
    "Accepted, rejected and invalid are counted over restarts; stocks, checkpoints and " +
    "savepoints survive them, too.";
}

export function overviewPage(connection: Connection): Page {
  const verdict = new VerdictView();
  const figures = new FigureRow();
  const flow = new Flow();
  const charts = new ChartGrid(connection);
  const scope = h("p", { class: "hint scope" });
  return {
    path: "",
    title: "Overview",
    element: h(
      "div",
      {},
      verdict.element,
      figures.element,
      section("Data flow", flow.element),
      charts.element,
      scope,
    ),
    update: (connection) => {
      charts.show(connection);
      const { status, tens, state } = connection;
      if (!status) return;
      verdict.show(status, state);
      figures.show(status, tens);
      flow.show(status);
      setText(scope, scopeOf(status));
    },
  };
}
