import { ForwardingLog, type Log, type OnOutcomes } from "../../src/log/mod.ts";

/** A log of which somebody learns the outcome of every record. */
export class AuditedLog extends ForwardingLog {
  constructor(beneath: Log, readonly onOutcomes: OnOutcomes) {
    super(beneath);
  }
}
