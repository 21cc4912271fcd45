import { assert, assertEquals } from "@std/assert";
import type { OutputStream } from "../../src/service/mod.ts";
import type { Commit, LogSession } from "../../src/log/mod.ts";
import { decodeBatch, decodeUtf8, type TransactionSummary } from "../../src/types/mod.ts";
import { sessionOver } from "../log/log_doubles.ts";
import { casesOfTest } from "../../tools/kit/random.ts";
import { KitJob, purchase } from "./kit.ts";

/** A commit that happens or not, and which is answered as lost. */
type Loss = { readonly commit: number; readonly happens: boolean };

/** Keeps what was really committed, and loses one commit. */
class LossyJob extends KitJob {
  commits = 0;
  readonly committed: Commit[] = [];

  constructor(loss: Loss) {
    super();
    const { log } = this.transactions;
    const claim = log.claim.bind(log);
    log.claim = async (input, partitions) => this.#lossy(await claim(input, partitions), loss);
  }

  #lossy(session: LogSession, loss: Loss): LogSession {
    return sessionOver(session, {
      commit: async (commit) => {
        const lost = ++this.commits === loss.commit;
        if (lost && !loss.happens) return "lost";
        const outcome = await session.commit(commit);
        if (outcome === "committed") this.committed.push(commit);
        return lost ? "lost" : outcome;
      },
    });
  }

  override writeTransactionSummaries(_: unknown, summaries: OutputStream<TransactionSummary>) {
    summaries.addSink({ kind: "topic", topic: "summaries" });
  }

  get summaryValues(): string[] {
    return this.committed.flatMap((c) => c.outputs).filter((o) => o.topic === "summaries")
      .flatMap((o) => o.batches).flatMap((b) => decodeBatch(b)).map((r) => decodeUtf8(r.value!)!);
  }
}

Deno.test("windows fired by a watermark of the source are published once, whichever commit is lost", async () => {
  let [losses, tried] = [0, 0];
  for (const [row, happens] of [true, false].entries()) {
    for (const commit of casesOfTest(1, 8, 2, row)) {
      tried++;
      const job = new LossyJob({ commit, happens });
      await using tester = await job.start({ "event.time": "true" });
      for (let window = 0; window < 3; window++) {
        // A yield apart, so that records and watermarks are in commits of their own.
        await job.transactions.sendRecord(purchase(window, 60_000 * window));
        await tester.clock.sleep(3);
        await job.transactions.sendWatermark(60_000 * (window + 1));
        await tester.clock.sleep(3);
        await job.transactions.sendRecord(purchase(window, 60_000 * window)); // late
      }
      await tester.stop();
      assertEquals(
        job.summaryValues,
        [0, 1, 2].map((n) => `item_1\t${60_000 * n}\t${60_000 * (n + 1)}\t0\t1\t1`),
        `commit ${commit}, happens ${happens}`,
      );
      if (job.commits >= commit) losses++;
    }
  }
  assert(losses >= tried / 2, `${losses} commits were lost`);
});
