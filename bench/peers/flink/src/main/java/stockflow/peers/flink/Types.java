package stockflow.peers.flink;

import java.io.IOException;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.kafka.common.utils.Bytes;
import stockflow.peers.pipeline.Query;
import stockflow.peers.pipeline.Transaction;
import stockflow.peers.pipeline.TransactionResult;
import stockflow.peers.pipeline.TransactionSummary;

/** Types that are sent over the network or kept as state, each with a serializer by hand. */
final class Types {
  private Types() {}

  static final TypeInformation<Bytes> ITEM_ID = new Info<>(Bytes.class, new ItemIds());
  static final TypeInformation<Transaction> TRANSACTION = new Info<>(Transaction.class, new Transactions());
  static final TypeInformation<Query> QUERY = new Info<>(Query.class, new Queries());
  static final TypeInformation<TransactionResult> RESULT = new Info<>(TransactionResult.class, new Results());
  static final TypeInformation<TransactionSummary> SUMMARY = new Info<>(TransactionSummary.class, new Summaries());
  static final TypeInformation<WindowedStock> WINDOWED_STOCK =
      new Info<>(WindowedStock.class, new WindowedStock.Serializer());

  /** The ids of items: never changed, so they are never copied. */
  static final class ItemIds extends HandWrittenSerializer<Bytes> {
    @Override
    public boolean isImmutableType() {
      return true;
    }

    @Override
    public Bytes copy(Bytes from) {
      return from;
    }

    @Override
    public void serialize(Bytes itemId, DataOutputView out) throws IOException {
      writeItemId(itemId, out);
    }

    @Override
    public Bytes deserialize(DataInputView in) throws IOException {
      return readItemId(in);
    }
  }

  static final class Transactions extends HandWrittenSerializer<Transaction> {
    @Override
    public Transaction copy(Transaction from) {
      Transaction copy = new Transaction();
      copy.transactionId = from.transactionId;
      copy.ts = from.ts;
      copy.quantity = from.quantity;
      copy.itemId = from.itemId;
      return copy;
    }

    @Override
    public void serialize(Transaction transaction, DataOutputView out) throws IOException {
      out.writeLong(transaction.transactionId);
      out.writeLong(transaction.ts);
      out.writeInt(transaction.quantity);
      writeItemId(transaction.itemId, out);
    }

    @Override
    public Transaction deserialize(DataInputView in) throws IOException {
      Transaction transaction = new Transaction();
      transaction.transactionId = in.readLong();
      transaction.ts = in.readLong();
      transaction.quantity = in.readInt();
      transaction.itemId = readItemId(in);
      return transaction;
    }
  }

  static final class Queries extends HandWrittenSerializer<Query> {
    @Override
    public Query copy(Query from) {
      Query copy = new Query();
      copy.queryId = from.queryId;
      copy.itemId = from.itemId;
      return copy;
    }

    @Override
    public void serialize(Query query, DataOutputView out) throws IOException {
      out.writeLong(query.queryId);
      writeItemId(query.itemId, out);
    }

    @Override
    public Query deserialize(DataInputView in) throws IOException {
      Query query = new Query();
      query.queryId = in.readLong();
      query.itemId = readItemId(in);
      return query;
    }
  }

  static final class Results extends HandWrittenSerializer<TransactionResult> {
    private static final Transactions TRANSACTIONS = new Transactions();

    @Override
    public TransactionResult copy(TransactionResult from) {
      return new TransactionResult(TRANSACTIONS.copy(from.transaction), from.success);
    }

    @Override
    public void serialize(TransactionResult result, DataOutputView out) throws IOException {
      TRANSACTIONS.serialize(result.transaction, out);
      out.writeBoolean(result.success);
    }

    @Override
    public TransactionResult deserialize(DataInputView in) throws IOException {
      return new TransactionResult(TRANSACTIONS.deserialize(in), in.readBoolean());
    }
  }

  /** Summaries that are complete, or those of open windows: these have no item id yet. */
  static final class Summaries extends HandWrittenSerializer<TransactionSummary> {
    private static final Bytes NONE = Bytes.wrap(Bytes.EMPTY);

    @Override
    public TransactionSummary copy(TransactionSummary from) {
      TransactionSummary copy = new TransactionSummary();
      copy.itemId = from.itemId;
      copyWindow(from, copy);
      return copy;
    }

    @Override
    public void serialize(TransactionSummary summary, DataOutputView out) throws IOException {
      writeItemId(summary.itemId == null ? NONE : summary.itemId, out);
      writeWindow(summary, out);
    }

    @Override
    public TransactionSummary deserialize(DataInputView in) throws IOException {
      TransactionSummary summary = new TransactionSummary();
      summary.itemId = readItemId(in);
      readWindow(summary, in);
      return summary;
    }
  }

  /** All but the item. */
  static void copyWindow(TransactionSummary from, TransactionSummary into) {
    into.windowStart = from.windowStart;
    into.windowEnd = from.windowEnd;
    into.numSuccessfulTransactions = from.numSuccessfulTransactions;
    into.numFailedTransactions = from.numFailedTransactions;
    into.totalVolume = from.totalVolume;
  }

  static void writeWindow(TransactionSummary summary, DataOutputView out) throws IOException {
    out.writeLong(summary.windowStart);
    out.writeLong(summary.windowEnd);
    out.writeLong(summary.numSuccessfulTransactions);
    out.writeLong(summary.numFailedTransactions);
    out.writeLong(summary.totalVolume);
  }

  static void readWindow(TransactionSummary into, DataInputView in) throws IOException {
    into.windowStart = in.readLong();
    into.windowEnd = in.readLong();
    into.numSuccessfulTransactions = in.readLong();
    into.numFailedTransactions = in.readLong();
    into.totalVolume = in.readLong();
  }

  /** An id has at most 249 bytes. */
  private static void writeItemId(Bytes itemId, DataOutputView out) throws IOException {
    byte[] bytes = itemId.get();
    out.writeByte(bytes.length);
    out.write(bytes);
  }

  private static Bytes readItemId(DataInputView in) throws IOException {
    byte[] bytes = new byte[in.readUnsignedByte()];
    in.readFully(bytes);
    return Bytes.wrap(bytes);
  }

  private static final class Info<T> extends TypeInformation<T> {
    private final Class<T> type;
    private final HandWrittenSerializer<T> serializer;

    Info(Class<T> type, HandWrittenSerializer<T> serializer) {
      this.type = type;
      this.serializer = serializer;
    }

    @Override
    public boolean isBasicType() {
      return false;
    }

    @Override
    public boolean isTupleType() {
      return false;
    }

    @Override
    public int getArity() {
      return 1;
    }

    @Override
    public int getTotalFields() {
      return 1;
    }

    @Override
    public Class<T> getTypeClass() {
      return type;
    }

    @Override
    public boolean isKeyType() {
      return type == Bytes.class;
    }

    @Override
    public TypeSerializer<T> createSerializer(SerializerConfig config) {
      return serializer;
    }

    @Override
    public String toString() {
      return type.getSimpleName();
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Info<?> info && info.type == type;
    }

    @Override
    public int hashCode() {
      return type.hashCode();
    }

    @Override
    public boolean canEqual(Object other) {
      return other instanceof Info;
    }
  }
}
