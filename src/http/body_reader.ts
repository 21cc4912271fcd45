// Reads the body of a request, within its bounds: bytes, the budget of all requests, a minimum rate.

import type { Context } from "hono";
import { type Clock, shorten, Turns } from "../types/mod.ts";
import { BodyError, LIMIT_REASONS, type LimitReason } from "./body_error.ts";
import { ByteBudget, type Share } from "./byte_budget.ts";
import { ByteCollector } from "./byte_collector.ts";
import type { Cuttable } from "./connections.ts";
import { Gunzip, GzipError } from "./gunzip.ts";
import type { HttpLimits } from "./limits.ts";
import { PieceReader } from "./piece_reader.ts";
import { RATE_SECONDS, Transfer, Transfers } from "./transfers.ts";

/** Bodies of so many bytes, which come with their head as a rule, are read at once. */
const AT_ONCE_BYTES = 4096;
/** Units of work that it takes to read a piece, however small; see Slices. */
const PIECE_UNITS = 4096;

export interface BodyReaderOptions {
  readonly limits: HttpLimits;
  readonly clock: Clock;
  /** Aborted when the server stops taking requests. */
  readonly stopping: AbortSignal;
}

/** A body, and what its request holds of the budget until it is answered. */
export interface Body {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly share: Share;
}

const STOPPING = "The job stops, and the body has not come: nothing of it was executed";

/** What the head of a request says of its body. */
interface Declared {
  /** Null: not declared. */
  readonly length: number | null;
  readonly isGzip: boolean;
}

export class BodyReader {
  readonly budget: ByteBudget;
  readonly transfers: Transfers;
  readonly turns: Turns;
  /** How often a limit was reached, by reason. */
  readonly refused = Object.fromEntries(LIMIT_REASONS.map((reason) => [reason, 0])) as Record<
    LimitReason,
    number
  >;

  constructor(readonly options: BodyReaderOptions) {
    const { limits, clock, stopping } = options;
    this.turns = Turns.of(clock);
    this.budget = new ByteBudget(limits.bodiesBytesMax);
    this.transfers = new Transfers(clock, limits.bodyRateMin, stopping);
  }

  /**
   * The bytes of a request's body, inflated; its share of the budget is to be released when it is answered.
   *
   * @param showsCut whether a cut shows in the body itself, as with JSON
   * @throws {BodyError} when it cannot be taken, breaks off, is too slow, or the job stops
   */
  async read(c: Context, showsCut: boolean): Promise<Body> {
    const declared = this.#declared(c, showsCut);
    const share = this.budget.open();
    try {
      const { length, isGzip } = declared;
      const atOnce = !isGzip && length !== null && length <= AT_ONCE_BYTES;
      const bytes = atOnce
        ? await this.#readAtOnce(c, length, share)
        : await this.#readStream(c, declared, share);
      return { bytes, share };
    } catch (error) {
      share.release();
      if (error instanceof BodyError) throw error;
      if (error instanceof GzipError) throw new BodyError(400, "gzip", error.message);
      cutIfChunked(c);
      throw new BodyError(400, "body", `The body cannot be read: ${(error as Error).message}`);
    }
  }

  /** Counts an error that a request ended in, if it was for a limit. */
  count(error: unknown): void {
    if (!(error instanceof BodyError)) return;
    const reason = LIMIT_REASONS.find((r) => r === error.reason);
    if (reason) this.refused[reason]++;
  }

