// The socket below a kafkajs connection. Node's streams read 64 KiB at a time into a buffer each, which
// kafkajs joins, twice for a large answer; here a whole answer is read into the one buffer that its
// records stay in. And nothing waits for an acknowledgement of TCP before it is sent (Nagle's algorithm):
// a commit is several small requests one after the other.

import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import { systemClock } from "../../types/mod.ts";
import { hostOf } from "./addresses.ts";
import { Frames } from "./frames.ts";
import { answersInPlaintext, Mismatch, MismatchError, wantsSasl } from "./probe.ts";

/** Bytes read at a time while no large frame is under way. */
const READ_BYTES = 64 * 1024;
/** Length of a frame's length. */
const PREFIX_BYTES = 4;
const HANDSHAKE_MS_MAX = 5000;
/** A listener that wants SASL answers for its versions, and closes the connection at any other request. */
const FIRST_FRAMES = 1;
/** What is longer is not a frame: a broker's answer is bounded by what was asked for. */
const FRAME_BYTES_MAX = 1 << 30;

/** The part of Deno.TcpConn and Deno.TlsConn that is used; tests bring their own. */
export interface Wire {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/**
 * A socket that gives frames of Kafka's protocol: int32 length, then so many bytes. Each `data` event is
 * one whole frame with its length.
 */
export class FrameSocket extends EventEmitter {
  #wire: Wire | null = null;
  #closed = false;
  #queue: Uint8Array[] = [];
  #writing = false;
  /** Frames that were received. */
  #frames = 0;

  /**
   * @param connecting settles with the connection; then onConnect is called
   * @param whyClosed is asked why the other side has closed a connection without a useful answer
   * @param frames where the memory of large frames comes from
   */
  constructor(
    connecting: Promise<Wire>,
    onConnect: () => void,
    readonly whyClosed: () => Promise<Error | null> = () => Promise.resolve(null),
    readonly frames: Pick<Frames, "take"> = new Frames(),
  ) {
    super();
    void this.#run(connecting, onConnect);
  }

