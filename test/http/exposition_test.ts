import { assertEquals } from "@std/assert";
import { DURATION_BOUNDS_SECONDS } from "../../src/engine/mod.ts";
import { exposeMetrics } from "../../src/http/exposition.ts";

Deno.test("exposeMetrics writes gauges and counters by their names, with every character that has a meaning escaped", () => {
  const text = exposeMetrics([
    {
      name: "a_total",
      help: "First line\nof \\ two",
      samples: () => [[1, { what: 'a "quoted"\nback\\slash', other: "" }], [2.5]],
    },
    { name: "b_bytes", help: "Nothing yet", samples: () => [] },
    { name: "c_ratio", help: "Odd", samples: () => [[Infinity], [-Infinity], [NaN], [1e-7]] },
  ]);
  assertEquals(
    text,
    "# HELP a_total First line\\nof \\\\ two\n# TYPE a_total counter\n" +
      'a_total{what="a \\"quoted\\"\\nback\\\\slash",other=""} 1\na_total 2.5\n\n' +
      "# HELP b_bytes Nothing yet\n# TYPE b_bytes gauge\n\n" +
      "# HELP c_ratio Odd\n# TYPE c_ratio gauge\nc_ratio +Inf\nc_ratio -Inf\nc_ratio NaN\nc_ratio 1e-7\n",
  );
});

Deno.test("exposeMetrics adds up the classes of a histogram, with all of it in the last", () => {
  const classes = DURATION_BOUNDS_SECONDS.length;
  const counts = Array.from({ length: classes + 1 }, (_, i) => i === 0 || i === classes ? 1 : 0);
  const durations = { counts, sumMs: 1500 };
  const lines = exposeMetrics([{
    name: "d_seconds",
    help: "d",
    durations: () => [[durations, { input: "x" }]],
  }]).trim().split("\n");
  assertEquals(lines.slice(0, 3), [
    "# HELP d_seconds d",
    "# TYPE d_seconds histogram",
    `d_seconds_bucket{input="x",le="${DURATION_BOUNDS_SECONDS[0]}"} 1`,
  ]);
  assertEquals(lines.slice(-3), [
    'd_seconds_bucket{input="x",le="+Inf"} 2',
    'd_seconds_sum{input="x"} 1.5',
    'd_seconds_count{input="x"} 2',
  ]);
});
