// Bodies of requests and answers: one JSON value or an array of them, JSON lines, or text lines. An
// answer has the form and order of its request, one outcome per record.

import { visit } from "jsonc-parser";
import type { Context } from "hono";
import type { z } from "zod";
import {
  type Codec,
  codecOf,
  decodeUtf8,
  encodeUtf8,
  Format,
  InvalidRecordError,
  reasonName,
  shorten,
} from "../types/mod.ts";

/** Longest line or array element in bytes. */
export const LINE_BYTES_MAX = 16_384;

/** How records stand in a body. */
export interface BodyForm {
  readonly contentType: string;
  readonly codec: Codec;
  /** Splits a body into its records. */
  split(body: Uint8Array): (string | Uint8Array)[];
  /** Puts the outcomes of records together. */
  join(outcomes: readonly string[], request: Uint8Array): string;
  /** An outcome for a record that has none. */
  error(reason: string, message: string): string;
}

/** A body that cannot be taken at all. */
export class BodyError extends Error {
  override readonly name = "BodyError";

  constructor(readonly status: 400 | 413 | 415 | 503, readonly reason: string, message: string) {
    super(message);
  }
}

/**
 * The bytes of a request's body.
 *
 * @throws {BodyError} when its client breaks off, or says something else of it than it is, or the job stops
 */
export async function bytesOf(c: Context, stopping: AbortSignal): Promise<Uint8Array> {
  try {
    return new Uint8Array(await unlessStopping(stopping, c.req.arrayBuffer()));
  } catch (error) {
    if (error instanceof BodyError) throw error;
    throw new BodyError(400, "body", `The body cannot be read: ${(error as Error).message}`);
  }
}

/**
 * Waits for what a client sends, perhaps slowly, perhaps never: a job that stops does not wait for it.
 *
 * @throws {BodyError} when the job stops
 */
export async function unlessStopping<T>(stopping: AbortSignal, read: Promise<T>): Promise<T> {
  const stopped = Promise.withResolvers<never>();
  const stop = () => stopped.reject(new BodyError(503, "stopping", STOPPING));
  stopping.addEventListener("abort", stop);
  try {
    return await Promise.race([read, stopped.promise]);
  } finally {
    stopping.removeEventListener("abort", stop);
  }
}

const STOPPING = "The job stops, and the body has not come: nothing of it was executed";

const NEWLINE = 10;

/** Lines of a body; a newline at the end ends the last one. A line that is not UTF-8 stays bytes. */
function splitLines(body: Uint8Array): (string | Uint8Array)[] {
  const text = decodeUtf8(body);
  const lines: (string | Uint8Array)[] = [];
  if (text !== null) {
    const parts = text.split("\n");
    if (parts.at(-1) === "") parts.pop();
    parts.forEach(checkTextLength);
    return parts;
  }
  for (let from = 0; from < body.length;) {
    const newline = body.indexOf(NEWLINE, from);
    const to = newline < 0 ? body.length : newline;
    checkLength(to - from, lines.length);
    const line = body.subarray(from, to);
    lines.push(decodeUtf8(line) ?? line);
    from = to + 1;
  }
  return lines;
}

function checkTextLength(text: string, index: number): void {
  // A code unit has up to three bytes of UTF-8: only a text of many needs to be counted.
  if (3 * text.length > LINE_BYTES_MAX) checkLength(encodeUtf8(text).length, index);
}

function checkLength(length: number, index: number): void {
  if (length <= LINE_BYTES_MAX) return;
  throw new BodyError(
    413,
    "line_too_long",
    `Line ${index + 1} has more than ${LINE_BYTES_MAX} bytes: ${length}`,
  );
}

