// Over node:http, because it marks a refused connection by a code, and goes past no proxy.

import { get } from "node:http";
import { LIFE_HEADER } from "../service/mod.ts";
import { systemClock } from "../types/mod.ts";
import type { Answer } from "./active_watch.ts";

const ANSWER_MS_MAX = 1000;

/**
 * Asks the HTTP API at an address which life of a process it is of. What the answer is beyond its head is not read.
 *
 * @param address host:port, an IPv6 address in brackets; another process says it, so it may be anything
 */
export function askLife(address: string, signal: AbortSignal): Promise<Answer> {
  const url = URL.parse(`http://${address}`);
  if (!url) return Promise.resolve("unclear");
  const { hostname, port } = url;
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  // The time-out of a socket would count from the last byte that came.
  const over = new AbortController();
  const answered = new AbortController();
  void systemClock.sleep(ANSWER_MS_MAX, answered.signal).then(() => over.abort());
  return new Promise<Answer>((resolve) => {
    const options = {
      host,
      port: port || 80,
      path: "/livez",
      agent: false,
      signal: AbortSignal.any([signal, over.signal]),
    };
    const request = get(options, (response) => {
      const life = response.headers[LIFE_HEADER];
      resolve(typeof life === "string" ? { life } : "unclear");
    });
    request.on("error", (error: Error & { code?: string }) => {
      if (error instanceof Deno.errors.NotCapable) resolve("denied");
      else resolve(error.code === "ECONNREFUSED" ? "refused" : "unclear");
    });
  }).finally(() => answered.abort()); // which ends the request too
}
