// Metrics of the HTTP server's own limits.

import { Counter, Gauge, type Registry } from "prom-client";
import type { BodyReader } from "./body_reader.ts";
import { CLOSED_FOR, type ClosedFor } from "./connections.ts";
import { LIMIT_REASONS } from "./body_error.ts";

/** Figures of connections. */
export interface ConnectionFigures {
  /** That are open. */
  readonly count: number;
  readonly closed: Readonly<Record<ClosedFor, number>>;
}

export function addHttpFigures(
  registry: Registry,
  reader: BodyReader,
  connections: ConnectionFigures,
  streams: { readonly open: number; readonly refused: number },
): void {
  const registers = [registry];
  new Gauge({
    name: "stockflow_http_bytes",
    help: "Bytes of bodies and answers under way, bounded by http.bodies.bytes.max",
    registers,
    collect() {
      this.set(reader.budget.usedBytes);
    },
  });
  new Counter({
    name: "stockflow_http_refused_total",
    help: "Requests refused and answers cut for a limit, by reason",
    labelNames: ["reason"],
    registers,
    collect() {
      this.reset();
      for (const reason of LIMIT_REASONS) this.inc({ reason }, reader.refused[reason]);
    },
  });
  new Gauge({
    name: "stockflow_http_connections",
    help: "Connections that are open, bounded by http.connections.max",
    registers,
    collect() {
      this.set(connections.count);
    },
  });
  new Counter({
    name: "stockflow_http_connections_closed_total",
    help: "Connections closed by the service, by what for: no first head, idle, or room for others",
    labelNames: ["reason"],
    registers,
    collect() {
      this.reset();
      for (const reason of CLOSED_FOR) this.inc({ reason }, connections.closed[reason]);
    },
  });
  new Gauge({
    name: "stockflow_http_status_streams",
    help: "Streams of /status/stream that are open, bounded by http.streams.max",
    registers,
    collect() {
      this.set(streams.open);
    },
  });
  new Counter({
    name: "stockflow_http_status_streams_refused_total",
    help: "Streams that were refused, because there were http.streams.max",
    registers,
    collect() {
      this.reset();
      this.inc(streams.refused);
    },
  });
}
