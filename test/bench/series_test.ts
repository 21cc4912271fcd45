import { assert, assertEquals } from "@std/assert";
import { lastQuarters, slope } from "../../bench/series.ts";

Deno.test("slope: of points on a line it is the line's", () => {
  assertEquals(slope([[0, 7], [1, 5], [3, 1]]), -2);
});

Deno.test("lastQuarters: a lag that grows by ten a sample grows by a quarter's worth", () => {
  const [third, last] = lastQuarters(Array.from({ length: 40 }, (_, i) => 10 * i));
  assertEquals(last - third, 100);
});

Deno.test("lastQuarters: a lag that comes and goes does not grow, nor does one with a pause at its end", () => {
  const lag = Array.from({ length: 40 }, (_, i) => 100 + 7 * (i % 5));
  const [third, last] = lastQuarters(lag);
  assert(Math.abs(last - third) <= 14);
  assertEquals(lastQuarters([...lag.slice(0, 37), 9000, 9000, 9000])[1] < 150, true);
});
