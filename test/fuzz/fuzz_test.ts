import { assert, assertEquals } from "@std/assert";
import { seedOfTest, timesOfTest } from "../../tools/kit/random.ts";
import { fuzz, Tally } from "./fuzz.ts";
import { CanaryError, GuardedCore, type GuardedOptions } from "./guarded_core.ts";
import { PLAIN } from "../wasm/driver.ts";
import { encodeBatch, encodeUtf8, systemChance } from "../../src/types/mod.ts";
import { Code, Reason } from "../../src/wasm/mod.ts";

const BATCHES = timesOfTest(60_000);

Deno.test("core: every mutated batch has an outcome, and no byte outside its areas is touched", () => {
  const seed = seedOfTest();
  const tally = new Tally();
  fuzz({ seed, batches: BATCHES, tally, log: (line) => console.log(line) });
  console.log(`seed ${seed}: ${tally.verdict()}`);
  assert(tally.good);
  // What would be good for nothing: mutations that are all refused, or none.
  for (const code of ["Done", "Record", "BatchLength", "BatchCrc", "BatchAttributes"] as const) {
    assert((tally.codes.get(code) ?? 0) > BATCHES / 500, `${code}: ${tally.codes.get(code)}`);
  }
  for (const kind of ["accepted", "rejected", "dead letter: Malformed"]) {
    assert((tally.outcomes.get(kind) ?? 0) > BATCHES / 500, `${kind}: ${tally.outcomes.get(kind)}`);
  }
  // Every reason of a dead letter is met.
  const reasons = Object.values(Reason).filter((r): r is string => typeof r === "string");
  for (const reason of reasons.filter((r) => r !== "None")) {
    assert(tally.outcomes.has(`dead letter: ${reason}`), reason);
  }
  assert(tally.comparedWithModel > BATCHES / 100 && tally.comparedWithTwin > BATCHES / 100);
});

const OPTIONS: GuardedOptions = {
  ...PLAIN,
  inputBytes: 8192,
  resultBytes: 200_000,
  summaryBytes: 20_000,
  batchBytesMax: 4000,
};

Deno.test("a guarded core finds a changed byte around every area, and within the input", () => {
  const offsets: ["input" | "guards", number][] = [["input", 511], ["input", 512], ["guards", 0]];
  for (const [place, at] of offsets) {
    const guarded = new GuardedCore(OPTIONS, (bytes) => bytes.fill(0xa5), systemChance);
    const value = encodeUtf8("1\t1\ta\t1");
    const batch = encodeBatch([{ timestamp: 1, key: null, value }]);
    guarded.expect(batch);
    assertEquals(guarded.core.begin(batch), Code.Done);
    assertEquals(guarded.core.run(), Code.Done);
    guarded.check();
    const names = guarded.places().filter((p) => (p.name === "input") === (place === "input"));
    assert(names.length === (place === "input" ? 1 : 8), `${names.length}`);
    for (const { name, address } of names) {
      guarded.memory[address + at]! ^= 1;
      let found = "";
      try {
        guarded.check();
      } catch (error) {
        if (!(error instanceof CanaryError)) throw error;
        found = error.message;
      }
      assert(found.startsWith(`${name}: byte ${at} `), `${name}: ${found}`);
      guarded.memory[address + at]! ^= 1;
    }
  }
});
