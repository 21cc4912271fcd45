// The data flow as Flink's web page draws it: source -> processor -> windows -> sinks.

import { badge, h, setAttribute, setText } from "./dom.ts";
import type { JobStatus } from "./api.ts";
import * as format from "./format.ts";

type Step = JobStatus["flow"][number];

const TITLES: Readonly<Record<Step["step"], string>> = {
  source: "Source",
  processor: "Processor",
  windows: "Windows",
  sinks: "Sinks",
};

const SHARES = [["busy", "busy"], ["backPressured", "back-pressured"], ["idle", "idle"]] as const;

class StepCard {
  readonly element: HTMLElement;
  readonly #figure = h("p", { class: "main" });
  readonly #note = h("p", { class: "note" });
  readonly #bar: HTMLElement;
  readonly #parts = SHARES.map(([name]) => h("span", { class: name }));
  readonly #shares = h("p", { class: "shares" });
  readonly #pressure = h("span", { class: "pressure" });

  constructor(readonly step: Step["step"]) {
    this.#bar = h("div", { class: "bar", "aria-hidden": "true" }, ...this.#parts);
    this.element = h(
      "li",
      { class: "step" },
      h("div", { class: "head" }, h("h3", {}, TITLES[step]), this.#pressure),
      this.#figure,
      this.#note,
      this.#bar,
      this.#shares,
    );
  }

  show(step: Step, figure: string, note: string): void {
    setText(this.#figure, figure);
    setText(this.#note, note);
    SHARES.forEach(([name], i) => this.#parts[i]!.style.flexGrow = String(step[name]));
    const texts = SHARES.filter(([name]) => name !== "backPressured" || step[name] >= 0.005)
      .map(([name, text]) => `${format.wholePercent(step[name])} ${text}`);
    setText(this.#shares, texts.join(", "));
    if (this.#pressure.dataset["class"] === step.pressure) return;
    this.#pressure.dataset["class"] = step.pressure;
    const level = step.pressure === "OK" ? "ok" : step.pressure === "LOW" ? "warning" : "broken";
    const label = badge(step.pressure, level);
    setAttribute(label, "title", "Class of back pressure");
    this.#pressure.replaceChildren(label);
  }
}

export class Flow {
  readonly element: HTMLElement;
  readonly #cards = (["source", "processor", "windows", "sinks"] as const)
    .map((step) => new StepCard(step));

  constructor() {
    this.element = h("ol", { class: "flow" }, ...this.#cards.map(({ element }) => element));
  }

  show(status: JobStatus): void {
    const { totals, rates, topics, lag, latency, workers } = status;
    const outputs = [topics.results, topics.summaries, topics.deadLetters]
      .filter((topic) => topic !== null);
    const lagText = lag === null ? "" : ` · ${format.compact(lag)} behind`;
    const texts: Record<Step["step"], [string, string]> = {
      source: [`${format.rate(rates.recordsIn)}/s`, `${topics.transactions}${lagText}`],
      processor: [
        `${format.compact(status.items)} items`,
        `${format.integer(workers.length)} ${workers.length === 1 ? "worker" : "workers"}, ` +
        `${format.integer(status.partitions.length)} partitions`,
      ],
      windows: [
        `${format.compact(status.openWindows)} open`,
        `${format.compact(totals.summaries)} alerts so far`,
      ],
      sinks: [
        `${format.rate(rates.recordsOut)}/s`,
        outputs.length === 0
          ? "no output topic"
          : `commit p99 ${format.duration(latency.commit.p99Ms)}`,
      ],
    };
    for (const card of this.#cards) {
      const step = status.flow.find((s) => s.step === card.step);
      if (step) card.show(step, ...texts[card.step]);
    }
  }
}
