import type { InputStream } from "../streams.ts";
import { LineReader } from "./line_reader.ts";
import type { LineEndpoint } from "./tcp.ts";

export interface FromOptions {
  /** The topic that keeps them: transactions or queries by default, by what they are read as. */
  readonly topic?: string;
}

/**
 * Records that come as lines of text: `123 item_2` is a query, four fields with TABs between them a transaction. A
 * line is durable before anything is done with it; one that the connection cut, or that cannot be read, is logged and
 * left out. Queries are answered in the order of their lines.
 *
 * @example
 * override readQueryStream() {
 *   return fromLines(tcp("127.0.0.1", 9999));
 * }
 */
export function fromLines<T>(
  { address, dial, hint }: LineEndpoint,
  options: FromOptions = {},
): InputStream<T> {
  return {
    ...options,
    feed: {
      from: address,
      ...(hint === undefined ? {} : { hint }),
      run: (target, stop) => new LineReader({ address, dial, target }).run(stop),
    },
  };
}
