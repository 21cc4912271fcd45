// Over node:http, because it tells a refused connection by a code, and goes past no proxy.

import { get } from "node:http";
import { INSTANCE_HEADER } from "../job/mod.ts";
import type { Answer } from "./active_watch.ts";

const ANSWER_MS_MAX = 1000;

/**
 * Asks the HTTP API at an address which instance it is of.
 *
 * @param address host:port, an IPv6 address in brackets
 */
export function askInstance(address: string, signal: AbortSignal): Promise<Answer> {
  const { hostname, port } = new URL(`http://${address}`);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return new Promise((resolve) => {
    const options = { host, port: port || 80, path: "/livez", agent: false, signal };
    const request = get({ ...options, timeout: ANSWER_MS_MAX }, (response) => {
      response.resume();
      const instance = response.headers[INSTANCE_HEADER];
      resolve(typeof instance === "string" ? { instance } : "unclear");
    });
    request.on("timeout", () => request.destroy(new Error("No answer")));
    request.on("error", (error: Error & { code?: string }) => {
      if (error instanceof Deno.errors.NotCapable) resolve("denied");
      else resolve(error.code === "ECONNREFUSED" ? "refused" : "unclear");
    });
  });
}
