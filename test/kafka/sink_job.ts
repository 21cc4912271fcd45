// The Kafka job with a sink in its process, which appends what it is given to a file; a life begins with a line "life".

import { forEach, KafkaItemTransactionJob, type OutputStream, run, text } from "../../mod.ts";
import type { Parameters, TransactionResult } from "../../mod.ts";

class SinkJob extends KafkaItemTransactionJob {
  static override readonly parameters = {
    "test.file": text("a path", /^.+$/, "missing", "where the sink writes"),
  };

  override writeTransactionResults(
    params: Parameters<typeof SinkJob.parameters>,
    results: OutputStream<TransactionResult>,
  ): void {
    super.writeTransactionResults(params, results);
    const file = params.get("test.file");
    const write = (text: string) => Deno.writeTextFile(file, text, { append: true });
    let before: Promise<void> = write("life\n");
    // A line each, in the order of the calls.
    const append = (text: string) => before = before.then(() => write(text));
    results.addSink(forEach(async (values, { partition, offset }) => {
      const lines = values.map(({ transaction, success }, i) =>
        `${partition}/${offset + i} ${transaction.transactionId} ${success}\n`
      );
      await append(lines.join(""));
    }, { name: "file" }));
  }
}

if (import.meta.main) await run(SinkJob, Deno.args);
