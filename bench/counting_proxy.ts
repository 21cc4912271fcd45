// A TCP proxy before a broker that counts requests by their API: a measure that holds on a busy machine too.

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
export class CountingProxy {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  #target = Promise.withResolvers<string>();
  #counts = new Map<string, number>();

  constructor() {
    void this.#accept();
  }

  get address(): string {
    return `127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  /** Sets where connections lead, as host:port. */
  leadTo(address: string): void {
    this.#target.resolve(address);
  }

  /** Begins anew: connections that are open are not counted any more. */
  restart(): void {
    this.#counts = new Map();
  }

  /** Connections and requests since then, the most first. */
  describe(): string {
    return [...this.#counts].sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} ${n}`)
      .join(", ");
  }

  close(): void {
    this.#listener.close();
    for (const connection of this.#connections) close(connection);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) void this.#join(client, this.#counts);
  }

  async #join(client: Deno.TcpConn, counts: Map<string, number>): Promise<void> {
    this.#connections.add(client);
    const count = (name: string) => void counts.set(name, (counts.get(name) ?? 0) + 1);
    count("connections");
    const [hostname, port] = (await this.#target.promise).split(":");
    const broker = await Deno.connect({ hostname: hostname!, port: Number(port) });
    this.#connections.add(broker);
    client.setNoDelay(true);
    broker.setNoDelay(true);
    const counting = countRequests((api) => count(APIS[api] ?? `API ${api}`));
    const ends = [
      client.readable.pipeThrough(counting).pipeTo(broker.writable),
      broker.readable.pipeTo(client.writable),
    ];
    await Promise.allSettled(ends);
    close(client);
    close(broker);
  }
}

/** Passes bytes on, and names the API key of each frame in them. */
function countRequests(
  onRequest: (apiKey: number) => void,
): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  const head: number[] = [];
  /** Bytes of the frame that are still to come. */
  let rest = 0;
  return new TransformStream({
    transform(bytes, controller) {
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
      controller.enqueue(bytes);
    },
  });
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It has ended already.
  }
}