/** The elements of a JSON array as they are written, or the one value that stands there instead. */
function splitJson(body: Uint8Array): string[] {
  const text = decodeUtf8(body);
  if (text === null) throw new BodyError(400, "malformed", "The body is not well-formed UTF-8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BodyError(400, "malformed", `The body is no JSON: ${(error as Error).message}`);
  }
  if (!Array.isArray(value)) {
    checkTextLength(text, 0);
    return [text];
  }
  const elements: string[] = [];
  let depth = 0;
  let from = 0;
  const element = (offset: number, length: number) => {
    const part = text.slice(offset, offset + length);
    checkTextLength(part, elements.length);
    elements.push(part);
  };
  const open = (offset: number) => {
    if (++depth === 2) from = offset;
  };
  const close = (offset: number, length: number) => {
    if (--depth === 1) element(from, offset + length - from);
  };
  try {
    visit(text, {
      onObjectBegin: open,
      onArrayBegin: open,
      onObjectEnd: close,
      onArrayEnd: close,
      onLiteralValue: (_value, offset, length) => {
        if (depth === 1) element(offset, length);
      },
    }, { disallowComments: true });
  } catch (error) {
    if (error instanceof BodyError) throw error;
    throw new BodyError(400, "malformed", "The body is nested too deep");
  }
  return elements;
}

function jsonError(reason: string, message: string): string {
  return JSON.stringify({ error: { reason, message } });
}

const joinLines = (outcomes: readonly string[]) => outcomes.map((line) => line + "\n").join("");

const FORMS: readonly BodyForm[] = [
  {
    contentType: "application/json",
    codec: codecOf(Format.Json),
    split: splitJson,
    join: (outcomes, request) =>
      isArray(request) ? `[${outcomes.join(",")}]\n` : `${outcomes[0]}\n`,
    error: jsonError,
  },
  {
    contentType: "application/x-ndjson",
    codec: codecOf(Format.Json),
    split: splitLines,
    join: joinLines,
    error: jsonError,
  },
  {
    contentType: "text/plain",
    codec: codecOf(Format.Text),
    split: splitLines,
    join: joinLines,
    error: (reason, message) => `ERROR\t${reason}\t${message}`,
  },
];

/** Whether a JSON body that was read without error is an array. */
function isArray(body: Uint8Array): boolean {
  return body.find((byte) => byte > 32) === "[".charCodeAt(0);
}

/**
 * Reads a body that is one JSON object of the given shape.
 *
 * @throws {BodyError} that names what is wrong
 */
export function parseObject<T>(
  contentType: string | undefined,
  body: Uint8Array,
  schema: z.ZodType<T>,
): T {
  if (mediaTypeOf(contentType) !== JSON_TYPE) {
    throw new BodyError(
      415,
      "content_type",
      `Content-Type must be ${JSON_TYPE}, not ${JSON.stringify(shorten(mediaTypeOf(contentType)))}`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(decodeUtf8(body) ?? "");
  } catch {
    throw new BodyError(400, "malformed", "The body is no JSON");
  }
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [issue] = error.issues;
  const where = issue!.path.length > 0 ? `${issue!.path.join(".")}: ` : "";
  throw new BodyError(400, "malformed", `${where}${issue!.message}`);
}

const JSON_TYPE = "application/json";

function mediaTypeOf(contentType: string | undefined): string {
  return (contentType ?? "").toLowerCase().split(";")[0]!.trim();
}

/** The form of a body with this content type. */
export function formOf(contentType: string | undefined): BodyForm {
  const type = mediaTypeOf(contentType);
  const form = FORMS.find((f) => f.contentType === type);
  if (form) return form;
  throw new BodyError(
    415,
    "content_type",
    `Content-Type must be one of ${FORMS.map((f) => f.contentType).join(", ")}, not ${
      JSON.stringify(shorten(type))
    }`,
  );
}

/** Reads each record on its own: a value or the error that it is refused with. */
export function parseEach<T>(
  records: readonly (string | Uint8Array)[],
  parse: (text: string) => T,
  parseBytes: (value: Uint8Array) => T,
): (T | InvalidRecordError)[] {
  return records.map((record) => {
    try {
      return typeof record === "string" ? parse(record) : parseBytes(record);
    } catch (error) {
      if (error instanceof InvalidRecordError) return error;
      throw error;
    }
  });
}

/** The outcome of a record that was refused. */
export function refusal(form: BodyForm, error: InvalidRecordError): string {
  return form.error(reasonName(error.reason), error.message);
}
