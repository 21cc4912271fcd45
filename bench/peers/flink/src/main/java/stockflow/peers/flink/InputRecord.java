package stockflow.peers.flink;

import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import stockflow.peers.pipeline.DeadLetter;
import stockflow.peers.pipeline.Query;
import stockflow.peers.pipeline.TextFormat;
import stockflow.peers.pipeline.Transaction;

/**
 * What a record of an input topic is: a value, or one that is refused. It goes from the source to SplitRecords, which
 * is chained to it, so it is never serialized.
 */
final class InputRecord<T> {
  final T value;
  final DeadLetter refused;

  private InputRecord(T value, DeadLetter refused) {
    this.value = value;
    this.refused = refused;
  }

  static final class Transactions implements KafkaRecordDeserializationSchema<InputRecord<Transaction>> {
    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<InputRecord<Transaction>> out) {
      Transaction transaction = new Transaction();
      String reason = TextFormat.parseTransaction(record.value(), transaction);
      out.collect(reason == null
          ? new InputRecord<>(transaction, null)
          : new InputRecord<>(null, DeadLetter.of(record, reason)));
    }

    @Override
    @SuppressWarnings({"unchecked", "rawtypes"})
    public TypeInformation<InputRecord<Transaction>> getProducedType() {
      return (TypeInformation) TypeInformation.of(InputRecord.class);
    }
  }

  static final class Queries implements KafkaRecordDeserializationSchema<InputRecord<Query>> {
    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<InputRecord<Query>> out) {
      Query query = new Query();
      String reason = TextFormat.parseQuery(record.value(), query);
      out.collect(reason == null
          ? new InputRecord<>(query, null)
          : new InputRecord<>(null, DeadLetter.of(record, reason)));
    }

    @Override
    @SuppressWarnings({"unchecked", "rawtypes"})
    public TypeInformation<InputRecord<Query>> getProducedType() {
      return (TypeInformation) TypeInformation.of(InputRecord.class);
    }
  }
}
