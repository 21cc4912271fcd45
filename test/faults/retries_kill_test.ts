import { assert } from "@std/assert";
import { isGoodRetry, retryVerdictLine } from "../system/retries_verdict.ts";
import { kafkaRetriesRun } from "./retries_kill.ts";
import { faultTest } from "./with_broker.ts";

faultTest(
  "Kafka job: producers that send everything three times over kill -9: each transaction is executed once",
  async (seed) => {
    const verdict = await kafkaRetriesRun({ kills: 2, seed });
    console.log(`seed ${seed}: ${retryVerdictLine(verdict)}`);
    assert(isGoodRetry(verdict));
  },
);
