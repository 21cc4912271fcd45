package stockflow.peers.flink;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import stockflow.peers.pipeline.TransactionSummary;

/** The state of an item with its windows: its stock, and the summaries of windows that are open. */
final class WindowedStock {
  /** Negative if no transaction of the item succeeded. */
  long stock = -1;
  OpenWindow windows;

  /** They are a list, the newest first: it has two or three. */
  static final class OpenWindow extends TransactionSummary {
    OpenWindow next;
  }

  /** Null if it is not open. */
  OpenWindow windowAt(long start) {
    OpenWindow window = windows;
    while (window != null && window.windowStart != start) window = window.next;
    return window;
  }

  OpenWindow open(long start, long end) {
    OpenWindow window = new OpenWindow();
    window.windowStart = start;
    window.windowEnd = end;
    window.next = windows;
    windows = window;
    return window;
  }

  void close(OpenWindow window) {
    if (windows == window) {
      windows = window.next;
      return;
    }
    OpenWindow before = windows;
    while (before.next != window) before = before.next;
    before.next = window.next;
  }

  static final class Serializer extends HandWrittenSerializer<WindowedStock> {
    @Override
    public WindowedStock copy(WindowedStock from) {
      WindowedStock copy = new WindowedStock();
      copy.stock = from.stock;
      OpenWindow last = null;
      for (OpenWindow window = from.windows; window != null; window = window.next) {
        OpenWindow other = new OpenWindow();
        Types.copyWindow(window, other);
        if (last == null) copy.windows = other;
        else last.next = other;
        last = other;
      }
      return copy;
    }

    @Override
    public void serialize(WindowedStock state, DataOutputView out) throws IOException {
      out.writeLong(state.stock);
      for (OpenWindow window = state.windows; window != null; window = window.next) {
        out.writeBoolean(true);
        Types.writeWindow(window, out);
      }
      out.writeBoolean(false);
    }

    @Override
    public WindowedStock deserialize(DataInputView in) throws IOException {
      WindowedStock state = new WindowedStock();
      state.stock = in.readLong();
      OpenWindow last = null;
      while (in.readBoolean()) {
        OpenWindow window = new OpenWindow();
        Types.readWindow(window, in);
        if (last == null) state.windows = window;
        else last.next = window;
        last = window;
      }
      return state;
    }
  }
}
