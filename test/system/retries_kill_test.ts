import { assert } from "@std/assert";
import { seedOfTest } from "../../tools/kit/random.ts";
import { retriesRun } from "./retries_kill.ts";
import { isGoodRetry, retryVerdictLine } from "./retries_verdict.ts";

Deno.test("clients that repeat every request over kill -9: each transaction is executed once, each repeat answered as the first", async () => {
  const seed = seedOfTest();
  const verdict = await retriesRun({ kills: 3, seed });
  console.log(`seed ${seed}: ${retryVerdictLine(verdict)}`);
  assert(isGoodRetry(verdict));
});
