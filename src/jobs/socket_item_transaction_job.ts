import { standardOutput } from "../engine/line_output.ts";
import type { Parameters } from "../parameters/parameters.ts";
import { SOCKET_JOB_NAME } from "../service/job_names.ts";
import { fromLines } from "../service/sources/from_lines.ts";
import { tcp } from "../service/sources/tcp.ts";
import { type Delivery, forEach, type InputStream, type OutputStream } from "../service/streams.ts";
import { type Query, type QueryResult, showQueryResult } from "../types/mod.ts";
import { EmbeddedItemTransactionJob } from "./embedded_item_transaction_job.ts";

/**
 * To try things out: takes queries from a socket that it connects to, `123 item_2` in a line, and prints
 * their answers. Its log is embedded, so that a line that was taken is answered also after a crash.
 */
export class SocketItemTransactionJob extends EmbeddedItemTransactionJob {
  static override readonly jobName: string = SOCKET_JOB_NAME;

  /** @throws {StopError} when Deno does not allow a connection to the socket */
  override readQueryStream(params: Parameters): InputStream<Query> {
    return fromLines(tcp(params.get("socket.host"), params.get("socket.port")));
  }

  override writeQueryOutput(params: Parameters, results: OutputStream<QueryResult>): void {
    super.writeQueryOutput(params, results);
    // Answers that an earlier life of the log has kept are not printed.
    results.addSink(forEach(print, { name: "console", offsetReset: "latest" }));
  }
}

/** Prints answers, and waits for whoever reads them. */
async function print(answers: readonly QueryResult[], { signal }: Delivery): Promise<void> {
  for (const answer of answers) standardOutput.print(`${showQueryResult(answer)}\n`);
  await standardOutput.room(signal);
}
