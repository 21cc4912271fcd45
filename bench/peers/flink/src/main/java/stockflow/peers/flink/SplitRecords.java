package stockflow.peers.flink;

import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import stockflow.peers.pipeline.DeadLetter;
import stockflow.peers.pipeline.Progress;

/** Valid records go on; those that are refused leave by the side output. */
final class SplitRecords<T> extends ProcessFunction<InputRecord<T>, T> {
  static final OutputTag<DeadLetter> REFUSED = new OutputTag<>("refused", TypeInformation.of(DeadLetter.class));

  @Override
  public void processElement(InputRecord<T> record, Context context, Collector<T> out) {
    if (record.refused == null) {
      out.collect(record.value);
      return;
    }
    context.output(REFUSED, record.refused);
    Progress.RECORDS.increment();
  }
}
