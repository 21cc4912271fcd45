// A TCP proxy on 127.0.0.1 that can become a black hole: it takes connections and bytes, and forwards
// nothing until it is asked to go on. What it held back arrives then, late.

/** A proxy for one address, which may be set after the start. */
export class BlackHoleProxy {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  #target = Promise.withResolvers<string>();
  #gate: PromiseWithResolvers<void> | null = null;
  /** Bytes that went through, or are held back. */
  taken = 0;

  constructor() {
    void this.#accept();
  }

  get address(): string {
    return `127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  /** Sets where connections lead. */
  leadTo(address: string): void {
    this.#target.resolve(address);
  }

  /** Forwards nothing any more. */
  swallow(): void {
    this.#gate ??= Promise.withResolvers();
  }

  /** Forwards what was held back, and goes on. */
  goOn(): void {
    this.#gate?.resolve();
    this.#gate = null;
  }

  close(): void {
    this.goOn();
    this.#listener.close();
    for (const connection of this.#connections) tryToClose(connection);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) void this.#join(client);
  }

  async #join(client: Deno.Conn): Promise<void> {
    this.#connections.add(client);
    try {
      await this.#gate?.promise;
      const [hostname, port] = (await this.#target.promise).split(":");
      const server = await Deno.connect({ hostname: hostname!, port: Number(port) });
      this.#connections.add(server);
      await Promise.all([this.#pump(client, server), this.#pump(server, client)]);
    } catch {
      // The broker is not there: the client finds a connection that ends.
      tryToClose(client);
    }
  }

  async #pump(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let n; (n = await from.read(buffer)) !== null;) {
        this.taken += n;
        await this.#gate?.promise;
        for (let at = 0; at < n;) at += await to.write(buffer.subarray(at, n));
      }
    } catch {
      // One side has closed it.
    }
    await this.#gate?.promise;
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
