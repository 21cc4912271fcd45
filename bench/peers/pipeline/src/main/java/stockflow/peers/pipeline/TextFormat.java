package stockflow.peers.pipeline;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.kafka.common.utils.Bytes;

/**
 * The text form of records, as stockflow reads and writes it (docs/formats.md): canonical integers, checked item ids,
 * the same reasons in the same order. It works on bytes, because a split into strings costs several objects a record.
 */
public final class TextFormat {
  private TextFormat() {}

  public static final String NULL_VALUE = "null_value";
  public static final String MALFORMED = "malformed";
  public static final String ID_RANGE = "id_range";
  public static final String TS_RANGE = "ts_range";
  public static final String ITEM_ID_EMPTY = "item_id_empty";
  public static final String ITEM_ID_TOO_LONG = "item_id_too_long";
  public static final String ITEM_ID_CHARACTER = "item_id_character";
  public static final String QUANTITY_RANGE = "quantity_range";

  private static final byte TAB = '\t';
  private static final byte BLANK = ' ';
  private static final byte DELETE = 0x7f;
  private static final int ITEM_ID_BYTES_MAX = 249;
  private static final long TS_MAX = (1L << 53) - 1;
  /** Decimal digits of the largest long. */
  private static final int LONG_DIGITS = 19;
  private static final byte[] TRUE = "\ttrue".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] FALSE = "\tfalse".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] MISSING = "MISSING".getBytes(StandardCharsets.US_ASCII);

  /**
   * Reads {@code transactionId TAB ts TAB itemId TAB quantity}.
   *
   * @return the reason for which the record is refused; null if it is valid
   */
  public static String parseTransaction(byte[] value, Transaction into) {
    if (value == null) return NULL_VALUE;
    int ts = indexOf(TAB, value, 0) + 1;
    int item = ts == 0 ? 0 : indexOf(TAB, value, ts) + 1;
    int quantity = item == 0 ? 0 : indexOf(TAB, value, item) + 1;
    if (quantity == 0 || indexOf(TAB, value, quantity) >= 0) return MALFORMED;
    int end = value.length;
    if (!isInteger(value, 0, ts - 1)) return MALFORMED;
    if (!isInteger(value, ts, item - 1)) return MALFORMED;
    if (!isInteger(value, quantity, end)) return MALFORMED;
    if (!isLong(value, 0, ts - 1)) return ID_RANGE;
    if (!isLong(value, ts, item - 1)) return TS_RANGE;
    into.transactionId = toLong(value, 0, ts - 1);
    into.ts = toLong(value, ts, item - 1);
    if (into.ts < 0 || into.ts > TS_MAX) return TS_RANGE;
    String reason = checkItemId(value, item, quantity - 1);
    if (reason != null) return reason;
    into.itemId = Bytes.wrap(Arrays.copyOfRange(value, item, quantity - 1));
    long number = isLong(value, quantity, end) ? toLong(value, quantity, end) : Long.MIN_VALUE;
    into.quantity = (int) number;
    return into.quantity == number ? null : QUANTITY_RANGE;
  }

  /** Reads {@code queryId itemId}, split at the first blank or TAB; the rest as parseTransaction. */
  public static String parseQuery(byte[] value, Query into) {
    if (value == null) return NULL_VALUE;
    int split = 0;
    while (split < value.length && value[split] != BLANK && value[split] != TAB) split++;
    if (split == value.length || !isInteger(value, 0, split)) return MALFORMED;
    if (!isLong(value, 0, split)) return ID_RANGE;
    into.queryId = toLong(value, 0, split);
    String reason = checkItemId(value, split + 1, value.length);
    if (reason != null) return reason;
    into.itemId = Bytes.wrap(Arrays.copyOfRange(value, split + 1, value.length));
    return null;
  }

  public static byte[] formatNumber(long number) {
    return Long.toString(number).getBytes(StandardCharsets.US_ASCII);
  }

  public static byte[] formatResult(TransactionResult result) {
    Transaction t = result.transaction;
    byte[] itemId = t.itemId.get();
    byte[] outcome = result.success ? TRUE : FALSE;
    int tsAt = digits(t.transactionId) + 1;
    int itemAt = tsAt + digits(t.ts) + 1;
    int quantityAt = itemAt + itemId.length + 1;
    int outcomeAt = quantityAt + digits(t.quantity);
    byte[] text = new byte[outcomeAt + outcome.length];
    putLong(t.transactionId, text, tsAt - 1);
    text[tsAt - 1] = TAB;
    putLong(t.ts, text, itemAt - 1);
    text[itemAt - 1] = TAB;
    System.arraycopy(itemId, 0, text, itemAt, itemId.length);
    text[quantityAt - 1] = TAB;
    putLong(t.quantity, text, outcomeAt);
    System.arraycopy(outcome, 0, text, outcomeAt, outcome.length);
    return text;
  }

  /** The result of a valid transaction from its own text, which is canonical: it goes on as it is. */
  public static byte[] formatResult(byte[] transaction, boolean success) {
    byte[] outcome = success ? TRUE : FALSE;
    byte[] text = Arrays.copyOf(transaction, transaction.length + outcome.length);
    System.arraycopy(outcome, 0, text, transaction.length, outcome.length);
    return text;
  }

  public static byte[] formatQueryResult(QueryResult result) {
    String stock = result.quantity == null
        ? new String(MISSING, StandardCharsets.US_ASCII)
        : textOf(result.itemId) + "\t" + result.quantity;
    return (result.queryId + "\t" + stock).getBytes(StandardCharsets.UTF_8);
  }

  public static byte[] formatSummary(TransactionSummary s) {
    String text = textOf(s.itemId) + "\t" + s.windowStart + "\t" + s.windowEnd + "\t" + s.numSuccessfulTransactions + "\t"
        + s.numFailedTransactions + "\t" + s.totalVolume;
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static String textOf(Bytes itemId) {
    return new String(itemId.get(), StandardCharsets.UTF_8);
  }

  /** Where a byte is; -1 if nowhere. */
  private static int indexOf(byte wanted, byte[] bytes, int from) {
    for (int i = from; i < bytes.length; i++) if (bytes[i] == wanted) return i;
    return -1;
  }

  /** Whether the bytes are a canonical integer of any size: no plus sign, no leading zero, not -0. */
  private static boolean isInteger(byte[] bytes, int from, int end) {
    boolean negative = from < end && bytes[from] == '-';
    int first = negative ? from + 1 : from;
    if (first >= end) return false;
    if (bytes[first] == '0' && (negative || end - first > 1)) return false;
    for (int i = first; i < end; i++) if (bytes[i] < '0' || bytes[i] > '9') return false;
    return true;
  }

  /** Whether a canonical integer fits. */
  private static boolean isLong(byte[] bytes, int from, int end) {
    int digits = end - from - (bytes[from] == '-' ? 1 : 0);
    if (digits != LONG_DIGITS) return digits < LONG_DIGITS;
    // Only numbers of the very longest need the exact look.
    try {
      Long.parseLong(new String(bytes, from, end - from, StandardCharsets.US_ASCII));
      return true;
    } catch (NumberFormatException tooLarge) {
      return false;
    }
  }

  private static long toLong(byte[] bytes, int from, int end) {
    boolean negative = bytes[from] == '-';
    long number = 0;
    // Below zero, where one more number has room.
    for (int i = negative ? from + 1 : from; i < end; i++) number = number * 10 - (bytes[i] - '0');
    return negative ? number : -number;
  }

  private static String checkItemId(byte[] bytes, int from, int end) {
    if (from == end) return ITEM_ID_EMPTY;
    if (end - from > ITEM_ID_BYTES_MAX) return ITEM_ID_TOO_LONG;
    boolean ascii = true;
    for (int i = from; i < end; i++) {
      byte b = bytes[i];
      if (b < 0) ascii = false;
      else if (b < BLANK || b == DELETE) return ITEM_ID_CHARACTER;
    }
    return ascii || isUtf8(bytes, from, end) ? null : ITEM_ID_CHARACTER;
  }

  private static boolean isUtf8(byte[] bytes, int from, int end) {
    try {
      StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, from, end - from));
      return true;
    } catch (CharacterCodingException notUtf8) {
      return false;
    }
  }

  /** Bytes of a number in decimal, its sign included. */
  private static int digits(long number) {
    int digits = number < 0 ? 2 : 1;
    // Below zero, where the smallest number has a place too.
    for (long rest = number < 0 ? number : -number; rest <= -10; rest /= 10) digits++;
    return digits;
  }

  /** Writes a number in decimal so that it ends before a place. */
  private static void putLong(long number, byte[] into, int end) {
    long rest = number < 0 ? number : -number;
    int at = end;
    do {
      into[--at] = (byte) ('0' - rest % 10);
      rest /= 10;
    } while (rest != 0);
    if (number < 0) into[--at] = '-';
  }
}
