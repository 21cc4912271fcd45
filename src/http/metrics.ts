import { Counter, Gauge, Registry } from "prom-client";
import type { PartitionFigures, RunningJob } from "../job/mod.ts";
import { type Reason, reasonName, REASONS } from "../types/mod.ts";

/** The metrics of a job in the text format of Prometheus; figures are read when they are asked for. */
export class JobMetrics {
  readonly registry = new Registry();

  constructor(job: RunningJob) {
    const registers = [this.registry];
    const partitions = () => job.figures().flatMap((worker) => worker.partitions);
    const sum = (of: (f: PartitionFigures) => number) =>
      partitions().reduce((n, f) => n + of(f), 0);
    new Counter({
      name: "stockflow_records_in_total",
      help: "Records of the transaction topic folded since the start of the process",
      registers,
      collect() {
        this.reset();
        this.inc(job.figures().reduce((n, worker) => n + worker.recordsIn, 0));
      },
    });
    new Counter({
      name: "stockflow_transactions_total",
      help: "Transactions by outcome, over restarts",
      labelNames: ["outcome"],
      registers,
      collect() {
        this.reset();
        this.inc({ outcome: "accepted" }, sum((f) => f.accepted));
        this.inc({ outcome: "rejected" }, sum((f) => f.rejected));
      },
    });
    new Counter({
      name: "stockflow_invalid_records_total",
      help: "Invalid records of the transaction topic by reason, over restarts",
      labelNames: ["reason"],
      registers,
      collect() {
        this.reset();
        for (const reason of REASONS) this.inc(label(reason), sum((f) => f.invalid[reason] ?? 0));
      },
    });
    new Gauge({
      name: "stockflow_items",
      help: "Items seen",
      registers,
      collect() {
        this.set(sum((f) => f.items));
      },
    });
    new Gauge({
      name: "stockflow_state_bytes",
      help: "Memory of items and open windows",
      registers,
      collect() {
        this.set(sum((f) => f.stateBytes));
      },
    });
    new Gauge({
      name: "stockflow_checkpoint_duration_seconds",
      help: "Duration of the last checkpoint of a partition, from cut to publication",
      labelNames: ["partition"],
      registers,
      collect() {
        this.reset();
        for (const { partition, checkpointMs } of partitions()) {
          if (checkpointMs !== null) {
            this.set({ partition: String(partition) }, checkpointMs / 1000);
          }
        }
      },
    });
  }

  /** Content type and text of an answer to a scrape. */
  async scrape(): Promise<{ contentType: string; body: string }> {
    return { contentType: this.registry.contentType, body: await this.registry.metrics() };
  }
}

function label(reason: Reason): { reason: string } {
  return { reason: reasonName(reason) };
}
