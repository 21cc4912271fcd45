// The parameters of the HTTP API: where it listens, who may use it, what bounds it.

import { DAY_MS, integer, list, text } from "./parameter_kinds.ts";

/** A name, an IPv4 address, or an IPv6 address without brackets. */
const HOST_NAME = /^([A-Za-z0-9._-]+|[0-9A-Fa-f.]*(:[0-9A-Fa-f.]*){2,})$/;

export const HTTP_PARAMETERS = {
  "http.host": text(
    "an address or name of this machine",
    /^[A-Za-z0-9.:-]{1,253}$/,
    "127.0.0.1",
    "address of the HTTP API; other than loopback only with http.token",
  ),
  "http.port": integer(0, 65_535, 8080, "port of the HTTP API; 0 = any free one"),
  "http.advertised.host": text(
    "an address or name of this machine without a port, or empty",
    /^([A-Za-z0-9.-]{0,253}|[0-9A-Fa-f.]*(:[0-9A-Fa-f.]*){2,})$/,
    "",
    "under which processes of the same group (Kafka) reach http.port; empty = http.host, unless that " +
      "is 0.0.0.0 or ::",
  ),
  "http.allowed.hosts": list(
    "a name or an address without a port",
    (host) => host.length <= 253 && HOST_NAME.test(host),
    "under which requests without http.token are taken, beside loopback, http.host and " +
      "http.advertised.host",
  ),
  "http.allowed.origins": list(
    "an origin such as https://shop.example",
    (origin) =>
      origin.length <= 300 && /^https?:/.test(origin) && URL.parse(origin)?.origin === origin,
    "web pages that may use the HTTP API (CORS), beside its own",
  ),
  "http.token": {
    ...text(
      "16 to 512 characters of A-Z, a-z, 0-9 and ._~+/=-",
      /^([A-Za-z0-9._~+\/=-]{16,512})?$/,
      "",
      "what clients of the HTTP API bring as bearer token; empty = nothing",
    ),
    secret: true,
  },
  "http.token.former": {
    ...text(
      "16 to 512 characters of A-Z, a-z, 0-9 and ._~+/=-",
      /^([A-Za-z0-9._~+\/=-]{16,512})?$/,
      "",
      "the token before, which is taken beside http.token while clients change over",
    ),
    secret: true,
  },
  "cluster.token": {
    ...text(
      "16 to 512 characters of A-Z, a-z, 0-9 and ._~+/=-",
      /^([A-Za-z0-9._~+\/=-]{16,512})?$/,
      "",
      "what processes that share partitions bring when they ask each other; empty = http.token",
    ),
    secret: true,
  },
  "http.body.bytes.max": integer(
    1024,
    2 ** 30,
    8 * 1024 * 1024,
    "largest body of a request, as it comes and inflated",
  ),
  "http.body.records.max": integer(
    1,
    10_000_000,
    100_000,
    "largest number of records of a request",
  ),
  "http.bodies.bytes.max": integer(
    1024 * 1024,
    2 ** 36,
    56 * 1024 * 1024,
    "bytes of bodies that have come and answers that have not gone, of all requests; 512 more per record",
  ),
  "http.body.rate.min": integer(
    0,
    2 ** 30,
    1024,
    "bytes a second at which a body must come and an answer be read, over 10 seconds; 0 = any",
  ),
  "http.head.timeout.ms": integer(
    100,
    3_600_000,
    10_000,
    "a connection on which no request came for so long since it was opened is closed",
  ),
  "http.idle.timeout.ms": integer(
    100,
    DAY_MS,
    75_000,
    "one on which nothing happened for so long since its last answer is closed, also within the next head",
  ),
  "http.connections.max": integer(
    10,
    1_000_000,
    1000,
    "connections that are kept; for one more, some of those on which nothing happens are closed",
  ),
  "http.streams.max": integer(
    1,
    10_000,
    32,
    "streams of /status/stream that are open; each open page has one",
  ),
} as const;