  async #run(connecting: Promise<Wire>, onConnect: () => void): Promise<void> {
    try {
      const wire = await connecting;
      if (this.#closed) return wire.close();
      this.#wire = wire;
      onConnect();
      void this.#flush();
      await this.#readAll(wire);
      const why = this.#closed || this.#frames > FIRST_FRAMES ? null : await this.whyClosed();
      if (why) throw why;
      if (!this.#closed) this.emit("end");
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.end();
    this.emit("error", error);
  }

  async #readAll(wire: Wire): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    const view = new DataView(buffer.buffer);
    let have = 0;
    while (true) {
      const n = await wire.read(buffer.subarray(have));
      if (n === null || this.#closed) return;
      have += n;
      let at = 0;
      while (have - at >= PREFIX_BYTES) {
        const length = view.getInt32(at);
        if (this.#frames === 0 && isTlsAlert(length)) {
          throw new MismatchError(Mismatch.Tls, "The broker speaks TLS there");
        }
        if (length < 0 || length > FRAME_BYTES_MAX) {
          throw new RangeError(`The broker sent a frame of ${length} bytes`);
        }
        const frame = this.frames.take(PREFIX_BYTES + length);
        const here = Math.min(have - at, frame.length);
        frame.set(buffer.subarray(at, at + here));
        at += here;
        if (!await readRest(wire, frame, here)) return;
        if (this.#closed) return;
        this.#frames++;
        this.emit("data", frame);
      }
      buffer.copyWithin(0, at, have);
      have -= at;
    }
  }

  /** Sends bytes behind all that came before. They must not change until they are sent. */
  write(bytes: Uint8Array): boolean {
    this.#queue.push(bytes);
    void this.#flush();
    return true;
  }

  async #flush(): Promise<void> {
    const wire = this.#wire;
    if (!wire || this.#writing) return;
    this.#writing = true;
    await Promise.resolve(); // what is written in one go is sent in one go
    try {
      while (this.#queue.length > 0 && !this.#closed) {
        const some = this.#queue;
        this.#queue = [];
        for (const bytes of joinSmall(some)) {
          for (let at = 0; at < bytes.length && !this.#closed;) {
            at += await wire.write(bytes.subarray(at));
          }
        }
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#writing = false;
    }
  }

  /** Closes the connection; what is not sent yet is dropped. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    this.#wire?.close();
    this.emit("close");
  }

  destroy(): void {
    this.end();
  }

  /** For kafkajs, which calls it after the end. */
  unref(): void {}
}

/** Whether a frame's length is the beginning of an alert of TLS (RFC 8446, 5.1): 21, version 3.x. */
function isTlsAlert(length: number): boolean {
  return length >>> 8 >>> 8 === 0x1503;
}

async function readRest(wire: Wire, frame: Uint8Array, from: number): Promise<boolean> {
  for (let at = from; at < frame.length;) {
    const n = await wire.read(frame.subarray(at));
    if (n === null) return false;
    at += n;
  }
  return true;
}

/** Joins small neighbours: a system call each would cost more than their copy. */
function joinSmall(parts: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = [];
  let small: Uint8Array[] = [];
  const flush = () => {
    if (small.length > 0) joined.push(small.length === 1 ? small[0]! : Buffer.concat(small));
    small = [];
  };
  for (const part of parts) {
    if (part.length < READ_BYTES) {
      small.push(part);
      continue;
    }
    flush();
    joined.push(part);
  }
  flush();
  return joined;
}

/** What kafkajs asks its socketFactory for. */
export interface SocketRequest {
  readonly host: string;
  readonly port: number;
  readonly ssl?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly onConnect: () => void;
}

/** Makes the sockets of kafkajs's connections, which use SASL or not. */
export function frameSockets(
  usesSasl: boolean,
  frames: Frames,
): (request: SocketRequest) => FrameSocket {
  return ({ host: hidden, port, ssl, onConnect }) => {
    const host = hostOf(hidden);
    const dialOnce = () => ssl ? dialTls(host, port, ssl) : dial(host, port);
    const whyClosed = async () =>
      !usesSasl && await wantsSasl(dialOnce)
        ? new MismatchError(Mismatch.Sasl, "The broker wants SASL there")
        : null;
    const connecting = ssl ? dialOnce().catch((error) => whyNoTls(host, port, error)) : dialOnce();
    return new FrameSocket(connecting, onConnect, whyClosed, frames);
  };
}

/** What a listener that speaks no TLS does to a connection: it closes it in the middle of the handshake. */
const HANDSHAKE_ENDED = /eof|end of file|reset|closed|broken pipe/i;

async function whyNoTls(host: string, port: number, error: Error): Promise<never> {
  if (HANDSHAKE_ENDED.test(error.message) && await answersInPlaintext(() => dial(host, port))) {
    throw new MismatchError(Mismatch.Plaintext, "The broker does not speak TLS there");
  }
  throw error;
}

async function dial(hostname: string, port: number): Promise<Wire> {
  const connection = await Deno.connect({ hostname, port });
  connection.setNoDelay(true);
  connection.setKeepAlive(true);
  return connection;
}

async function dialTls(
  hostname: string,
  port: number,
  { ca, cert, key }: NonNullable<SocketRequest["ssl"]>,
): Promise<Wire> {
  const connection = await Deno.connectTls({
    hostname,
    port,
    ...(ca === undefined ? {} : { caCerts: [ca] }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  });
  // Nobody else closes a connection that hangs before it is one.
  const done = new AbortController();
  void systemClock.sleep(HANDSHAKE_MS_MAX, done.signal).then(() => {
    if (!done.signal.aborted) connection.close();
  });
  try {
    await connection.handshake();
    return connection;
  } catch (error) {
    try {
      connection.close();
    } catch {
      // It hung, and is closed already.
    }
    throw error;
  } finally {
    done.abort("over");
  }
}
