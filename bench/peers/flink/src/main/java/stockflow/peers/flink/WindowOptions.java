package stockflow.peers.flink;

import java.io.Serializable;
import stockflow.peers.pipeline.Parameters;
import stockflow.peers.pipeline.TransactionSummary;

/** Tumbling windows, and which of their summaries are reported. */
record WindowOptions(long lengthMs, boolean eventTime, long transactionsMin, double failureRateMin)
    implements Serializable {
  static WindowOptions of(Parameters parameters) {
    return new WindowOptions(
        60_000 * parameters.getLong("time.intervals.in.minutes"),
        parameters.is("event.time"),
        parameters.getLong("transaction.num.min"),
        parameters.getDouble("transaction.failure.rate.min"));
  }

  boolean isAlert(TransactionSummary summary) {
    return summary.isAlert(transactionsMin, failureRateMin);
  }
}
