// Requests to other processes of the group that come hundreds of times a second, as bytes over connections that are kept:
// where both ends are ours, requests and answers of HTTP/1.1 have one form. node:http takes four times the CPU for such a
// request, a tenth of a core and more in each of three processes (bench:cluster:items). Whatever is answered in another
// form, as a proxy may, is not read here: who is asked so is asked by node:http from then on.

import { encodeUtf8 } from "../types/mod.ts";

/** Connections to one process that are kept while nothing is asked. */
const FREE_MAX = 4;
const READ_BYTES = 16 * 1024;
const HEAD_BYTES_MAX = 16 * 1024;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
const HEAD_END = "\r\n\r\n";
const FORM = /^HTTP\/1\.1 (\d{3}) /;
const LENGTH = /\r\ncontent-length: *(\d{1,9})(?=\r\n|$)/i;
/** What makes the end of an answer, or of its connection, another one than its length says. */
const OTHERWISE = /\r\n(transfer-encoding|connection|content-encoding):/i;
const latin1 = new TextDecoder("latin1");
const utf8 = new TextDecoder();

export interface PlainRequest {
  /** host:port */
  readonly address: string;
  readonly path: string;
  /** Empty = none. */
  readonly token: string;
  readonly body: string;
}

export interface PlainAnswer {
  readonly status: number;
  readonly text: string;
}

/** The connection had ended before the answer began: it may have been so before anything was asked. */
class EndedError extends Error {}

/** Connections to all processes of a group. */
export class PlainConnections {
  readonly #free = new Map<string, Deno.TcpConn[]>();
  /** Addresses at which something was answered in another form. */
  readonly #others = new Set<string>();
  #isDestroyed = false;

  /**
   * Posts JSON; once more on a new connection if one that was kept has ended meanwhile.
   *
   * @param ended aborted when the answer is not waited for any more
   * @param connecting called when a connection is opened; what it returns is called when it is there
   * @returns null when the answer is not of our form, now or before: then it is not known
   * @throws {Error} when it cannot be reached, or does not answer
   */
  async post(
    request: PlainRequest,
    ended: AbortSignal,
    connecting: () => () => void,
  ): Promise<PlainAnswer | null> {
    const { address } = request;
    const url = URL.parse(`http://${address}`);
    if (!url || this.#others.has(address)) return null;
    const bytes = bytesOf(request, url.host);
    while (true) {
      const kept = this.#free.get(address)?.pop();
      const tcp = kept ?? await connect(url, ended, connecting);
      try {
        const answer = await exchange(tcp, bytes, ended);
        if (answer) this.#keep(address, tcp);
        else {
          tcp.close();
          this.#others.add(address);
        }
        return answer;
      } catch (error) {
        close(tcp);
        if (!kept || ended.aborted || !(error instanceof EndedError)) throw error;
      }
    }
  }

  #keep(address: string, tcp: Deno.TcpConn): void {
    const free = this.#free.get(address) ?? [];
    this.#free.set(address, free);
    if (this.#isDestroyed || free.length >= FREE_MAX) tcp.close();
    else free.push(tcp);
  }

  /** Closes those to other addresses on which nothing is asked. */
  keepTo(addresses: readonly (string | null)[]): void {
    for (const [address, free] of this.#free) {
      if (addresses.includes(address)) continue;
      free.forEach(close);
      this.#free.delete(address);
    }
  }

  /** Closes all on which nothing is asked, and from now on each when it is answered. */
  destroy(): void {
    this.#isDestroyed = true;
    this.keepTo([]);
  }
}

function bytesOf({ path, token, body }: PlainRequest, host: string): Uint8Array {
  const content = encodeUtf8(body);
  const head = encodeUtf8([
    `POST ${path} HTTP/1.1`,
    `host: ${host}`,
    "content-type: application/json",
    `content-length: ${content.length}`,
    ...(token === "" ? [] : [`authorization: Bearer ${token}`]),
    "",
    "",
  ].join("\r\n"));
  const bytes = new Uint8Array(head.length + content.length);
  bytes.set(head);
  bytes.set(content, head.length);
  return bytes;
}

async function connect(
  url: URL,
  ended: AbortSignal,
  connecting: () => () => void,
): Promise<Deno.TcpConn> {
  const connected = connecting();
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const tcp = await Deno.connect({ hostname, port: Number(url.port || 80), signal: ended });
  connected();
  tcp.setNoDelay(true);
  return tcp;
}

/** One request and its answer; null if that is not of our form. */
async function exchange(
  tcp: Deno.TcpConn,
  request: Uint8Array,
  ended: AbortSignal,
): Promise<PlainAnswer | null> {
  const cut = () => close(tcp);
  ended.addEventListener("abort", cut);
  if (ended.aborted) cut();
  let begun = false;
  try {
    for (let at = 0; at < request.length;) at += await tcp.write(request.subarray(at));
    return await readAnswer(tcp, () => begun = true);
  } catch (error) {
    throw begun ? error : new EndedError((error as Error).message);
  } finally {
    ended.removeEventListener("abort", cut);
  }
}

async function readAnswer(tcp: Deno.TcpConn, onBegun: () => void): Promise<PlainAnswer | null> {
  let bytes = new Uint8Array(READ_BYTES);
  let head: { readonly status: number; readonly from: number; readonly to: number } | null = null;
  for (let size = 0; !head || size < head.to;) {
    if (size === bytes.length) bytes = grown(bytes);
    const count = await tcp.read(bytes.subarray(size));
    if (count === null) throw new Error("its connection has ended");
    onBegun();
    size += count;
    if (!head) {
      const text = latin1.decode(bytes.subarray(0, size));
      const end = text.indexOf(HEAD_END);
      if (end < 0 && size < HEAD_BYTES_MAX) continue;
      const status = FORM.exec(text)?.[1];
      const length = LENGTH.exec(text.slice(0, end))?.[1];
      if (end < 0 || !status || !length || OTHERWISE.test(text.slice(0, end))) return null;
      const from = end + HEAD_END.length;
      head = { status: Number(status), from, to: from + Number(length) };
      if (Number(length) > ANSWER_BYTES_MAX) throw new Error("its answer is too large");
    }
    if (size > head.to) return null;
  }
  return { status: head!.status, text: utf8.decode(bytes.subarray(head!.from, head!.to)) };
}

function grown(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(2 * bytes.length);
  larger.set(bytes);
  return larger;
}

function close(tcp: Deno.TcpConn): void {
  try {
    tcp.close();
  } catch {
    // It is closed already.
  }
}