  #declared({ req }: Context, showsCut: boolean): Declared {
    const isGzip = isGzipped(req.header("content-encoding"));
    const text = req.header("content-length");
    const length = text === undefined ? null : /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN;
    if (Number.isNaN(length)) {
      const message = `Content-Length must be a number of bytes, not ${JSON.stringify(text)}`;
      throw new BodyError(400, "content_length", message);
    }
    if (length !== null && length > this.options.limits.bodyBytesMax) throw this.#tooLarge();
    // Over HTTP/2 a body that was cut by a reset looks like one that has ended.
    const isChunked = length === null && checkChunked(req.header("transfer-encoding"));
    const isEndKnown = length !== null || isChunked || isGzip;
    if (!isEndKnown && !showsCut) {
      const message = "A body of lines needs Content-Length (or Transfer-Encoding: chunked, or " +
        "Content-Encoding: gzip), so that one that is cut does not look whole";
      throw new BodyError(411, "length_required", message);
    }
    return { length, isGzip };
  }

  async #readAtOnce(
    { req }: Context,
    length: number,
    share: Share,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const read = Promise.withResolvers<ArrayBuffer>();
    const transfer = new Transfer((why) => read.reject(this.#ended(why)));
    this.transfers.add(transfer);
    try {
      req.raw.arrayBuffer().then(read.resolve, read.reject);
      const bytes = new Uint8Array(await read.promise);
      this.#take(share, bytes.length);
      checkLength(bytes.length, length);
      return bytes;
    } finally {
      this.transfers.delete(transfer);
    }
  }

  async #readStream(
    { req }: Context,
    { length, isGzip }: Declared,
    share: Share,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const collector = new ByteCollector();
    const slices = this.turns.begin();
    const collect = (bytes: Uint8Array) => {
      if (collector.length + bytes.length > this.options.limits.bodyBytesMax) {
        throw this.#tooLarge();
      }
      this.#take(share, bytes.length);
      collector.add(bytes);
    };
    const gunzip = isGzip ? new Gunzip(collect, slices) : null;
    const reader = new PieceReader(req.raw.body ?? new Blob().stream());
    let ended: BodyError | null = null;
    const transfer = new Transfer((why) => {
      ended ??= this.#ended(why);
      // Then the read that waits has nothing more to wait for.
      reader.cancel();
    });
    this.transfers.add(transfer);
    try {
      while (true) {
        const value = await reader.read();
        if (ended !== null) throw ended;
        if (value === null) break;
        transfer.bytes += value.length;
        if (transfer.bytes > this.options.limits.bodyBytesMax) throw this.#tooLarge();
        if (gunzip) await gunzip.write(value);
        else collect(value);
        // What has come already is read without a wait, be it a million pieces.
        if (slices.isDue(PIECE_UNITS + value.length)) await slices.next();
      }
      if (length !== null) checkLength(transfer.bytes, length);
      await gunzip?.end();
      return collector.take();
    } catch (error) {
      reader.cancel();
      await gunzip?.abort();
      collector.free();
      throw error;
    } finally {
      this.transfers.delete(transfer);
    }
  }

  #take(share: Share, bytes: number): void {
    if (share.add(bytes)) return;
    throw busy(this.budget);
  }

  #tooLarge(): BodyError {
    const max = this.options.limits.bodyBytesMax;
    return new BodyError(413, "body_too_large", `A body has at most ${max} bytes`);
  }

  #ended(why: "slow" | "stopping"): BodyError {
    if (why === "stopping") return new BodyError(503, "stopping", STOPPING);
    const message =
      `The body came at less than ${this.options.limits.bodyRateMin} bytes a second ` +
      `over ${RATE_SECONDS} s (http.body.rate.min): nothing of it was executed`;
    return new BodyError(408, "too_slow", message);
  }
}

/**
 * Cuts the connection of a chunked body that broke off: once it is answered, Deno goes through all chunks that have
 * come, in one go of some 20 microseconds each, and nobody else is served meanwhile.
 */
function cutIfChunked({ req, env }: Context): void {
  if (req.header("transfer-encoding") === undefined) return;
  (env as Partial<Cuttable> | undefined)?.cut?.();
}

/** The error of a request for which the budget has no room. */
export function busy(budget: ByteBudget): BodyError {
  const message = `Bodies and answers of ${budget.usedBytes} bytes are under way already, of ` +
    `${budget.bytesMax} (http.bodies.bytes.max)`;
  return new BodyError(503, "busy", message);
}

/** @throws {BodyError} when less (or more) came than was declared: it was cut */
function checkLength(bytes: number, declared: number): void {
  if (bytes === declared) return;
  throw new BodyError(
    400,
    "body",
    `The body has ${bytes} bytes, not ${declared} as Content-Length says`,
  );
}

/**
 * Whether a body comes in chunks.
 *
 * @throws {BodyError} for a transfer coding beside it, which nobody here undoes: its bytes are not what they seem
 */
function checkChunked(coding: string | undefined): boolean {
  if (coding === undefined) return false;
  if (coding.trim().toLowerCase() === "chunked") return true;
  throw new BodyError(
    501,
    "transfer_encoding",
    `Transfer-Encoding must be chunked or absent, not ${JSON.stringify(shorten(coding))}`,
  );
}

/** @throws {BodyError} for codings that are not read */
function isGzipped(coding: string | undefined): boolean {
  const name = coding?.trim().toLowerCase() ?? "";
  if (name === "" || name === "identity") return false;
  if (name === "gzip" || name === "x-gzip") return true;
  throw new BodyError(
    415,
    "content_encoding",
    `Content-Encoding must be gzip or absent, not ${JSON.stringify(shorten(name))}`,
  );
}
