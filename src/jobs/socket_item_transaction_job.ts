import type { EmbeddedLog } from "../log/mod.ts";
import {
  codecOf,
  encodeUtf8,
  type Query,
  type QueryResult,
  showQueryResult,
} from "../types/mod.ts";
import { EMBEDDED_TOPICS, EmbeddedItemTransactionJob } from "./embedded_item_transaction_job.ts";
import { formatOf, type Parameters } from "../parameters/parameters.ts";
import { addressOf } from "../service/instance.ts";
import { type Dialer, tcpDialer } from "./socket/dial.ts";
import { standardOutput } from "../engine/line_output.ts";
import { SocketQueries } from "./socket/socket_queries.ts";
import { forEach, type InputStream, type OutputStream } from "../service/streams.ts";
import { MACHINE, type Surroundings } from "../service/surroundings.ts";

/** Queries of a socket go to one partition, so that they are answered in the order of their lines. */
const QUERY_PARTITION = 0;

/** What this job takes from the machine beside the surroundings of every job. */
export interface SocketMachine {
  readonly dialer: Dialer;
  /** Writes a line to standard output. */
  readonly print: (line: string) => void;
  /** Resolves when whoever reads it has room for more; without it there always is. */
  readonly room?: (signal: AbortSignal) => Promise<void>;
}

const SOCKET_MACHINE: SocketMachine = {
  dialer: tcpDialer,
  print: (line) => standardOutput.print(`${line}\n`),
  room: (signal) => standardOutput.room(signal),
};

/**
 * To try things out: takes queries from a socket that it connects to, `123 item_2` in a line, and prints
 * their answers. Its log is embedded, so that a line that was taken is answered also after a crash.
 */
export class SocketItemTransactionJob extends EmbeddedItemTransactionJob {
  readonly #surroundings: Surroundings;
  readonly #machine: SocketMachine;

  constructor(surroundings: Surroundings = MACHINE, machine: SocketMachine = SOCKET_MACHINE) {
    super(surroundings);
    this.#surroundings = surroundings;
    this.#machine = machine;
  }

  /** @throws {StopError} when Deno does not allow a connection to the socket */
  override readQueryStream(params: Parameters): InputStream<Query> {
    const { clock, chance } = this.#surroundings;
    const host = params.get("socket.host");
    const port = params.get("socket.port");
    const dial = this.#machine.dialer(host, port);
    const codec = codecOf(formatOf(params));
    const appendTo = (log: EmbeddedLog) => async (queries: readonly Query[]) => {
      const timestamp = clock.now();
      const records = queries.map((query) => ({
        timestamp,
        key: null,
        value: encodeUtf8(codec.formatQuery(query)),
      }));
      await log.append(EMBEDDED_TOPICS.queries, QUERY_PARTITION, records);
    };
    return {
      ...super.readQueryStream(params),
      feed(log: EmbeddedLog, stop: AbortSignal) {
        const address = addressOf(host, port);
        return new SocketQueries({ address, dial, append: appendTo(log), clock, chance }).run(stop);
      },
    };
  }

  override writeQueryOutput(params: Parameters, results: OutputStream<QueryResult>): void {
    super.writeQueryOutput(params, results);
    // Answers to queries of an earlier life of the log are not printed.
    results.addSink(forEach(async (answers, { signal }) => {
      for (const answer of answers) this.#machine.print(showQueryResult(answer));
      await this.#machine.room?.(signal);
    }, { name: "console", offsetReset: "latest" }));
  }
}
