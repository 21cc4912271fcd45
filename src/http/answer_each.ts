// Requests of records: each has one outcome, in the order of the request.

import type { Context } from "hono";
import { IdConflictError, MemoryFullError, type RunningJob } from "../service/mod.ts";
import {
  type Codec,
  escapeControls,
  InvalidRecordError,
  Reason,
  reasonName,
} from "../types/mod.ts";
import { answerInPieces } from "./answer_stream.ts";
import { fail, logRefused, setRetryAfter } from "./answers.ts";
import { type BodyForm, formOf } from "./bodies.ts";
import { BodyError } from "./body_error.ts";
import { SMALL_BYTES } from "./byte_budget.ts";
import { discardBytes } from "./discard_bytes.ts";
import { type Body, type BodyReader, busy } from "./body_reader.ts";
import { RecordReader } from "./records.ts";

/** What a record takes beside its bytes while it is parsed, under way and answered, roughly. */
const RECORD_BYTES = 512;

type Gateway = NonNullable<RunningJob["gateway"]>;

/** How a kind of record is read, executed and answered. */
export interface Handling<T, R> {
  parse(codec: Codec, text: string, gateway: Gateway): T;
  parseBytes(codec: Codec, bytes: Uint8Array): T;
  execute(gateway: Gateway, things: readonly T[]): Promise<(R | Error)[]>;
  format(codec: Codec, thing: T, result: R): string;
  /** The id that a thing was given because it came without one; null = it brought its own. */
  assignedId(thing: T): bigint | null;
  /** Headers of the whole answer. */
  headers(codec: Codec, results: readonly (R | Error)[]): Readonly<Record<string, string>>;
}

const NOT_EMBEDDED =
  "The job reads from topics of Kafka, and takes nothing by HTTP: produce to those topics";

/** One outcome per record: a bad one gets its own error and does not stop its neighbours. */
export async function answerEach<T, R>(
  c: Context,
  { job, reader }: { readonly job: RunningJob; readonly reader: BodyReader },
  handling: Handling<T, R>,
): Promise<Response> {
  const { gateway } = job;
  if (!gateway) {
    return fail(c, 409, "not_embedded", NOT_EMBEDDED);
  }
  const form = formOf(c.req.header("content-type"));
  const body = await reader.read(c, form.tellsItsEnd);
  try {
    const frame = form.frame(body.bytes);
    const things = await parseEach(body, form, reader, handling, gateway);
    const valid = things.filter((t): t is T => !(t instanceof InvalidRecordError));
    const results = valid.length > 0 ? await handling.execute(gateway, valid) : [];
    const failed = results.filter((result) => result instanceof Error);
    const status = statusOf(valid.length, failed);
    if (status === 503) {
      setRetryAfter(c);
      logRefused(c, failed.find((error) => !(error instanceof IdConflictError))!.message);
    }
    for (const [name, value] of Object.entries(handling.headers(form.codec, results))) {
      c.header(name, value);
    }
    const text = textOf(form, frame, things, results, handling);
    const { contentType } = form;
    return await answerInPieces(c, reader, { status, contentType, text, share: body.share });
  } catch (error) {
    body.share.release();
    throw error;
  }
}

/** The whole request failed only if no record of it succeeded; a conflict is final, whatever else failed. */
function statusOf(valid: number, failed: readonly Error[]): 200 | 400 | 422 | 503 {
  if (valid === 0) return 400;
  if (failed.length < valid) return 200;
  return failed.every((error) => error instanceof IdConflictError) ? 422 : 503;
}

/** Reads each record on its own: a value or the error that it is refused with. The bytes are gone afterwards. */
async function parseEach<T, R>(
  body: Body,
  form: BodyForm,
  reader: BodyReader,
  handling: Handling<T, R>,
  gateway: Gateway,
): Promise<(T | InvalidRecordError)[]> {
  try {
    return await parseAll(body, form, reader, handling, gateway);
  } finally {
    if (body.bytes.length >= SMALL_BYTES) discardBytes(body.bytes);
  }
}

async function parseAll<T, R>(
  { bytes, share }: Body,
  form: BodyForm,
  { options: { limits }, turns, budget }: BodyReader,
  handling: Handling<T, R>,
  gateway: Gateway,
): Promise<(T | InvalidRecordError)[]> {
  const slices = turns.begin();
  const spans = await form.scan(bytes, limits.bodyRecordsMax, slices);
  if (spans.count === 0) throw new BodyError(400, "empty", "The body has no record");
  if (!share.addOverhead(RECORD_BYTES * spans.count)) throw busy(budget);
  const records = new RecordReader(spans);
  const things: (T | InvalidRecordError)[] = [];
  for (let index = 0; index < spans.count; index++) {
    things.push(parse(records.at(index), form.codec, handling, gateway));
    if (slices.isDue(128 + 2 * spans.length(index))) await slices.next();
  }
  return things;
}

function parse<T, R>(
  record: string | Uint8Array,
  codec: Codec,
  handling: Handling<T, R>,
  gateway: Gateway,
): T | InvalidRecordError {
  try {
    return typeof record === "string"
      ? handling.parse(codec, record, gateway)
      : handling.parseBytes(codec, record);
  } catch (error) {
    if (error instanceof InvalidRecordError) return error;
    throw error;
  }
}

/** The text of an answer, outcome by outcome. */
function* textOf<T, R>(
  form: BodyForm,
  [before, between, behind]: ReturnType<BodyForm["frame"]>,
  things: readonly (T | InvalidRecordError)[],
  results: readonly (R | Error)[],
  { format, assignedId }: Handling<T, R>,
): Generator<string> {
  let next = 0;
  for (const [index, thing] of things.entries()) {
    const separator = index === 0 ? before : between;
    if (thing instanceof InvalidRecordError) {
      yield separator + form.error(reasonName(thing.reason), thing.message, null);
      continue;
    }
    const result = results[next++]!;
    yield separator +
      (result instanceof Error
        ? form.error(reasonOf(result), result.message, assignedId(thing))
        : escapeControls(format(form.codec, thing, result)));
  }
  yield behind;
}

/** Why a record was not executed, for programs. */
function reasonOf(error: Error): string {
  if (error instanceof IdConflictError) return reasonName(Reason.IdConflict);
  return error instanceof MemoryFullError ? "memory_full" : "unavailable";
}
