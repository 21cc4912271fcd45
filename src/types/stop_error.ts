/** The job cannot go on by itself: exit 2 with what is wrong and what to do. */
export class StopError extends Error {
  override readonly name = "StopError";

  /** @param remedy what the user may do, a sentence without full stop */
  constructor(message: string, readonly remedy: string, options?: ErrorOptions) {
    super(message, options);
  }
}
