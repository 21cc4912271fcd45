import { assertEquals, assertRejects } from "@std/assert";
import { withAny } from "../../src/types/mod.ts";

Deno.test("withAny: its signal is aborted with any of several, until the work is done; what the work throws is thrown", async () => {
  for (const index of [0, 1]) {
    const sources = [new AbortController(), new AbortController()];
    const signals = sources.map(({ signal }) => signal);
    const seen = await withAny(signals, (any) => {
      const before = any.aborted;
      sources[index]!.abort("over");
      return Promise.resolve([before, any.aborted]);
    });
    assertEquals(seen, [false, true]);
    assertEquals(await withAny(signals, (any) => Promise.resolve(any.aborted)), true);
  }
  const source = new AbortController();
  let given: AbortSignal | null = null;
  const failing = withAny([source.signal], (any) => {
    given = any;
    return Promise.reject(new RangeError("no"));
  });
  await assertRejects(() => failing, RangeError, "no");
  source.abort("over");
  assertEquals(given!.aborted, false);
});
