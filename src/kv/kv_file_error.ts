/** A KV file that cannot be used, and why. */
export class KvFileError extends Error {
  override readonly name = "KvFileError";

  /** @param remedy what the user may do, a sentence without full stop; null = look at the file and its disk */
  constructor(message: string, readonly remedy: string | null = null, options?: ErrorOptions) {
    super(message, options);
  }
}
