import type { Parameters } from "../parameters/parameters.ts";
import { print } from "../service/print.ts";
import { fromLines } from "../service/sources/from_lines.ts";
import { tcp } from "../service/sources/tcp.ts";
import type { InputStream, OutputStream } from "../service/streams.ts";
import { type Query, type QueryResult, showQueryResult } from "../types/mod.ts";
import { EmbeddedItemTransactionJob } from "./embedded_item_transaction_job.ts";

/**
 * To try things out: takes queries from a socket that it connects to, `123 item_2` in a line, and prints
 * their answers. Its log is embedded, so that a line that was taken is answered also after a crash.
 */
export class SocketItemTransactionJob extends EmbeddedItemTransactionJob {
  static override readonly jobName: string = "Socket Transaction Processor Job";

  /** @throws {StopError} when Deno does not allow a connection to the socket */
  override readQueryStream(params: Parameters): InputStream<Query> {
    return fromLines(tcp(params.get("socket.host"), params.get("socket.port")));
  }

  override writeQueryOutput(params: Parameters, results: OutputStream<QueryResult>): void {
    super.writeQueryOutput(params, results);
    // Answers that an earlier life of the log has kept are not printed.
    results.addSink(print(showQueryResult, { name: "console", offsetReset: "latest" }));
  }
}
