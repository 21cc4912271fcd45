import { assert, assertEquals } from "@std/assert";
import { PARAMETERS } from "../../src/parameters/mod.ts";
import { type FoldParameters, foldParametersDiff, SET_BY } from "../../src/state/mod.ts";

const PLAIN: FoldParameters = {
  foldVersion: 2,
  format: "text",
  partitioner: "murmur2",
  partitions: 4,
  windowMs: 0,
  eventTime: false,
  outOfOrderMs: 0,
  maxAheadMs: 0,
  rememberMs: 0,
  rememberedMax: 0,
};
const WINDOWS: FoldParameters = {
  ...PLAIN,
  windowMs: 120_000,
  eventTime: true,
  outOfOrderMs: 5,
  maxAheadMs: 7,
};

Deno.test("other fold parameters are named as a user sets them, without those that do not matter", () => {
  for (const name of Object.values(SET_BY)) assert(name in PARAMETERS, name);
  assertEquals(foldParametersDiff(PLAIN, PLAIN), "");
  assertEquals(foldParametersDiff(PLAIN, WINDOWS), "enable.summaries was false, is true");
  assertEquals(
    foldParametersDiff(WINDOWS, { ...WINDOWS, windowMs: 60_000, maxAheadMs: 8 }),
    "time.intervals.in.minutes was 2, is 1; event.time.max.ahead.ms was 7, is 8",
  );
  assertEquals(
    foldParametersDiff(PLAIN, { ...PLAIN, rememberMs: 600_000, rememberedMax: 100 }),
    "idempotency.window.ms was 0, is 600000",
  );
  for (const name of Object.keys(SET_BY) as (keyof typeof SET_BY)[]) {
    const base = { ...WINDOWS, rememberMs: 1, rememberedMax: 1 };
    const value = base[name];
    const other = typeof value === "number" ? value + 60_000 : !value;
    const diff = foldParametersDiff(base, { ...base, [name]: other } as FoldParameters);
    assert(diff.startsWith(`${SET_BY[name]} was `), `${name}: ${diff}`);
  }
});
