// A TCP proxy on 127.0.0.1; what is done beside forwarding is for those that extend it.

/** What is done for one connection. */
export interface Passing {
  /** Is waited for before the server is connected to, and before the ends are closed. */
  hold?(): Promise<void> | undefined;
  /** Bytes came from one end; they go to the other one when it is resolved. */
  onBytes(bytes: Uint8Array, isFromClient: boolean): Promise<void> | undefined;
}

/** A proxy for one address, which may be set after the start. */
export abstract class TcpProxy {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  readonly #target = Promise.withResolvers<string>();

  constructor() {
    void this.#accept();
  }

  /** A client has connected. */
  protected abstract join(): Passing;

  get address(): string {
    return `127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  /** Sets where connections lead, as host:port. */
  leadTo(address: string): void {
    this.#target.resolve(address);
  }

  close(): void {
    this.#listener.close();
    for (const connection of this.#connections) tryToClose(connection);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) void this.#join(client, this.join());
  }

  async #join(client: Deno.TcpConn, passing: Passing): Promise<void> {
    this.#connections.add(client);
    try {
      await passing.hold?.();
      const [hostname, port] = (await this.#target.promise).split(":");
      const server = await Deno.connect({ hostname: hostname!, port: Number(port) });
      this.#connections.add(server);
      client.setNoDelay(true);
      server.setNoDelay(true);
      await Promise.all([
        this.#pump(client, server, passing, true),
        this.#pump(server, client, passing, false),
      ]);
    } catch {
      // The server is not there: the client finds a connection that ends.
      tryToClose(client);
    }
  }

  async #pump(
    from: Deno.Conn,
    to: Deno.Conn,
    passing: Passing,
    isFromClient: boolean,
  ): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let n; (n = await from.read(buffer)) !== null;) {
        await passing.onBytes(buffer.subarray(0, n), isFromClient);
        for (let at = 0; at < n;) at += await to.write(buffer.subarray(at, n));
      }
    } catch {
      // One side has closed it.
    }
    await passing.hold?.();
    tryToClose(from);
    tryToClose(to);
    this.#connections.delete(from);
    this.#connections.delete(to);
  }
}

function tryToClose(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
