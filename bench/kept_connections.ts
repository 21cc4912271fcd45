// Asks a process over HTTP with little CPU, because all parties of a benchmark share the processors. Connections are
// kept, are few, and have one request at a time: a client that opens one for each request under way measures how they
// are opened once answers take longer.

import { decodeUtf8, encodeUtf8 } from "../src/types/mod.ts";

const READ_BYTES = 16 * 1024;
const HEAD_END = "\r\n\r\n";

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** Connections to one process; who finds none free waits for one. */
export class KeptConnections {
  readonly #free: Connection[] = [];
  /** Are given a connection that is free, or the place of one that is gone. */
  readonly #waiting: ((found: Connection | null) => void)[] = [];
  #count = 0;

  /** @param url http://host:port */
  constructor(readonly url: string, readonly connectionsMax: number) {}

  /** @throws {Error} when the process is gone, or goes before it answers */
  async get(path: string): Promise<HttpAnswer> {
    const found = await this.#take();
    let connection = found;
    try {
      connection ??= await Connection.open(this.url);
      const answer = await connection.get(path);
      this.#give(connection);
      return answer;
    } catch (error) {
      connection?.close();
      this.#give(null);
      throw error;
    }
  }

  #take(): Promise<Connection | null> {
    const free = this.#free.pop();
    if (free) return Promise.resolve(free);
    if (this.#count === this.connectionsMax) {
      return new Promise((resolve) => this.#waiting.push(resolve));
    }
    this.#count++;
    return Promise.resolve(null);
  }

  #give(connection: Connection | null): void {
    const next = this.#waiting.shift();
    if (next) next(connection);
    else if (connection) this.#free.push(connection);
    else this.#count--;
  }

  /** To be called when nothing is asked any more. */
  close(): void {
    for (const connection of this.#free) connection.close();
  }
}

class Connection {
  #text = "";
  readonly #buffer = new Uint8Array(READ_BYTES);

  private constructor(readonly connection: Deno.TcpConn, readonly host: string) {}

  static async open(url: string): Promise<Connection> {
    const { hostname, port, host } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    connection.setNoDelay(true);
    return new Connection(connection, host);
  }

  async get(path: string): Promise<HttpAnswer> {
    const request = encodeUtf8(`GET ${path} HTTP/1.1\r\nhost: ${this.host}\r\n\r\n`);
    for (let at = 0; at < request.length;) {
      at += await this.connection.write(request.subarray(at));
    }
    let end: number;
    while ((end = this.#text.indexOf(HEAD_END)) < 0) await this.#read();
    const head = this.#text.slice(0, end);
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? NaN);
    if (Number.isNaN(length)) throw new Error(`An answer without a length: ${head}`);
    const from = end + HEAD_END.length;
    while (this.#text.length < from + length) await this.#read();
    const body = this.#text.slice(from, from + length);
    this.#text = this.#text.slice(from + length);
    return { status: Number(head.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length)), body };
  }

  /** Answers are of ASCII. */
  async #read(): Promise<void> {
    const n = await this.connection.read(this.#buffer);
    if (n === null) throw new Error("The connection was closed");
    this.#text += decodeUtf8(this.#buffer.subarray(0, n)) ?? "";
  }

  close(): void {
    this.connection.close();
  }
}
