// Who may use the API: which names it is asked under, which web pages, and with which token.

import { createHash, timingSafeEqual } from "node:crypto";
import type { Context } from "hono";
import { clusterTokenOf, ParameterError, type Parameters } from "../parameters/mod.ts";
import { isWildcard, PEER_PATHS } from "../service/mod.ts";
import { shorten } from "../types/mod.ts";
import { type Check, fail } from "./answers.ts";
import { isPage } from "./page.ts";

const LOOPBACK = /^(127(\.[0-9]{1,3}){3}|localhost|::1)$/;

/**
 * Checks that an address which others can reach asks for a token.
 *
 * @throws {ParameterError}
 */
export function checkAccess(params: Parameters): void {
  const host = params.get("http.host");
  if (params.get("http.token.former") !== "" && params.get("http.token") === "") {
    throw new ParameterError("http.token.former is taken beside http.token: set http.token too");
  }
  const advertised = params.get("http.advertised.host") || host;
  if (params.get("kafka.partitions.shared") && isWildcard(advertised)) {
    throw new ParameterError(
      `${advertised} is not an address at which the other processes of the group could ask this one for stocks ` +
        "(kafka.partitions.shared): set http.advertised.host to one of this machine's",
    );
  }
  const isAskedFromElsewhere = params.get("kafka.partitions.shared") && !LOOPBACK.test(advertised);
  if (isAskedFromElsewhere && clusterTokenOf(params) === "") {
    throw new ParameterError(
      `The other processes of the group ask this one at ${advertised}, which can be reached from other machines ` +
        "(kafka.partitions.shared): set cluster.token, or http.token, to the same for all of them (best by the " +
        "environment variable CLUSTER_TOKEN or HTTP_TOKEN)",
    );
  }
  if (LOOPBACK.test(host) || params.get("http.token") !== "") return;
  throw new ParameterError(
    `http.host ${host} can be reached from other machines: set http.token too (best by the ` +
      "environment variable HTTP_TOKEN), or keep http.host at 127.0.0.1",
  );
}

/** What decides who may use the API. */
export interface Access {
  /** What clients must bring; empty = nothing. */
  readonly token: string;
  /** What processes that share partitions bring when they ask each other; empty = nothing. */
  readonly clusterToken: string;
  /** The token before, which is taken as well while clients change over; empty = there is none. */
  readonly formerToken: string;
  /** Names and addresses beside those of loopback under which requests without a token are taken. */
  readonly hosts: readonly string[];
  /** Origins of web pages that may use the API, such as https://shop.example. */
  readonly origins: readonly string[];
}

/** What the parameters of a job say of it. */
export function accessOf(params: Parameters): Access {
  return {
    token: params.get("http.token"),
    clusterToken: clusterTokenOf(params),
    formerToken: params.get("http.token.former"),
    hosts: [
      params.get("http.host"),
      params.get("http.advertised.host"),
      ...params.get("http.allowed.hosts"),
    ].filter((host) => host !== ""),
    origins: params.get("http.allowed.origins"),
  };
}

/** What decides who may use the API, one after the other. */
export function accessChecks(access: Access): Check[] {
  const tokens = access.token === "" ? [] : [bearerToken(tokensOf(access))];
  return [knownHostsOnly(access), knownOriginsOnly(access), ...tokens];
}

/** What clients may bring; none = nothing is asked for. */
function tokensOf({ token, formerToken }: Access): string[] {
  return [token, formerToken].filter((text) => text !== "");
}

/** What other processes of the group may bring: where that is the clients' token, the former one as well. */
export function peerTokensOf(access: Access): string[] {
  if (access.clusterToken === access.token) return tokensOf(access);
  return [access.clusterToken].filter((text) => text !== "");
}

