import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Progress } from "../../src/engine/mod.ts";
import {
  ProgressDisplay,
  type ProgressFacts,
  showCount,
  showSeconds,
  type Terminal,
} from "../../src/cli/progress_display.ts";
import { ManualClock } from "../engine/manual_clock.ts";

/** A terminal of one line: understands what a progress bar writes to it. */
class FakeTerminal implements Terminal {
  columns = 100;
  line = "";
  #column = 0;

  write(text: string): void {
    // deno-lint-ignore no-control-regex
    for (const [part, , code] of text.matchAll(/\x1b\[(\d*)([A-Za-z])|[^\x1b]+/g)) {
      if (code === "G") this.#column = 0;
      else if (code === "K" || code === "J") this.line = this.line.slice(0, this.#column);
      else if (code === undefined) {
        assert(!part.includes("\n"), "it stays in its line");
        this.line = this.line.slice(0, this.#column) + part +
          this.line.slice(this.#column + part.length);
        this.#column += part.length;
      } else throw new Error(`The terminal does not know ${JSON.stringify(part)}`);
    }
  }
}

function displayOn(terminal: Terminal | null) {
  const clock = new ManualClock();
  const reported: ProgressFacts[] = [];
  const display = new ProgressDisplay({
    clock,
    terminal,
    report: (facts) => void reported.push(facts),
  });
  const report = (done: number, total: number, more: Partial<Progress> = {}) =>
    display.onProgress({ work: "restore", by: "a", done, total, over: false, ...more });
  return { clock, reported, display, report };
}

Deno.test("work of a second or less is not shown", async () => {
  const terminal = new FakeTerminal();
  const { clock, report } = displayOn(terminal);
  report(0, 100);
  await clock.advance(999);
  report(99, 100);
  assertEquals(terminal.line, "");
  await clock.advance(1);
  report(100, 100, { over: true });
  assertEquals(terminal.line, "");
});

Deno.test("a bar shows percentage, rate and time left, and goes when the work is over", async () => {
  const terminal = new FakeTerminal();
  const { clock, report } = displayOn(terminal);
  report(0, 10_000_000);
  await clock.advance(2000);
  report(2_500_000, 10_000_000);
  assertEquals(
    terminal.line,
    "Restoring checkpoints [=====---------------] 25 % | 1.25 M items/s | 6 s left",
  );
  await clock.advance(2000);
  report(5_000_000, 20_000_000); // the estimate has changed
  assertStringIncludes(terminal.line, "] 25 % | 1.25 M items/s | 12 s left");
  report(9, 10, { over: true });
  assertEquals(terminal.line, "");
});

Deno.test("workers' shares are added up; the next work is shown when the first one is over", async () => {
  const terminal = new FakeTerminal();
  const { clock, report } = displayOn(terminal);
  report(0, 100);
  report(0, 300, { by: "b" });
  await clock.advance(1000);
  report(0, 100, { by: "a", work: "replay" });
  await clock.advance(1000);
  report(50, 100);
  report(50, 300, { by: "b" });
  assertStringIncludes(terminal.line, "Restoring checkpoints [=====-");
  assertStringIncludes(terminal.line, "25 % | 50 items/s | 6 s left");
  report(100, 100, { over: true });
  report(10, 100, { by: "a", work: "replay" });
  assertStringIncludes(terminal.line, "Restoring");
  report(300, 300, { by: "b", over: true });
  assertStringIncludes(terminal.line, "Folding again [==--");
  report(100, 100, { by: "a", work: "replay", over: true });
  assertEquals(terminal.line, "");
});

Deno.test("hide takes the bar away until the next report, and a narrow terminal cuts it", async () => {
  const terminal = new FakeTerminal();
  const { clock, report, display } = displayOn(terminal);
  report(0, 100);
  await clock.advance(1000);
  report(10, 100);
  assert(terminal.line.length > 50);
  display.hide();
  assertEquals(terminal.line, "");
  terminal.columns = 30;
  report(20, 100);
  assertMatch(terminal.line, /^Restoring checkpoints \[=+-*$/);
  assertEquals(terminal.line.length, 30);
  display.hide();
});

Deno.test("without a terminal a line is logged every ten seconds", async () => {
  const { clock, report, reported } = displayOn(null);
  report(0, 1000);
  for (let i = 1; i <= 25; i++) {
    await clock.advance(1000);
    report(10 * i, 1000);
  }
  report(1000, 1000, { over: true });
  const about = { title: "Restoring checkpoints", unit: "items", total: 1000, rate: 10 };
  assertEquals(reported, [
    { ...about, done: 100, left: 90 },
    { ...about, done: 200, left: 80 },
  ]);
});

Deno.test("counts and times are short", () => {
  assertEquals([0, 7, 999, 1000, 45_600, 1_234_567, 9.87e9].map(showCount), [
    "0",
    "7",
    "999",
    "1.00 k",
    "45.6 k",
    "1.23 M",
    "9.87 G",
  ]);
  assertEquals([null, 0, 0.2, 119, 121, 7300].map(showSeconds), [
    "time left unknown",
    "0 s left",
    "1 s left",
    "119 s left",
    "3 min left",
    "3 h left",
  ]);
});
