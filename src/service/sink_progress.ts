/** How far a sink has come in a partition. */
export interface SinkProgress {
  /** Next offset to be delivered. */
  next: number;
  /** Everything below it is delivered, and that is kept. */
  committed: number;
  /** A call that was not waited for to its end; its partition is given nothing more before. */
  underWay: Promise<void> | null;
  /** Where the log ended when it was read last. */
  end: number;
}

/**
 * Of a log that begins at its committed offset.
 *
 * @param underWay a call with values of the log before: what it takes is not of this one
 * @param ended is called when it has ended
 */
export function progressFrom(
  committed: number,
  underWay: Promise<void> | null,
  ended: () => void,
): SinkProgress {
  const progress: SinkProgress = { next: committed, committed, underWay, end: committed };
  void underWay?.then(() => {
    progress.underWay = null;
    ended();
  });
  return progress;
}
