package stockflow.peers.flink;

import java.io.Serializable;
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
 * is chained to it, so it is never serialized; the value is as soon as that gives it on. So one is enough for all.
 */
final class InputRecord<T> {
  T value;
  /** Null if it is valid. */
  DeadLetter refused;

  /** Makes values of the bytes of records. */
  private interface Parser<T> extends Serializable {
    T create();

    /** @return the reason for which the record is refused; null if it is valid */
    String parse(byte[] bytes, T into);
  }

  static KafkaRecordDeserializationSchema<InputRecord<Transaction>> transactions() {
    return new Deserializer<>(new Parser<>() {
      @Override
      public Transaction create() {
        return new Transaction();
      }

      @Override
      public String parse(byte[] bytes, Transaction into) {
        return TextFormat.parseTransaction(bytes, into);
      }
    });
  }

  static KafkaRecordDeserializationSchema<InputRecord<Query>> queries() {
    return new Deserializer<>(new Parser<>() {
      @Override
      public Query create() {
        return new Query();
      }

      @Override
      public String parse(byte[] bytes, Query into) {
        return TextFormat.parseQuery(bytes, into);
      }
    });
  }

  private static final class Deserializer<T> implements KafkaRecordDeserializationSchema<InputRecord<T>> {
    private final Parser<T> parser;
    private transient InputRecord<T> reused;

    Deserializer(Parser<T> parser) {
      this.parser = parser;
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<InputRecord<T>> out) {
      if (reused == null) {
        reused = new InputRecord<>();
        reused.value = parser.create();
      }
      String reason = parser.parse(record.value(), reused.value);
      reused.refused = reason == null ? null : DeadLetter.of(record, reason);
      out.collect(reused);
    }

    @Override
    @SuppressWarnings({"unchecked", "rawtypes"})
    public TypeInformation<InputRecord<T>> getProducedType() {
      return (TypeInformation) TypeInformation.of(InputRecord.class);
    }
  }
}
