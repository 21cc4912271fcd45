import { assert } from "@std/assert";
import { seedOfTest } from "../../tools/kit/random.ts";
import { whySkipped } from "../../tools/kit/test_broker.ts";
import { detailLine, isGood, type Verdict, verdictLine } from "./verdict.ts";

const noBroker = await whySkipped();

/**
 * A test that starts a broker of its own, and has a seed. Without Java and Maven, or for another reason, it is
 * skipped with that reason.
 */
export function faultTest(
  name: string,
  fn: (seed: number, t: Deno.TestContext) => Promise<void>,
  whyNot: string | null = null,
): void {
  const skipped = noBroker ?? whyNot;
  Deno.test({
    name: skipped ? `${name}: ${skipped}` : name,
    ignore: skipped !== null,
    sanitizeOps: false,
    sanitizeResources: false,
    fn: (t) => fn(seedOfTest(), t),
  });
}

/** Prints the verdict; fails unless nothing is lost or doubled, and the state is the fold of the log. */
export function assertGood(seed: number, verdict: Verdict, more = ""): void {
  console.log(`seed ${seed}: ${verdictLine(verdict)}; ${detailLine(verdict)}${more}`);
  assert(isGood(verdict), verdict.differences.join("\n"));
}
