package stockflow.peers.streams;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** A stock as the store has it: eight bytes, as Kafka's LongSerializer writes them. */
final class StoredStock {
  private StoredStock() {}

  private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

  /** @param stored null if the item was never seen: its stock is 0 */
  static long read(byte[] stored) {
    return stored == null ? 0 : (long) LONG.get(stored, 0);
  }

  static byte[] write(long stock) {
    byte[] stored = new byte[Long.BYTES];
    LONG.set(stored, 0, stock);
    return stored;
  }
}
