import { getLogger } from "@logtape/logtape";
import { StopError } from "../../log/mod.ts";
import { InvalidRecordError, reasonName, shorten, showUtf8 } from "../../types/mod.ts";
import type { Connection, Dial } from "./tcp.ts";
import { type Line, LineSplitter } from "./line_splitter.ts";
import type { FeedTarget } from "../streams.ts";

const log = getLogger(["stockflow", "socket"]);

/** Longest line in bytes, as over HTTP; a valid query has at most 270. */
export const LINE_BYTES_MAX = 16_384;
const READ_BYTES = 64 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const BACK_OFF_FIRST_MS = 200;
const BACK_OFF_MAX_MS = 10_000;

export interface LineReaderOptions<T> {
  /** For messages. */
  readonly address: string;
  readonly dial: Dial;
  readonly target: FeedTarget<T>;
}

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** The first line of a connection without the byte order mark that it may begin with. */
function withoutMark(line: Line): Line {
  if (line === "too long" || !BYTE_ORDER_MARK.every((byte, i) => line[i] === byte)) return line;
  return line.subarray(BYTE_ORDER_MARK.length);
}

/** Reads lines from a socket that it connects to, again and again, and brings them into a topic. */
export class LineReader<T> {
  /** Attempts in a row that brought nothing. */
  #vain = 0;

  constructor(readonly options: LineReaderOptions<T>) {}

  /**
   * Runs until the signal is aborted; no error of the other side ends it.
   *
   * @throws {StopError} when the log takes no records from the job
   */
  async run(stop: AbortSignal): Promise<void> {
    const { address } = this.options;
    while (!stop.aborted) {
      let connection: Connection;
      try {
        connection = await this.#connect(stop);
      } catch (error) {
        if (stop.aborted) return;
        const reason = (error as Error).message;
        log.warn("Cannot connect to {address}: {reason}; trying again", { address, reason });
        await this.#backOff(stop);
        continue;
      }
      log.info("Connected to {address}", { address });
      const reason = await this.#serve(connection, stop);
      if (stop.aborted) return;
      log.warn("The connection to {address} was lost: {reason}; connecting again", {
        address,
        reason,
      });
      await this.#backOff(stop);
    }
  }

  async #connect(stop: AbortSignal): Promise<Connection> {
    const { dial, target: { clock } } = this.options;
    const over = new AbortController();
    const timeout = new AbortController();
    void clock.sleep(CONNECT_TIMEOUT_MS, over.signal).then(() => timeout.abort());
    try {
      return await dial(AbortSignal.any([stop, timeout.signal]));
    } catch (error) {
      if (!timeout.signal.aborted) throw error;
      throw new Error(`no answer within ${CONNECT_TIMEOUT_MS} ms`, { cause: error });
    } finally {
      over.abort();
    }
  }

  /** Waits exponentially longer while nothing comes, by chance half as long or half as long again. */
  async #backOff(stop: AbortSignal): Promise<void> {
    const { clock, chance } = this.options.target;
    const wait = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** this.#vain++);
    await clock.sleep(wait * (0.5 + chance()), stop);
  }

  /** Takes what a connection brings until its end; answers why it ended. */
  async #serve(connection: Connection, stop: AbortSignal): Promise<string> {
    let open = true;
    const close = () => {
      if (open) connection.close();
      open = false;
    };
    stop.addEventListener("abort", close);
    const splitter = new LineSplitter(LINE_BYTES_MAX);
    const buffer = new Uint8Array(READ_BYTES);
    let reason = "the other side closed it";
    let isFirst = true;
    try {
      while (!stop.aborted) {
        const bytes = await connection.read(buffer);
        if (bytes === null) break;
        this.#vain = 0;
        const lines = splitter.push(buffer.subarray(0, bytes));
        if (isFirst && lines.length > 0) {
          lines[0] = withoutMark(lines[0]!);
          isFirst = false;
        }
        const records = this.#parse(lines);
        const { address, target } = this.options;
        // Nothing more is read before they are in the log.
        if (records.length > 0) await target.append(records, address, stop);
      }
    } catch (error) {
      if (error instanceof StopError) throw error; // what was read would be lost, and what comes too
      reason = (error as Error).message;
    } finally {
      stop.removeEventListener("abort", close);
      close();
    }
    const rest = splitter.end();
    // A line that was cut could name another item.
    if (rest && !stop.aborted) this.#logBad("cut", `no newline behind ${show(rest)}`);
    return reason;
  }

  #parse(lines: readonly (Uint8Array | "too long")[]): T[] {
    const records: T[] = [];
    for (const line of lines) {
      if (line === "too long") {
        this.#logBad("too_long", `it has more than ${LINE_BYTES_MAX} bytes`);
        continue;
      }
      try {
        records.push(this.options.target.parseLine(line));
      } catch (error) {
        if (!(error instanceof InvalidRecordError)) throw error;
        const { message } = error;
        const shown = show(line);
        this.#logBad(
          reasonName(error.reason),
          message.includes(shown) ? message : `${message} in ${shown}`,
        );
      }
    }
    return records;
  }

  #logBad(reason: string, detail: string): void {
    const { address, target: { what } } = this.options;
    log.warn("A line of {address} is not a {what} ({reason}): {detail}", {
      address,
      what,
      reason,
      detail,
    });
  }
}

function show(line: Uint8Array): string {
  return JSON.stringify(shorten(showUtf8(line)));
}
