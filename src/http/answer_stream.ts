// Answers of any length: small ones at once, large ones in pieces, as their clients read them.

import type { Context } from "hono";
import { encodeUtf8 } from "../types/mod.ts";
import type { BodyReader } from "./body_reader.ts";
import { busy } from "./body_reader.ts";
import { type Share, SMALL_BYTES } from "./byte_budget.ts";
import { Transfer } from "./transfers.ts";

/** Characters of one piece. */
const PIECE_CHARS = 32_768;

export interface PiecedAnswer {
  readonly status: 200 | 400 | 422 | 503;
  readonly contentType: string;
  /** Its text, in parts of any length. */
  readonly text: Iterator<string>;
  /** What it holds of the budget, until it was read. */
  readonly share: Share;
}

/** Answers with a text that is made while it is read. */
export async function answerInPieces(
  c: Context,
  { transfers, turns, refused }: BodyReader,
  { status, contentType, text, share }: PiecedAnswer,
): Promise<Response> {
  c.header("content-type", contentType);
  const slices = turns.begin();
  let begun = "";
  for (let part = text.next(); !part.done; part = text.next()) {
    begun += part.value;
    if (begun.length >= SMALL_BYTES) break;
    if (slices.isDue(256 + part.value.length)) await slices.next();
  }
  if (begun.length < SMALL_BYTES) {
    share.release();
    // As a string: Deno writes it without a stream.
    return c.body(begun, status);
  }
  const over = () => {
    transfers.delete(transfer);
    share.release();
  };
  let controller: ReadableStreamDefaultController<Uint8Array>;
  const transfer = new Transfer((why) => {
    // A stop has its own limit for answers that nobody reads.
    if (why === "stopping") return;
    refused.unread++;
    controller.error(new Error("The answer is not read"));
    over();
  }, PIECE_CHARS);
  transfers.add(transfer);
  const stream = new ReadableStream<Uint8Array>({
    start: (its) => void (controller = its),
    pull: async () => {
      transfer.isIdle = true;
      if (slices.isDue(PIECE_CHARS)) await slices.next();
      const piece = begun || nextPiece(text);
      begun = "";
      if (piece === "") {
        over();
        return controller.close();
      }
      const bytes = encodeUtf8(piece);
      transfer.bytes += bytes.length;
      transfer.isIdle = false;
      controller.enqueue(bytes);
    },
    cancel: over,
  }, { highWaterMark: 0 });
  return c.body(stream, status);
}

function nextPiece(text: Iterator<string>): string {
  let piece = "";
  while (piece.length < PIECE_CHARS) {
    const { done, value } = text.next();
    if (done) break;
    piece += value;
  }
  return piece;
}

/**
 * Answers with a text that is there already; a large one counts as under way until it was read.
 *
 * @throws {BodyError} when there is no room for it
 */
export async function answerText(
  c: Context,
  reader: BodyReader,
  contentType: string,
  text: string,
): Promise<Response> {
  const share = reader.budget.open();
  if (text.length >= SMALL_BYTES && !share.add(text.length)) throw busy(reader.budget);
  return await answerInPieces(c, reader, { status: 200, contentType, text: partsOf(text), share });
}

function* partsOf(text: string): Generator<string> {
  for (let at = 0; at < text.length;) {
    let end = at + PIECE_CHARS;
    // Both halves of a surrogate pair stay together.
    if (end < text.length && /[\uD800-\uDBFF]/.test(text[end - 1]!)) end++;
    yield text.slice(at, end);
    at = end;
  }
}
