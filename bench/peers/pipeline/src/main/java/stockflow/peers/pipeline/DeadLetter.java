package stockflow.peers.pipeline;

import java.nio.charset.StandardCharsets;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** A record that is refused: it goes on unchanged, with headers that say where it was and why. */
public class DeadLetter {
  public byte[] key;
  public byte[] value;
  public Headers headers;
  public long timestamp;

  public static DeadLetter of(ConsumerRecord<byte[], byte[]> record, String reason) {
    DeadLetter letter = new DeadLetter();
    letter.key = record.key();
    letter.value = record.value();
    letter.timestamp = record.timestamp();
    letter.headers = new RecordHeaders(record.headers());
    addHeaders(letter.headers, record.topic(), record.partition(), record.offset(), record.timestamp(), reason);
    return letter;
  }

  public static void addHeaders(
      Headers headers, String topic, int partition, long offset, long timestamp, String reason) {
    headers.add("stockflow.topic", bytes(topic));
    headers.add("stockflow.partition", bytes(partition));
    headers.add("stockflow.offset", bytes(offset));
    headers.add("stockflow.timestamp", bytes(timestamp));
    headers.add("stockflow.reason", bytes(reason));
  }

  private static byte[] bytes(Object value) {
    return value.toString().getBytes(StandardCharsets.UTF_8);
  }
}
