/** A body that cannot be taken at all. */
export class BodyError extends Error {
  override readonly name = "BodyError";

  constructor(
    readonly status: 400 | 408 | 411 | 413 | 415 | 501 | 503,
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

/** Reasons that are limits, as metrics count them; an answer that nobody reads is `unread`. */
export const LIMIT_REASONS = [
  "body_too_large",
  "busy",
  "length_required",
  "line_too_long",
  "too_many_records",
  "too_slow",
  "unread",
] as const;
export type LimitReason = (typeof LIMIT_REASONS)[number];
