// Who may use the API.

import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { ParameterError, type Parameters } from "../job/mod.ts";
import { fail } from "./answers.ts";

const LOOPBACK = /^(127(\.[0-9]{1,3}){3}|localhost|::1)$/;

/**
 * Checks that an address which others can reach asks for a token.
 *
 * @throws {ParameterError}
 */
export function checkAccess(params: Parameters): void {
  const host = params.get("http.host");
  if (LOOPBACK.test(host) || params.get("http.token") !== "") return;
  throw new ParameterError(
    `http.host ${host} can be reached from other machines: set http.token too (best by the ` +
      "environment variable HTTP_TOKEN), or keep http.host at 127.0.0.1",
  );
}

/** A web page elsewhere must not use a service on this machine. */
export const ownOriginOnly: MiddlewareHandler = async (c, next) => {
  const origin = c.req.header("origin");
  // A Host that is none makes no URL.
  if (origin && origin !== URL.parse(c.req.url)?.origin) {
    return fail(c, 403, "origin", `Requests from ${origin} are not taken`);
  }
  return await next();
};

/** What probes ask without a token; it tells nothing about the data. */
const PROBES = new Set(["/livez", "/readyz"]);

export function isProbe(path: string): boolean {
  return PROBES.has(path);
}

const digest = (text: string) => createHash("sha256").update(text).digest();

/** Asks for `Authorization: Bearer <token>` (RFC 6750) everywhere but for probes. */
export function bearerToken(token: string): MiddlewareHandler {
  const expected = digest(token);
  return async (c, next) => {
    if (isProbe(c.req.path)) return await next();
    const [, given] = /^bearer +(\S+)$/i.exec(c.req.header("authorization") ?? "") ?? [];
    // Digests have one length, and are compared in a time that tells nothing about the token.
    if (given !== undefined && timingSafeEqual(digest(given), expected)) return await next();
    const error = given === undefined ? "" : ', error="invalid_token"';
    c.header("www-authenticate", `Bearer realm="stockflow"${error}`);
    return fail(c, 401, "token", "The header Authorization: Bearer <http.token> is needed");
  };
}
