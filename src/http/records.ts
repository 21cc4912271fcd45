// Finds the records of a body by one scan of its bytes, before anything of it is parsed.

import { decodeUtf8, type Slices } from "../types/mod.ts";
import { BodyError } from "./body_error.ts";

/** Longest line or array element in bytes. */
export const LINE_BYTES_MAX = 16_384;
/** Neighbours are decoded together. */
const WINDOW_BYTES = 32_768;

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const BRACKET = 91;
const BACKSLASH = 92;

/** What a byte means to the structure of JSON; 0 = nothing. */
const QUOTE = 1;
const COMMA = 2;
const OPEN = 3;
const CLOSE = 4;
const MEANINGS = new Uint8Array(256);
for (const [meaning, bytes] of [[QUOTE, '"'], [COMMA, ","], [OPEN, "[{"], [CLOSE, "]}"]] as const) {
  for (const byte of bytes) MEANINGS[byte.charCodeAt(0)] = meaning;
}

/** Where the records of a body begin and end. */
export class RecordSpans {
  /** Beginning and end of each in turn. V8 keeps so small an array with its object, and most bodies have one record. */
  #places = new Uint32Array(16);
  #count = 0;

  constructor(readonly body: Uint8Array, readonly countMax: number) {}

  get count(): number {
    return this.#count;
  }

  /** @throws {BodyError} beyond the largest number of records, or for one that is too long */
  add(from: number, to: number): void {
    if (this.#count === this.countMax) {
      const message = `A body has at most ${this.countMax} records (http.body.records.max)`;
      throw new BodyError(413, "too_many_records", message);
    }
    if (to - from > LINE_BYTES_MAX) {
      throw new BodyError(
        413,
        "line_too_long",
        `Line ${this.#count + 1} has more than ${LINE_BYTES_MAX} bytes: ${to - from}`,
      );
    }
    const at = 2 * this.#count++;
    if (at === this.#places.length) this.#grow();
    this.#places[at] = from;
    this.#places[at + 1] = to;
  }

  #grow(): void {
    const places = this.#places;
    this.#places = new Uint32Array(2 * places.length);
    this.#places.set(places);
  }

  start(index: number): number {
    return this.#places[2 * index]!;
  }

  end(index: number): number {
    return this.#places[2 * index + 1]!;
  }

  length(index: number): number {
    return this.end(index) - this.start(index);
  }

  bytes(index: number): Uint8Array {
    return this.body.subarray(this.start(index), this.end(index));
  }

  /** The index behind the last record that begins a window's length or less behind the first one's beginning. */
  windowEnd(first: number): number {
    let next = first + 1;
    while (next < this.#count && this.end(next) - this.start(first) <= WINDOW_BYTES) next++;
    return next;
  }
}

/** Reads the records of a body one after the other: text, or bytes where they are not UTF-8. */
export class RecordReader {
  #text: string | null = null;
  #windowFrom = 0;
  #windowEnd = 0;

  constructor(readonly spans: RecordSpans) {}

  /** Indexes must not go back. */
  at(index: number): string | Uint8Array {
    if (index >= this.#windowEnd) this.#decode(index);
    const { spans } = this;
    if (this.#text !== null) {
      return this.#text.slice(
        spans.start(index) - this.#windowFrom,
        spans.end(index) - this.#windowFrom,
      );
    }
    const bytes = spans.bytes(index);
    return decodeUtf8(bytes) ?? bytes;
  }

