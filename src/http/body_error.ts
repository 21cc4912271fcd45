/** A body that cannot be taken at all. */
export class BodyError extends Error {
  override readonly name = "BodyError";

  constructor(
    readonly status: 400 | 408 | 411 | 413 | 415 | 503,
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}
