// How a process of the group asks another one anything: over connections that are kept, with the cluster's token.

import { Agent, request } from "node:http";
import type { Socket } from "node:net";
import { type Clock, encodeUtf8 } from "../types/mod.ts";

/** The paths at which processes of a group ask each other. */
export const PEER_PATHS = {
  lookups: "/cluster/lookups",
  checkpoints: "/cluster/checkpoints",
  status: "/cluster/status",
} as const;
/** A connection does not wait for anything. */
const CONNECT_MS_MAX = 5000;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

/** Another process, and how it is reached. */
export interface PeerConnection {
  /** host:port */
  readonly address: string;
  /** What processes of the group bring as bearer token; empty = nothing. */
  readonly token: string;
  readonly agent: Agent;
  readonly clock: Clock;
}

/** What a process says of itself while it cannot answer yet: it can be asked. */
export class NotYetError extends Error {}

/** Connections to other processes, which are kept. */
export function peerAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 4 });
}

/**
 * Asks another process.
 *
 * @param over aborted when the generation is over: then nothing is waited for any more
 * @param msMax an answer is waited for so long
 * @throws {NotYetError} when it cannot answer yet
 * @throws {Error} when it refuses, or cannot be reached
 */
export async function askPeer<T>(
  peer: PeerConnection,
  path: string,
  body: unknown,
  over: AbortSignal,
  msMax: number,
): Promise<T> {
  const { clock } = peer;
  const ended = new AbortController();
  const given = Promise.withResolvers<never>();
  const isOver = new Error("The generation of the group is over");
  if (over.aborted) throw isOver;
  const giveUp = () => given.reject(isOver);
  over.addEventListener("abort", giveUp);
  /** Most requests go over a connection that was kept. */
  const connecting = () => {
    const connected = new AbortController();
    const connectMs = Math.min(CONNECT_MS_MAX, msMax);
    void clock.sleep(connectMs, AbortSignal.any([ended.signal, connected.signal])).then(() => {
      if (connected.signal.aborted) return;
      given.reject(new Error(`There is no connection within ${connectMs} ms`));
    });
    return () => connected.abort("connected");
  };
  void clock.sleep(msMax, ended.signal).then(() => {
    given.reject(new NotYetError(`There is no answer within ${msMax} ms`));
  });
  try {
    const text = JSON.stringify(body);
    // What node:http makes of an abort is not waited for: see postToPeer.
    const answer = postToPeer<T>(peer, path, text, ended.signal, connecting);
    return await Promise.race([answer, given.promise]);
  } finally {
    over.removeEventListener("abort", giveUp);
    ended.abort("ended"); // without a reason an error with a stack is made
  }
}

/**
 * @param ended aborted when the answer is not waited for any more
 * @param connecting called when a new connection is waited for; what it returns is called when it is there
 */
function postToPeer<T>(
  { address, token, agent }: PeerConnection,
  path: string,
  body: string,
  ended: AbortSignal,
  connecting: () => () => void,
): Promise<T> {
  const url = URL.parse(`http://${address}`);
  if (!url) return Promise.reject(new Error("its address cannot be read"));
  const bytes = encodeUtf8(body);
  return new Promise((resolve, reject) => {
    const options = {
      method: "POST",
      host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url.port || 80,
      path,
      agent,
      headers: {
        "host": url.host,
        "content-type": "application/json",
        "content-length": bytes.length,
        ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
      },
    };
    const asked = request(options, (response) => {
      const parts: Uint8Array[] = [];
      let size = 0;
      response.on("data", (part: Uint8Array) => {
        parts.push(part);
        size += part.length;
        if (size > ANSWER_BYTES_MAX) response.destroy(new Error("its answer is too large"));
      });
      response.on("error", reject);
      response.on("end", () => {
        try {
          const text = new TextDecoder().decode(concat(parts, size));
          const { statusCode } = response;
          if (statusCode === 200) return resolve(JSON.parse(text));
          const Kind = statusCode === 503 ? NotYetError : Error;
          reject(new Kind(`${statusCode} ${messageIn(text)}`));
        } catch (error) {
          reject(error);
        }
      });
    });
    asked.on("error", reject);
    asked.on("socket", (socket: Socket) => {
      if (socket.connecting) socket.once("connect", connecting());
    });
    ended.addEventListener("abort", () => {
      // A request on a connection that was kept is sent once more, and never ends, if its connection goes while it is
      // marked as such (Deno 2.9); so `signal` does not end it either.
      asked.reusedSocket = false;
      asked.destroy();
    });
    asked.end(bytes);
  });
}

/** What an answer says that is an error; the beginning of it where it has another form. */
function messageIn(text: string): string {
  try {
    return String(JSON.parse(text).error.message);
  } catch {
    return text.slice(0, 200).trim();
  }
}

function concat(parts: readonly Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