/** The name or address of `host[:port]`, as it is compared; null when the text is neither. */
function nameOf(authority: string): string | null {
  // What would be something else in a URL: user, path, query, fragment.
  if (/[\s/?#@\\]/.test(authority)) return null;
  const name = URL.parse(`http://${authority}`)?.hostname;
  return name ? name.replace(/\.$/, "") : null;
}

/** A name or address of a parameter, where IPv6 has no brackets. */
function nameOfParameter(host: string): string | null {
  return nameOf(/^[^[].*:.*:/.test(host) || host.startsWith("::") ? `[${host}]` : host);
}

/** Names and ports that are remembered, so that they are not parsed for every request. */
const SERVED_MAX = 100;

/** Names that never leave this machine, as URLs write them; 127.0.0.1 may come as an IPv6 address too. */
function isLoopback(name: string): boolean {
  const address = name.replace(/^\[(.*)\]$/, "$1");
  return LOOPBACK.test(address) || /^::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}$/.test(address);
}

/** What a request says of the name that it was sent to. HTTP/2 has it in :authority, which is in the URL. */
function authoritiesOf(c: Context): string[] {
  const inUrl = /^[a-z]+:\/\/([^/?#]*)/i.exec(c.req.raw.url)?.[1];
  const inHeader = c.req.header("host");
  if (inHeader === undefined || inHeader === inUrl) return inUrl === undefined ? [] : [inUrl];
  return inUrl === undefined ? [inHeader] : [inUrl, inHeader];
}

/** Whether this Host header is the only name in a request: Deno puts it before the path where the path has no name. */
function isUnder(url: string, host: string): boolean {
  const at = "http://".length;
  return url.startsWith("http://") && url.startsWith(host, at) && url[at + host.length] === "/";
}

/**
 * A name of somebody else that leads to this machine (DNS rebinding) makes a foreign page look like one of our
 * own. So without a token only known names are served.
 */
function knownHostsOnly({ token, hosts }: Access): Check {
  const known = new Set(hosts.map(nameOfParameter));
  /** As they were written; clients use few. */
  const served = new Set<string>();
  return (c) => {
    const host = c.req.header("host");
    if (host !== undefined && served.has(host) && isUnder(c.req.raw.url, host)) return null;
    // A kubelet asks under the address of the pod.
    if (isProbe(c)) return null;
    for (const authority of authoritiesOf(c)) {
      if (served.has(authority)) continue;
      const name = nameOf(authority);
      if (name === null) {
        const given = JSON.stringify(shorten(authority));
        return fail(
          c,
          400,
          "host",
          `Host must be a name or an address, with a port or without: ${given}`,
        );
      }
      if (token !== "" || isLoopback(name) || known.has(name)) {
        if (served.size < SERVED_MAX) served.add(authority);
        continue;
      }
      return fail(
        c,
        421,
        "host",
        `Requests to ${
          JSON.stringify(shorten(name))
        } are not taken: name it in http.allowed.hosts, or set http.token`,
      );
    }
    return null;
  };
}

/** Whether a page of this origin was loaded from the very name and port that it now asks. */
function isOwn(origin: string, c: Context): boolean {
  const page = URL.parse(origin);
  if (page?.origin !== origin) return false;
  const authorities = authoritiesOf(c);
  // A proxy may speak TLS for us: the port that goes without saying is that of the page's scheme.
  return authorities.length > 0 &&
    authorities.every((authority) =>
      URL.parse(`${page.protocol}//${authority}`)?.host === page.host
    );
}

const CORS_METHODS = "GET, HEAD, POST, DELETE";
const CORS_HEADERS = "authorization, content-type, content-encoding";
const CORS_EXPOSED = "location, retry-after, stockflow-duplicates, www-authenticate";
const CORS_MAX_AGE_SECONDS = "600";

/** A web page elsewhere must not use a service on this machine, unless its origin is named. */
function knownOriginsOnly({ origins }: Access): Check {
  const named = new Set(origins);
  return (c) => {
    const origin = c.req.header("origin");
    // What a cache keeps for one page must not be given to another.
    if (named.size > 0) c.header("vary", "Origin");
    if (!origin) return null;
    if (named.has(origin)) {
      c.header("access-control-allow-origin", origin);
      c.header("access-control-expose-headers", CORS_EXPOSED);
      if (c.req.method !== "OPTIONS" || !c.req.header("access-control-request-method")) {
        return null;
      }
      // Browsers ask so before a request, and bring no token.
      c.header("access-control-allow-methods", CORS_METHODS);
      c.header("access-control-allow-headers", CORS_HEADERS);
      c.header("access-control-max-age", CORS_MAX_AGE_SECONDS);
      return c.body(null, 204);
    }
    if (isOwn(origin, c)) return null;
    return fail(
      c,
      403,
      "origin",
      `Requests of pages from ${shorten(origin)} are not taken: name it in http.allowed.origins`,
    );
  };
}

/** What probes ask without a token; it says nothing about the data. */
const PROBES = new Set(["/livez", "/readyz"]);

/** Whether a request is one of a probe: GET or HEAD of /livez or /readyz. */
export function isProbe({ req }: Context): boolean {
  return PROBES.has(req.path) && (req.method === "GET" || req.method === "HEAD");
}

const PEERS: ReadonlySet<string> = new Set(Object.values(PEER_PATHS));

/** Whether a request is one of a process that shares partitions with this one. */
export function isPeer({ req }: Context): boolean {
  return PEERS.has(req.path) && req.method === "POST";
}

const digest = (text: string) => createHash("sha256").update(text).digest();

/** Asks for `Authorization: Bearer <token>` (RFC 6750) everywhere but for probes and the page, which carries no data. */
export function bearerToken(
  tokens: readonly string[],
  parameter = "http.token",
): Check {
  const expected = tokens.map(digest);
  return (c) => {
    if (isProbe(c) || isPage(c)) return null;
    // Processes of a group bring a token of their own, which their route looks at.
    if (parameter === "http.token" && isPeer(c)) return null;
    const [, given] = /^bearer +(\S+)$/i.exec(c.req.header("authorization") ?? "") ?? [];
    // Digests have one length, and are compared in a time that reveals nothing about the token.
    const isTaken = (bytes: Uint8Array) => expected.some((token) => timingSafeEqual(bytes, token));
    if (given !== undefined && isTaken(digest(given))) return null;
    const error = given === undefined ? "" : ', error="invalid_token"';
    c.header("www-authenticate", `Bearer realm="stockflow"${error}`);
    return fail(c, 401, "token", `The header Authorization: Bearer <${parameter}> is needed`);
  };
}
