import type { LogSession, ReadAnswer } from "../log/mod.ts";
import type { Committer } from "./committer.ts";
import type { MemoryWatch } from "./memory_watch.ts";
import type { Partition } from "./partition.ts";
import type { TimeShares } from "./time_shares.ts";
import { endWith } from "../types/mod.ts";
import { traceRead } from "./traced_read.ts";
import type { WorkerContext } from "./worker_context.ts";

/** Bytes that are read of a partition at a time. */
const READ_BYTES = 256 * 1024;
/** How long a read waits at the end of the log. */
const READ_WAIT_MS = 500;
/** Once a partition is ready, nothing but an idle firing hangs on the end of an empty read. */
const IDLE_WAIT_MS = 2000;
/** How long folding goes on before others have their turn. */
const TURN_MS = 4;
/** How often it is looked whether there is memory again. */
const MEMORY_LOOK_MS = 1000;

/** Reads and folds partitions of a worker, each in a loop of its own. */
export class FoldLoop {
  constructor(
    readonly context: WorkerContext,
    readonly shares: TimeShares,
    readonly watch: MemoryWatch,
  ) {}

  /** Reads and folds one partition. */
  async run(
    session: LogSession,
    partition: Partition,
    committer: Committer,
    signal: AbortSignal,
  ): Promise<void> {
    const { context: { clock, settings, tracing }, shares } = this;
    const { processor } = partition;
    let idleSince: number | null = null;
    let turn = clock.monotonic();
    while (!signal.aborted) {
      // Another partition may take the room before this one has its turn.
      while (!committer.hasRoom && !signal.aborted) {
        await shares.measure("backPressured", () => committer.room(signal));
      }
      const waitMs = partition.isReady && processor.core.openWindows === 0
        ? IDLE_WAIT_MS
        : READ_WAIT_MS;
      // All are folded before the next read.
      const options = { maxBytes: READ_BYTES, waitMs, signal, borrows: true };
      const isTurnOver = clock.monotonic() - turn >= TURN_MS;
      // The read leaves before the turn ends, so that it reaches another thread with the outcomes before it.
      const askedAt = tracing ? clock.now() : 0;
      const [answer] = await shares.measure(
        "idle",
        () =>
          Promise.all([
            session.read(processor.partition, processor.position, options),
            isTurnOver ? clock.yield() : null,
          ]),
      );
      const { batches, endOffset, watermark } = answer;
      if (isTurnOver) turn = clock.monotonic();
      if (watermark !== undefined && watermark > processor.core.watermark) {
        await processor.fireUpTo(watermark);
      }
      if (batches.length === 0) {
        if (signal.aborted || processor.position !== endOffset) continue;
        // What the log held at the claim may have ended in offsets that readers skip.
        if (!partition.isReady) partition.setReady();
        idleSince ??= clock.monotonic();
        const idle = clock.monotonic() - idleSince >= settings.idleTimeoutMs;
        if (idle && processor.core.openWindows > 0) await processor.fireIdle();
        continue;
      }
      idleSince = null;
      const span = tracing ? this.#trace(partition, answer, askedAt) : null;
      const folding = this.#foldAll(partition, batches, turn, signal);
      if (span) endWith(span, folding);
      turn = await folding;
    }
  }

  #trace(partition: Partition, answer: ReadAnswer, askedAt: number) {
    const { tracing, topics } = this.context;
    const { partition: number, position: offset } = partition.processor;
    const read = { topic: topics.input, partition: number, offset, askedAt, answer };
    return traceRead(tracing!, partition.traced!, { work: "fold", ...read });
  }

  /** Folds batches; returns when the turn began in which it ended. */
  async #foldAll(
    partition: Partition,
    batches: readonly Uint8Array[],
    turn: number,
    signal: AbortSignal,
  ): Promise<number> {
    const { context: { clock }, shares } = this;
    for (const [index, batch] of batches.entries()) {
      const stopped = await this.#foldBatch(partition, batch);
      if (stopped) await shares.measure("idle", () => clock.sleep(MEMORY_LOOK_MS, signal));
      if (stopped || signal.aborted) break;
      if (index === batches.length - 1 || clock.monotonic() - turn < TURN_MS) continue;
      await clock.yield();
      turn = clock.monotonic();
    }
    return turn;
  }

  /** Folds a batch; whether it stopped before a new item, for which there is no memory. */
  async #foldBatch(partition: Partition, batch: Uint8Array): Promise<boolean> {
    const { memory, holdsBack, onStep } = this.context;
    const { processor } = partition;
    onStep?.("folding", processor.partition);
    const knownItems = holdsBack && memory.roomIn(processor.partition) < 1;
    const stopped = await this.shares.measure("busy", () => processor.fold(batch, knownItems));
    onStep?.("waiting", processor.partition);
    this.watch.report(processor, stopped);
    // What is behind stays unknown for as long as this lasts; what is known is answered.
    if (stopped) partition.setReady();
    else partition.folded();
    return stopped !== null;
  }
}
