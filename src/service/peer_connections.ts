// Connections to other processes of the group: HTTP/1.1 over TCP, kept, one request at a time. Processes ask each other up
// to hundreds of times a second, and node:http and fetch take three times the CPU for a request (60 us, 180 us and
// 230 us, beside what the process that is asked saves).

import { encodeUtf8 } from "../types/mod.ts";

/** Of one address; who finds none free waits. */
const CONNECTIONS_MAX = 4;
const HEAD_BYTES_MAX = 64 * 1024;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const READ_BYTES = 16 * 1024;
const LINE_END = encodeUtf8("\r\n");
const HEAD_END = encodeUtf8("\r\n\r\n");
const NOT_HTTP = "its answer is not one of HTTP";
const latin1 = new TextDecoder("latin1");
const utf8 = new TextDecoder();

export interface PeerHttpRequest {
  /** host:port */
  readonly address: string;
  readonly path: string;
  /** As `name: value`, beside those of host and length. */
  readonly headers: readonly string[];
  readonly body: string;
}

export interface PeerHttpAnswer {
  readonly status: number;
  readonly text: string;
}

/** What is known of one address. */
interface Address {
  readonly free: Connection[];
  /** Connections that are open or opened. */
  count: number;
  /** Are given a connection that is free, or the place of one that is gone. */
  readonly waiting: ((found: Connection | null) => void)[];
}

/** The connection had ended before the answer began: it may have been so before it was asked. */
class EndedError extends Error {}

/** Connections to all processes of a group. */
export class PeerConnections {
  readonly #addresses = new Map<string, Address>();
  readonly #open = new Set<Connection>();
  #isDestroyed = false;

  /**
   * Posts a request, once more on a new connection if one that was kept has been closed meanwhile.
   *
   * @param ended aborted when the answer is not waited for any more: closes the connection
   * @param connecting called when a new connection is opened; what it returns is called when it is there
   * @throws {Error} when there is no connection, or it ends before the answer does, or the answer is not HTTP
   */
  async post(
    request: PeerHttpRequest,
    ended: AbortSignal,
    connecting: () => () => void,
  ): Promise<PeerHttpAnswer> {
    const url = URL.parse(`http://${request.address}`);
    if (!url) throw new Error("its address cannot be read");
    const address = this.#addressOf(request.address);
    while (true) {
      const kept = await this.#take(address);
      let connection = kept;
      let isKept = false;
      try {
        this.#check(ended);
        connection ??= await this.#connect(url, ended, connecting);
        this.#check(ended);
        const answer = await connection.post(request, ended);
        isKept = connection.isReusable;
        return answer;
      } catch (error) {
        if (!kept || ended.aborted || !(error instanceof EndedError)) throw error;
        // The others that are free have been quiet for longer.
        for (const quiet of address.free.splice(0)) this.#close(address, quiet);
      } finally {
        if (isKept && !ended.aborted && !this.#isDestroyed) this.#give(address, connection!);
        else this.#close(address, connection);
      }
    }
  }

  #check(ended: AbortSignal): void {
    if (ended.aborted || this.#isDestroyed) {
      throw new Error("the answer is not waited for any more");
    }
  }

  #addressOf(name: string): Address {
    const known = this.#addresses.get(name);
    if (known) return known;
    const address: Address = { free: [], count: 0, waiting: [] };
    this.#addresses.set(name, address);
    return address;
  }

  /** A connection that is free; null = one may be opened. */
  #take(address: Address): Promise<Connection | null> | Connection | null {
    const free = address.free.pop();
    if (free) return free;
    if (address.count === CONNECTIONS_MAX) {
      return new Promise((resolve) => address.waiting.push(resolve));
    }
    address.count++;
    return null;
  }

  #give(address: Address, connection: Connection): void {
    const next = address.waiting.shift();
    if (next) next(connection);
    else address.free.push(connection);
  }

  /** @param connection null = it could not be opened */
  #close(address: Address, connection: Connection | null): void {
    if (connection) this.#open.delete(connection);
    connection?.close();
    const next = address.waiting.shift();
    if (next) next(null);
    else address.count--;
  }

  async #connect(
    url: URL,
    ended: AbortSignal,
    connecting: () => () => void,
  ): Promise<Connection> {
    const connected = connecting();
    const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
    const tcp = await Deno.connect({ hostname, port: Number(url.port || 80), signal: ended });
    connected();
    tcp.setNoDelay(true);
    const connection = new Connection(tcp, url.host);
    this.#open.add(connection);
    return connection;
  }

  /** Closes those to other addresses on which nothing is asked. */
  keep(addresses: readonly (string | null)[]): void {
    for (const [name, address] of this.#addresses) {
      if (addresses.includes(name)) continue;
      for (const quiet of address.free.splice(0)) this.#close(address, quiet);
      if (address.count === 0) this.#addresses.delete(name);
    }
  }

  /** Closes all; who waits for an answer gets an error. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const connection of this.#open) connection.close();
  }
}

/** One connection, which has one request at a time. */
class Connection {
  /** What was read and is not used yet, from `from` to `to`. */
  #buffer = new Uint8Array(READ_BYTES);
  #from = 0;
  #to = 0;
  /** Whether the answer has begun. */
  #isBegun = false;
  #isClosed = false;
  isReusable = true;

