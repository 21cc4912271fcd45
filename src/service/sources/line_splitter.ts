const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/** A line without its end (LF or CRLF), or that a line is too long: said once, at the limit. */
export type Line = Uint8Array | "too long";

/** Splits a stream of bytes into lines. Keeps at most one line of the longest allowed length. */
export class LineSplitter {
  /** The line that has not ended yet, with room for a carriage return. */
  readonly #line: Uint8Array<ArrayBuffer>;
  #length = 0;
  /** The line was too long: all up to its newline is passed over. */
  #discarding = false;

  constructor(readonly maxBytes: number) {
    this.#line = new Uint8Array(maxBytes + 1);
  }

  /** Takes the next bytes; answers the lines that end in them, as copies. */
  push(bytes: Uint8Array): Line[] {
    const lines: Line[] = [];
    for (let from = 0; from < bytes.length;) {
      const newline = bytes.indexOf(NEWLINE, from);
      const to = newline < 0 ? bytes.length : newline;
      if (!this.#discarding && !this.#keep(bytes.subarray(from, to), newline >= 0)) {
        lines.push("too long");
        this.#discarding = true;
      }
      if (newline < 0) break;
      if (!this.#discarding) lines.push(this.#line.slice(0, this.#length));
      this.#length = 0;
      this.#discarding = false;
      from = newline + 1;
    }
    return lines;
  }

  /** Adds to the line; false when it is longer than allowed. */
  #keep(bytes: Uint8Array, ends: boolean): boolean {
    if (this.#length + bytes.length > this.#line.length) return false;
    this.#line.set(bytes, this.#length);
    this.#length += bytes.length;
    const last = this.#length - 1;
    if (this.#line[last] === CARRIAGE_RETURN && last >= 0) {
      // Without its newline it may be part of the line, or the first half of its end.
      if (ends) this.#length = last;
      return last <= this.maxBytes;
    }
    return this.#length <= this.maxBytes;
  }

  /** Ends the stream: the line that was not finished, null if there is none. */
  end(): Uint8Array | null {
    const rest = this.#length > 0 && !this.#discarding ? this.#line.slice(0, this.#length) : null;
    this.#length = 0;
    this.#discarding = false;
    return rest;
  }
}
