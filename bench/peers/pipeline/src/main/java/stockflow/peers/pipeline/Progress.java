package stockflow.peers.pipeline;

import java.util.concurrent.atomic.LongAdder;

/** How many transactions were executed or refused: a line {@code records <count>} on standard output ten times a second. */
public final class Progress {
  private Progress() {}

  /** One adder for all threads: each has a cell of its own in it. */
  public static final LongAdder RECORDS = new LongAdder();

  private static final long INTERVAL_MS = 100;

  public static void print() {
    Thread printer = new Thread(() -> {
      while (true) {
        System.out.println("records " + RECORDS.sum());
        // Nobody reads any more: the benchmark has ended without ending this process.
        if (System.out.checkError()) Runtime.getRuntime().halt(1);
        try {
          Thread.sleep(INTERVAL_MS);
        } catch (InterruptedException ended) {
          return;
        }
      }
    }, "progress");
    printer.setDaemon(true);
    printer.start();
  }
}
