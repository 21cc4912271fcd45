// Bodies of requests and answers: one JSON value or an array of them, JSON lines, or text lines. An
// answer has the form and order of its request, one outcome per record.

import type { z } from "zod";
import {
  type Codec,
  codecOf,
  decodeUtf8,
  escapeControls,
  Format,
  shorten,
  type Slices,
} from "../types/mod.ts";
import { BodyError } from "./body_error.ts";
import { type RecordSpans, scanJson, scanLines, startOf } from "./records.ts";

/** How records stand in a body. */
export interface BodyForm {
  readonly contentType: string;
  readonly codec: Codec;
  /** Whether a body that was cut is not taken for a whole one: it ends where the first of it says. */
  readonly tellsItsEnd: boolean;
  /** Finds the records of a body, of which there may be so many. */
  scan(body: Uint8Array, countMax: number, slices: Slices): Promise<RecordSpans>;
  /** What stands before, between and behind the outcomes of its records. */
  frame(request: Uint8Array): readonly [before: string, between: string, behind: string];
  /**
   * An outcome for a record that has none.
   *
   * @param assignedId the id that the service gave to a transaction, with which alone it may be sent again
   */
  error(reason: string, message: string, assignedId: bigint | null): string;
}

function jsonError(reason: string, message: string, assignedId: bigint | null): string {
  // One that is assigned is below 2^53.
  const transactionId = assignedId === null ? undefined : Number(assignedId);
  return escapeControls(JSON.stringify({ error: { reason, message, transactionId } }));
}

const LINES = ["", "\n", "\n"] as const;

const FORMS: readonly BodyForm[] = [
  {
    contentType: "application/json",
    codec: codecOf(Format.Json),
    tellsItsEnd: true,
    scan: scanJson,
    frame: (request) => isArray(request) ? ["[", ",", "]\n"] : LINES,
    error: jsonError,
  },
  {
    contentType: "application/x-ndjson",
    codec: codecOf(Format.Json),
    tellsItsEnd: false,
    scan: scanLines,
    frame: () => LINES,
    error: jsonError,
  },
  {
    contentType: "text/plain",
    codec: codecOf(Format.Text),
    tellsItsEnd: false,
    scan: scanLines,
    frame: () => LINES,
    error: (reason, message) => `ERROR\t${reason}\t${escapeControls(message)}`,
  },
];

/** Whether a JSON body that was read without error is an array. */
function isArray(body: Uint8Array): boolean {
  return body.subarray(startOf(body)).find((byte) => byte > 32) === "[".charCodeAt(0);
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
  checkCharset(contentType);
  if (mediaTypeOf(contentType) !== JSON_TYPE) {
    throw new BodyError(
      415,
      "content_type",
      `Content-Type must be ${JSON_TYPE}, not ${JSON.stringify(shorten(mediaTypeOf(contentType)))}`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(decodeUtf8(body.subarray(startOf(body))) ?? "");
  } catch {
    throw new BodyError(400, "malformed", "The body is not JSON");
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

/** @throws {BodyError} for a charset other than UTF-8, of which ASCII is a part */
function checkCharset(contentType: string | undefined): void {
  const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(contentType ?? "")?.[1];
  if (charset === undefined || /^(utf-?8|us-ascii)$/i.test(charset)) return;
  const given = JSON.stringify(shorten(charset));
  throw new BodyError(415, "charset", `The charset of a body must be utf-8, not ${given}`);
}

/** Content types as they were written, of which clients use few, with their forms. */
const KNOWN = new Map<string | undefined, BodyForm>();
const KNOWN_MAX = 100;

/** The form of a body with this content type. */
export function formOf(contentType: string | undefined): BodyForm {
  const known = KNOWN.get(contentType);
  if (known) return known;
  checkCharset(contentType);
  const type = mediaTypeOf(contentType);
  const form = FORMS.find((f) => f.contentType === type);
  if (form) {
    if (KNOWN.size < KNOWN_MAX) KNOWN.set(contentType, form);
    return form;
  }
  throw new BodyError(
    415,
    "content_type",
    `Content-Type must be one of ${FORMS.map((f) => f.contentType).join(", ")}, not ${
      JSON.stringify(shorten(type))
    }`,
  );
}
