// Metrics of sinks in the process.

import { Counter, Gauge, type Registry } from "prom-client";
import type { RunningJob, SinkFigures } from "../service/mod.ts";

const COUNTERS = [
  ["delivered", "stockflow_sink_values_total", "Values that a sink in the process has taken"],
  ["failures", "stockflow_sink_failures_total", "Calls of a sink in the process that failed"],
  [
    "lost",
    "stockflow_sink_lost_records_total",
    "Records that were removed before a sink in the process was given them (sink.retention.bytes)",
  ],
] as const satisfies readonly (readonly [keyof SinkFigures, string, string])[];

export function addSinkFigures(registry: Registry, job: RunningJob): void {
  const registers = [registry];
  for (const [figure, name, help] of COUNTERS) {
    new Counter({
      name,
      help: `${help}, since the start of the process`,
      labelNames: ["sink"],
      registers,
      collect() {
        this.reset();
        for (const sink of job.sinks) {
          const figures = sink.figures();
          this.inc({ sink: figures.name }, figures[figure]);
        }
      },
    });
  }
  new Gauge({
    name: "stockflow_sink_lag_records",
    help: "Records that are committed to the topic of a sink in the process, and not delivered",
    labelNames: ["sink", "partition"],
    registers,
    collect() {
      this.reset();
      for (const { name, partitions } of job.sinks.map((sink) => sink.figures())) {
        for (const { partition, lag } of partitions) {
          if (lag !== null) this.set({ sink: name, partition: String(partition) }, lag);
        }
      }
    },
  });
}
