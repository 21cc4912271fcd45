// A TCP proxy before a broker that counts requests by their API: a measure that holds on a busy machine too.

import { type Passing, TcpProxy } from "../tools/kit/tcp_proxy.ts";

/** Names of Kafka's API keys that a job uses. */
const APIS: Readonly<Record<number, string>> = {
  0: "Produce",
  1: "Fetch",
  2: "ListOffsets",
  3: "Metadata",
  9: "OffsetFetch",
  10: "FindCoordinator",
  11: "JoinGroup",
  12: "Heartbeat",
  13: "LeaveGroup",
  14: "SyncGroup",
  18: "ApiVersions",
  22: "InitProducerId",
  24: "AddPartitionsToTxn",
  25: "AddOffsetsToTxn",
  26: "EndTxn",
  28: "TxnOffsetCommit",
  32: "DescribeConfigs",
  69: "ConsumerGroupDescribe",
};

const LENGTH_BYTES = 4;
const API_KEY_BYTES = 2;

/** The proxy of one broker, whose advertised listener it is. */
export class CountingProxy extends TcpProxy {
  #counts = new Map<string, number>();

  /** Begins anew: connections that are open are not counted any more. */
  restart(): void {
    this.#counts = new Map();
  }

  /** Connections and requests since then, by their names. */
  get counts(): ReadonlyMap<string, number> {
    return new Map(this.#counts);
  }

  /** The same, the most first. */
  describe(): string {
    return [...this.#counts].sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} ${n}`)
      .join(", ");
  }

  protected override join(): Passing {
    const counts = this.#counts;
    const count = (name: string) => void counts.set(name, (counts.get(name) ?? 0) + 1);
    count("connections");
    const look = frameReader((api) => count(APIS[api] ?? `API ${api}`));
    return {
      onBytes: (bytes, isFromClient) => {
        if (isFromClient) look(bytes);
        return undefined;
      },
    };
  }
}

/** Is given bytes as they come, and names the API key of each frame in them. */
function frameReader(onRequest: (apiKey: number) => void): (bytes: Uint8Array) => void {
  const head: number[] = [];
  /** Bytes of the frame that are still to come. */
  let rest = 0;
  return (bytes) => {
    for (let at = 0; at < bytes.length;) {
      if (rest > 0) {
        const here = Math.min(rest, bytes.length - at);
        rest -= here;
        at += here;
        continue;
      }
      head.push(bytes[at++]!);
      if (head.length < LENGTH_BYTES + API_KEY_BYTES) continue;
      const view = new DataView(Uint8Array.from(head).buffer);
      rest = view.getInt32(0) - API_KEY_BYTES;
      onRequest(view.getInt16(LENGTH_BYTES));
      head.length = 0;
    }
  };
}
