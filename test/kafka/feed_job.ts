// The Kafka job with sources of its own: transactions that the program brings, and queries from a socket. The program
// notes what the log has in a file, and goes on behind that in its next life.

import {
  forEach,
  fromLines,
  fromRecords,
  type InputStream,
  integer,
  type ItemTransaction,
  KafkaItemTransactionJob,
  type OutputStream,
  type Query,
  run,
  tcp,
  text,
} from "../../mod.ts";
import type { Parameters, QueryResult } from "../../mod.ts";

class FeedJob extends KafkaItemTransactionJob {
  static override readonly parameters = {
    "test.noted": text("a path", /^.+$/, "missing", "where it notes what it has brought"),
    "test.answers": text("a path", /^.+$/, "missing", "where answers go"),
    "test.count": integer(1, 1_000_000, 1, "transactions that it brings"),
    "test.port": integer(1, 65535, 1, "where queries come from"),
  };

  override readTransactionStream(
    params: Parameters<typeof FeedJob.parameters>,
  ): InputStream<ItemTransaction> {
    const topic = params.get("transaction.input.topic");
    return fromRecords(brought(params.get("test.noted"), params.get("test.count")), { topic });
  }

  override readQueryStream(params: Parameters<typeof FeedJob.parameters>): InputStream<Query> {
    const topic = params.get("query.input.topic");
    return fromLines(tcp("127.0.0.1", params.get("test.port")), { topic });
  }

  override writeQueryOutput(
    params: Parameters<typeof FeedJob.parameters>,
    results: OutputStream<QueryResult>,
  ): void {
    super.writeQueryOutput(params, results);
    const file = params.get("test.answers");
    results.addSink(forEach(async (answers) => {
      const lines = answers.map(({ queryId, itemInfo }) => `${queryId} ${itemInfo?.quantity}\n`);
      await Deno.writeTextFile(file, lines.join(""), { append: true });
    }));
  }
}

async function* brought(file: string, count: number): AsyncGenerator<ItemTransaction[]> {
  const noted = await Deno.readTextFile(file).catch(() => "");
  for (let next = noted.split("\n").length - 1; next < count; next++) {
    yield [{ transactionId: BigInt(next), ts: next, itemId: `item_${next % 7}`, quantity: 1 }];
    await Deno.writeTextFile(file, `${next}\n`, { append: true });
  }
}

if (import.meta.main) await run(FeedJob, Deno.args);
