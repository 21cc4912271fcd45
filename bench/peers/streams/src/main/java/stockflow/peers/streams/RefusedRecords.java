package stockflow.peers.streams;

import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import stockflow.peers.pipeline.DeadLetter;
import stockflow.peers.pipeline.Progress;

/** Sends records that are refused to the dead letters. */
final class RefusedRecords {
  private RefusedRecords() {}

  static void forward(ProcessorContext<byte[], byte[]> context, Record<byte[], byte[]> record, String reason) {
    RecordHeaders headers = new RecordHeaders(record.headers());
    RecordMetadata from = context.recordMetadata().orElseThrow();
    DeadLetter.addHeaders(headers, from.topic(), from.partition(), from.offset(), record.timestamp(), reason);
    context.forward(record.withHeaders(headers), ItemTransactionTopology.DEAD_LETTERS);
    Progress.RECORDS.increment();
  }
}
