// How a process of the group asks another one anything: over connections that are kept, with the cluster's token.

import type { Clock } from "../types/mod.ts";
import type { PeerConnections } from "./peer_connections.ts";

/** The paths at which processes of a group ask each other. */
export const PEER_PATHS = {
  lookups: "/cluster/lookups",
  checkpoints: "/cluster/checkpoints",
  status: "/cluster/status",
} as const;
/** A connection does not wait for anything. */
const CONNECT_MS_MAX = 5000;

/** Another process, and how it is reached. */
export interface PeerConnection {
  /** host:port */
  readonly address: string;
  /** What processes of the group bring as bearer token; empty = nothing. */
  readonly token: string;
  readonly connections: PeerConnections;
  readonly clock: Clock;
}

/** What a process says of itself while it cannot answer yet: it can be asked. */
export class NotYetError extends Error {}

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
    const answer = postToPeer<T>(peer, path, body, ended.signal, connecting);
    answer.catch(() => {}); // it may fail when nobody waits for it any more
    return await Promise.race([answer, given.promise]);
  } finally {
    over.removeEventListener("abort", giveUp);
    ended.abort("ended"); // without a reason an error with a stack is made
  }
}

async function postToPeer<T>(
  { address, token, connections }: PeerConnection,
  path: string,
  body: unknown,
  ended: AbortSignal,
  connecting: () => () => void,
): Promise<T> {
  const headers = ["content-type: application/json"];
  if (token !== "") headers.push(`authorization: Bearer ${token}`);
  const request = { address, path, headers, body: JSON.stringify(body) };
  const { status, text } = await connections.post(request, ended, connecting);
  if (status === 200) return JSON.parse(text);
  const Kind = status === 503 ? NotYetError : Error;
  throw new Kind(`${status} ${messageIn(text)}`);
}

/** What an answer says that is an error; the beginning of it where it has another form. */
function messageIn(text: string): string {
  try {
    return String(JSON.parse(text).error.message);
  } catch {
    return text.slice(0, 200).trim();
  }
}