  #decode(first: number): void {
    const { spans } = this;
    this.#windowEnd = spans.windowEnd(first);
    this.#windowFrom = spans.start(first);
    const bytes = spans.body.subarray(this.#windowFrom, spans.end(this.#windowEnd - 1));
    const text = decodeUtf8(bytes);
    // With characters of several bytes, places in the text are not those in the bytes.
    this.#text = text !== null && text.length === bytes.length ? text : null;
  }
}

/** Where the text of a body begins: behind a byte order mark, which some editors write. */
export function startOf(body: Uint8Array): number {
  return body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0;
}

/** Lines of a body, which end with LF or CRLF; a newline at the end ends the last one. */
export async function scanLines(
  body: Uint8Array,
  countMax: number,
  slices: Slices,
): Promise<RecordSpans> {
  const spans = new RecordSpans(body, countMax);
  for (let from = startOf(body); from < body.length;) {
    const newline = body.indexOf(NEWLINE, from);
    const to = newline < 0 ? body.length : newline;
    spans.add(from, newline > from && body[newline - 1] === CARRIAGE_RETURN ? newline - 1 : to);
    if (slices.isDue(32 + ((to - from) >> 4))) await slices.next();
    from = to + 1;
  }
  return spans;
}

/** The elements of a JSON array as they are written, or the one value that stands there instead. */
export async function scanJson(
  body: Uint8Array,
  countMax: number,
  slices: Slices,
): Promise<RecordSpans> {
  const spans = new RecordSpans(body, countMax);
  const from = skipSpace(body, startOf(body));
  if (body[from] === BRACKET) {
    await scanArray(spans, from + 1, slices);
    await checkElements(spans, slices);
  } else {
    spans.add(from, trimSpace(body, from, body.length));
    parseJson(spans.bytes(0), (text) => text);
  }
  return spans;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 32 || byte === 10 || byte === 13 || byte === 9;
}

function skipSpace(body: Uint8Array, from: number): number {
  while (isSpace(body[from])) from++;
  return from;
}

/** The end without the white space before it. */
function trimSpace(body: Uint8Array, from: number, end: number): number {
  while (end > from && isSpace(body[end - 1])) end--;
  return end;
}

/** Bytes that are scanned before it is asked whether the slice is over. */
const STEP_BYTES = 8192;

/** Counts brackets and strings; whether everything else is JSON shows when the elements are parsed. */
async function scanArray(spans: RecordSpans, begin: number, slices: Slices): Promise<void> {
  const { body } = spans;
  let [depth, from, inString] = [1, begin, false];
  const element = (end: number) => {
    const first = skipSpace(body, from);
    if (first >= end) throw notJson(`there is nothing where element ${spans.count + 1} should be`);
    spans.add(first, trimSpace(body, first, end));
    from = end + 1;
  };
  for (let at = begin, step = begin + STEP_BYTES; at < body.length; at++) {
    if (at >= step) {
      step = at + STEP_BYTES;
      if (slices.isDue(STEP_BYTES)) await slices.next();
    }
    const byte = body[at]!;
    const meaning = MEANINGS[byte]!;
    if (inString) {
      if (byte === BACKSLASH) at++;
      else if (meaning === QUOTE) inString = false;
    } else if (meaning === QUOTE) inString = true;
    else if (meaning === OPEN) depth++;
    else if (meaning === CLOSE) {
      if (--depth > 0) continue;
      if (spans.count > 0 || skipSpace(body, from) < at) element(at);
      if (skipSpace(body, at + 1) === body.length) return;
      throw notJson("something stands behind the array");
    } else if (meaning === COMMA && depth === 1) element(at);
  }
  throw notJson("the array has no end");
}

/** Parses the elements, window by window: the body is JSON as a whole, or nothing of it is executed. */
async function checkElements(spans: RecordSpans, slices: Slices): Promise<void> {
  for (let first = 0; first < spans.count;) {
    const end = spans.windowEnd(first);
    const bytes = spans.body.subarray(spans.start(first), spans.end(end - 1));
    parseJson(bytes, (text) => `[${text}]`);
    if (slices.isDue(2 * bytes.length)) await slices.next();
    first = end;
  }
}

function parseJson(bytes: Uint8Array, wrap: (text: string) => string): void {
  const text = decodeUtf8(bytes);
  if (text === null) throw new BodyError(400, "malformed", "The body is not well-formed UTF-8");
  try {
    JSON.parse(wrap(text));
  } catch (error) {
    throw notJson((error as Error).message);
  }
}

function notJson(why: string): BodyError {
  return new BodyError(400, "malformed", `The body is not JSON: ${why}`);
}
