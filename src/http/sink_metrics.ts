// Metrics of sinks in the process.

import type { RunningJob, SinkFigures } from "../service/mod.ts";
import type { Metric, Sample } from "./exposition.ts";

const COUNTERS = [
  ["delivered", "stockflow_sink_values_total", "Values that a sink in the process has taken"],
  ["failures", "stockflow_sink_failures_total", "Calls of a sink in the process that failed"],
  [
    "lost",
    "stockflow_sink_lost_records_total",
    "Records that were removed before a sink in the process was given them (sink.retention.bytes)",
  ],
] as const satisfies readonly (readonly [keyof SinkFigures, string, string])[];

export function sinkMetrics(job: RunningJob): Metric[] {
  const figures = () => job.sinks.map((sink) => sink.figures());
  return [
    ...COUNTERS.map(([figure, name, help]): Metric => ({
      name,
      help: `${help}, since the start of the process`,
      samples: () => figures().map((of): Sample => [of[figure], { sink: of.name }]),
    })),
    {
      name: "stockflow_sink_lag_records",
      help: "Records that are committed to the topic of a sink in the process, and not delivered",
      samples: () =>
        figures().flatMap(({ name, partitions }) =>
          partitions.flatMap(({ partition, lag }): Sample[] =>
            lag === null ? [] : [[lag, { sink: name, partition: String(partition) }]]
          )
        ),
    },
  ];
}
