// Answers of the API: one form for all errors.

import { getLogger } from "@logtape/logtape";
import type { Context, MiddlewareHandler } from "hono";
import { ConflictError, OverloadedError } from "../service/mod.ts";
import { UnavailableError } from "../log/mod.ts";
import { LostError, StandByError } from "../log/mod.ts";
import { isNoRoom, WriteFailedError } from "../kv/mod.ts";
import { OffsetOutOfRangeError } from "../log/mod.ts";
import { SavepointExistsError } from "../state/mod.ts";
import { escapeControls, InvalidRecordError, reasonName } from "../types/mod.ts";
import { BodyError } from "./body_error.ts";

const log = getLogger(["stockflow", "http"]);

/** Seconds after which a client may try again. */
const RETRY_AFTER_SECONDS = "1";

export type ErrorStatus =
  | 400
  | 401
  | 403
  | 404
  | 405
  | 408
  | 409
  | 411
  | 413
  | 415
  | 416
  | 421
  | 500
  | 501
  | 503;

/** An answer whose JSON is written already: int64 numbers keep their digits. */
export function json(c: Context, status: 200 | 201 | ErrorStatus, text: string): Response {
  return c.body(escapeControls(text) + "\n", status, { "content-type": "application/json" });
}

/** An error: a reason for programs, a message for people. */
export function fail(
  c: Context,
  status: ErrorStatus,
  reason: string,
  message: string,
): Response {
  if (status === 503) setRetryAfter(c);
  return json(c, status, JSON.stringify({ error: { reason, message } }));
}

/** Looks at a request before it is answered: the answer that refuses it, or null. */
export type Check = (c: Context) => Response | null;

/** Answers only what all checks let through, in their order. */
export function checked(...checks: readonly Check[]): MiddlewareHandler {
  return (c, next) => {
    for (const check of checks) {
      const refusal = check(c);
      if (refusal) return Promise.resolve(refusal);
    }
    return next();
  };
}

export function setRetryAfter(c: Context): void {
  c.header("retry-after", RETRY_AFTER_SECONDS);
}

/** A request of which nothing was executed, though nothing was wrong with it. */
export function logRefused({ req: { method, path } }: Context, reason: string): void {
  log.warn("{method} {path} was answered 503: {reason}", { method, path, reason });
}

/** What to answer when a request ended in an error. */
export function failWith(c: Context, error: Error): Response {
  if (error instanceof BodyError) return fail(c, error.status, error.reason, error.message);
  if (error instanceof InvalidRecordError) {
    return fail(c, 400, reasonName(error.reason), error.message);
  }
  if (error instanceof ConflictError) return fail(c, 409, "conflict", error.message);
  if (error instanceof OverloadedError) {
    logRefused(c, error.message);
    return fail(c, 503, "overloaded", error.message);
  }
  if (error instanceof SavepointExistsError) return fail(c, 409, "exists", error.message);
  if (error instanceof OffsetOutOfRangeError) return fail(c, 416, "offset", error.message);
  if (error instanceof StandByError) return fail(c, 503, "stand_by", error.message);
  const later = [UnavailableError, LostError, WriteFailedError];
  if (isNoRoom(error) || later.some((type) => error instanceof type)) {
    logRefused(c, error.message);
    return fail(c, 503, "unavailable", error.message);
  }
  const { method, path } = c.req;
  const { message, stack } = error;
  log.error("{method} {path} was answered 500: {reason}", { method, path, reason: message, stack });
  return fail(c, 500, "internal", message);
}

/**
 * An integer of the query string.
 *
 * @throws {BodyError} when it is not an integer, or out of range
 */
export function integerQuery(
  c: Context,
  name: string,
  { min, max }: { min: number; max: number },
): number | null {
  const text = c.req.query(name);
  if (text === undefined) return null;
  const value = /^(0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new BodyError(
    400,
    name,
    `${name} must be an integer from ${min} to ${max}, not ${JSON.stringify(text.slice(0, 100))}`,
  );
}