  constructor(readonly tcp: Deno.TcpConn, readonly host: string) {}

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.tcp.close();
  }

  async post(
    { path, headers, body }: PeerHttpRequest,
    ended: AbortSignal,
  ): Promise<PeerHttpAnswer> {
    const close = () => this.close();
    ended.addEventListener("abort", close);
    try {
      this.#isBegun = false;
      const bytes = encodeUtf8(body);
      const first = `POST ${path} HTTP/1.1`;
      const length = `content-length: ${bytes.length}`;
      const head = [first, `host: ${this.host}`, ...headers, length, "", ""].join("\r\n");
      await this.#send(concat(encodeUtf8(head), bytes));
      return await this.#answer();
    } finally {
      ended.removeEventListener("abort", close);
    }
  }

  async #send(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.tcp.write(bytes.subarray(at));
    } catch (error) {
      throw new EndedError((error as Error).message);
    }
  }

  async #answer(): Promise<PeerHttpAnswer> {
    let head: string;
    let status: number;
    do {
      head = await this.#until(HEAD_END);
      status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? NaN);
      if (Number.isNaN(status)) throw new Error(NOT_HTTP);
    } while (status < 200); // an answer is still to come
    if (/^connection:.*\bclose\b/im.test(head)) this.isReusable = false;
    const length = /^content-length:\s*(\d{1,15})\s*$/im.exec(head)?.[1];
    if (/^transfer-encoding:.*\bchunked\b/im.test(head)) {
      return { status, text: await this.#chunks() };
    }
    if (length !== undefined) {
      return { status, text: utf8.decode(await this.#some(Number(length))) };
    }
    this.isReusable = false;
    while (await this.#read()) checkSize(this.#to - this.#from);
    return { status, text: utf8.decode(this.#take(this.#to - this.#from)) };
  }

  /** A proxy may send an answer in chunks (RFC 9112, 7.1). */
  async #chunks(): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    for (let all = 0;;) {
      const size = /^[0-9a-f]{1,8}/i.exec(await this.#until(LINE_END))?.[0];
      if (size === undefined) throw new Error(NOT_HTTP);
      const length = parseInt(size, 16);
      if (length === 0) break;
      checkSize(all += length);
      text += decoder.decode(await this.#some(length), { stream: true });
      await this.#some(LINE_END.length);
    }
    while (await this.#until(LINE_END) !== ""); // fields may follow
    return text + decoder.decode();
  }

  /** What comes before a mark, as text of one byte a character; the mark is taken too. */
  async #until(mark: Uint8Array): Promise<string> {
    for (let looked = 0;;) {
      const bytes = this.#buffer.subarray(this.#from, this.#to);
      const at = indexOf(bytes, mark, looked);
      if (at >= 0) {
        const text = latin1.decode(this.#take(at));
        this.#from += mark.length;
        return text;
      }
      looked = Math.max(0, bytes.length - mark.length + 1);
      if (looked > HEAD_BYTES_MAX) throw new Error(NOT_HTTP);
      await this.#more();
    }
  }

  /** So many bytes, which count until the next ones are read. */
  async #some(length: number): Promise<Uint8Array> {
    checkSize(length);
    while (this.#to - this.#from < length) await this.#more();
    return this.#take(length);
  }

  #take(count: number): Uint8Array {
    return this.#buffer.subarray(this.#from, this.#from += count);
  }

  async #more(): Promise<void> {
    if (await this.#read()) return;
    throw this.#ended("its connection has ended");
  }

  #ended(reason: string): Error {
    return this.#isBegun ? new Error(reason) : new EndedError(reason);
  }

  /** Reads what comes; whether something came. */
  async #read(): Promise<boolean> {
    this.#makeRoom();
    let count: number | null;
    try {
      count = await this.tcp.read(this.#buffer.subarray(this.#to));
    } catch (error) {
      throw this.#ended((error as Error).message);
    }
    if (count === null) return false;
    this.#isBegun = true;
    this.#to += count;
    return true;
  }

  #makeRoom(): void {
    const size = this.#to - this.#from;
    const isFull = this.#to === this.#buffer.length;
    if (size > 0 && !isFull) return;
    // A large answer leaves no large buffer behind.
    const bytes = size === 0 ? READ_BYTES : Math.max(READ_BYTES, 2 * size);
    const buffer = this.#buffer.length === bytes && size === 0
      ? this.#buffer
      : new Uint8Array(bytes);
    if (size > 0) buffer.set(this.#buffer.subarray(this.#from, this.#to));
    this.#buffer = buffer;
    this.#from = 0;
    this.#to = size;
  }
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

function checkSize(bytes: number): void {
  if (bytes > ANSWER_BYTES_MAX) throw new Error("its answer is too large");
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array, from: number): number {
  for (let at = from; at + wanted.length <= bytes.length; at++) {
    if (wanted.every((byte, n) => bytes[at + n] === byte)) return at;
  }
  return -1;
}
