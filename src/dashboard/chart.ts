// Lines over time, drawn by uPlot; their newest values stand beside their names, as text.

import uPlot from "uplot";
import { h, setAttribute, setText } from "./dom.ts";
import type { SeriesPoint } from "./api.ts";
import * as format from "./format.ts";

export interface ChartLine {
  readonly label: string;
  readonly of: (point: SeriesPoint) => number | null;
  /** Which of the colours --line-1 to --line-4. */
  readonly colour: 1 | 2 | 3 | 4;
}

export interface ChartOptions {
  readonly title: string;
  readonly lines: readonly ChartLine[];
  /** A value as text, beside its name and at the axis. */
  readonly format: (value: number) => string;
  /** The largest value of the axis, if it is always the same. */
  readonly max?: number;
}

const HEIGHT = 150;

function colourOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const dark = matchMedia("(prefers-color-scheme: dark)");

export class Chart {
  readonly element: HTMLElement;
  readonly #values: HTMLElement[];
  readonly #place = h("div", { class: "plot" });
  readonly #time = h("span", { class: "at" });
  #plot: uPlot | null = null;
  #points: readonly SeriesPoint[] = [];
  #rangeMs = 60_000;
  #now = 0;

  constructor(readonly options: ChartOptions) {
    this.#values = options.lines.map(() => h("span", { class: "value" }, "–"));
    const legend = h(
      "ul",
      { class: "legend" },
      ...options.lines.map(({ label, colour }, i) =>
        h("li", { class: `line-${colour}` }, h("span", { class: "name" }, label), this.#values[i]!)
      ),
    );
    setAttribute(this.#place, "role", "img");
    this.element = h(
      "figure",
      { class: "chart card" },
      h("figcaption", {}, h("h3", {}, options.title), this.#time),
      legend,
      this.#place,
    );
    new ResizeObserver(() => this.#resize()).observe(this.#place);
    dark.addEventListener("change", () => this.#plot?.redraw(false));
  }

  show(points: readonly SeriesPoint[], rangeMs: number, now: number): void {
    this.#points = points.filter(({ at }) => at >= now - rangeMs);
    this.#rangeMs = rangeMs;
    this.#now = now;
    this.#draw();
  }

  #resize(): void {
    const width = this.#place.clientWidth;
    if (width === 0) return;
    if (this.#plot) this.#plot.setSize({ width, height: HEIGHT });
    else {
      this.#plot = this.#make(width);
      this.#draw();
    }
  }

  #draw(): void {
    const index = this.#plot?.cursor.idx ?? null;
    this.#showValues(index);
    const plot = this.#plot;
    if (!plot) return;
    plot.batch(() => {
      plot.setData(this.#data(), false);
      plot.setScale("x", { min: (this.#now - this.#rangeMs) / 1000, max: this.#now / 1000 });
      plot.setScale("y", { min: 0, max: this.#largest() });
    });
  }

  #data(): uPlot.AlignedData {
    const xs = this.#points.map(({ at }) => at / 1000);
    return [xs, ...this.options.lines.map(({ of }) => this.#points.map(of))];
  }

  #largest(): number {
    if (this.options.max !== undefined) return this.options.max;
    let largest = 0;
    for (const point of this.#points) {
      for (const { of } of this.options.lines) largest = Math.max(largest, of(point) ?? 0);
    }
    return largest === 0 ? 1 : largest * 1.08;
  }

  /** Values of a point, or of the newest one. */
  #showValues(index: number | null): void {
    const point = index === null ? this.#points.at(-1) : this.#points[index];
    const texts = this.options.lines.map(({ of }) => {
      const value = point ? of(point) : null;
      return value === null ? "–" : this.options.format(value);
    });
    texts.forEach((text, i) => setText(this.#values[i]!, text));
    setText(this.#time, index !== null && point ? format.time(point.at) : "");
    const summary = this.options.lines.map(({ label }, i) => `${label} ${texts[i]}`).join(", ");
    setAttribute(this.#place, "aria-label", `${this.options.title}: ${summary}`);
  }

  #make(width: number): uPlot {
    const axis = {
      stroke: () => colourOf("--text-weak"),
      font: "11px system-ui, sans-serif",
      ticks: { show: false },
      grid: { stroke: () => colourOf("--grid"), width: 1 },
    };
    const options: uPlot.Options = {
      width,
      height: HEIGHT,
      // The last label of the time axis, such as "12:50:30 AM", stands half beside the plot.
      padding: [8, 34, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true, auto: false }, y: { auto: false } },
      axes: [
        { ...axis, size: 24, space: 84, values: (_, ticks) => ticks.map((t) => timeOf(t)) },
        {
          ...axis,
          size: 58,
          space: 32,
          values: (_, ticks) => ticks.map((t) => this.options.format(t)),
        },
      ],
      series: [
        {},
        ...this.options.lines.map(({ label, colour }) => ({
          label,
          stroke: () => colourOf(`--line-${colour}`),
          width: 1.75,
          spanGaps: false,
          points: { show: false },
        })),
      ],
      hooks: { setCursor: [(plot) => this.#showValues(plot.cursor.idx ?? null)] },
    };
    return new uPlot(options, this.#data(), this.#place);
  }
}

const axisTimes = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const axisSeconds = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** Seconds where they matter. */
function timeOf(seconds: number): string {
  return seconds % 60 === 0 ? axisTimes.format(seconds * 1000) : axisSeconds.format(seconds * 1000);
}
