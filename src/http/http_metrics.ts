// Metrics of the HTTP server's own limits.

import type { BodyReader } from "./body_reader.ts";
import { LIMIT_REASONS } from "./body_error.ts";
import { CLOSED_FOR, type ClosedFor } from "./connections.ts";
import type { Metric, Sample } from "./exposition.ts";

/** Figures of connections. */
export interface ConnectionFigures {
  /** That are open. */
  readonly count: number;
  readonly closed: Readonly<Record<ClosedFor, number>>;
}

export function httpMetrics(
  reader: BodyReader,
  connections: ConnectionFigures,
  streams: { readonly open: number; readonly refused: number },
): Metric[] {
  return [
    {
      name: "stockflow_http_bytes",
      help: "Bytes of bodies and answers under way, bounded by http.bodies.bytes.max",
      samples: () => [[reader.budget.usedBytes]],
    },
    {
      name: "stockflow_http_refused_total",
      help: "Requests refused and answers cut for a limit, by reason",
      samples: () => LIMIT_REASONS.map((reason): Sample => [reader.refused[reason], { reason }]),
    },
    {
      name: "stockflow_http_connections",
      help: "Connections that are open, bounded by http.connections.max",
      samples: () => [[connections.count]],
    },
    {
      name: "stockflow_http_connections_closed_total",
      help:
        "Connections closed by the service, by what for: no first head, idle, or room for others",
      samples: () => CLOSED_FOR.map((reason): Sample => [connections.closed[reason], { reason }]),
    },
    {
      name: "stockflow_http_status_streams",
      help: "Streams of /status/stream that are open, bounded by http.streams.max",
      samples: () => [[streams.open]],
    },
    {
      name: "stockflow_http_status_streams_refused_total",
      help: "Streams that were refused, because there were http.streams.max",
      samples: () => [[streams.refused]],
    },
  ];
}
