/** Below this a body or an answer is small. */
export const SMALL_BYTES = 65_536;
/** Of the budget, what is kept for small ones: large ones cannot take it. */
const RESERVED_SHARE = 1 / 8;

/**
 * Bytes of bodies and answers that the process holds, over all requests. Large ones leave a share for small ones,
 * and one of them always fits, however small the budget is, so that none is refused for ever.
 */
export class ByteBudget {
  readonly #bytes = { small: 0, large: 0 };

  constructor(readonly bytesMax: number) {}

  get usedBytes(): number {
    return this.#bytes.small + this.#bytes.large;
  }

  /** A share of it, with nothing in it. */
  open(): Share {
    return new Share((from, to) => this.#resize(from, to));
  }

  /** Makes a share larger or smaller; false if there is no room. */
  #resize(from: Held, to: Held): boolean {
    const used = this.usedBytes - from.bytes + to.bytes;
    const reserved = this.bytesMax * RESERVED_SHARE;
    const others = this.#bytes[to.size] - (from.size === to.size ? from.bytes : 0);
    const fits = to.size === "large"
      ? used <= this.bytesMax - reserved || others === 0
      : used <= this.bytesMax || others + to.bytes <= reserved;
    if (to.bytes > from.bytes && !fits) return false;
    this.#bytes[from.size] -= from.bytes;
    this.#bytes[to.size] += to.bytes;
    return true;
  }
}

interface Held {
  readonly size: "small" | "large";
  readonly bytes: number;
}

const NOTHING: Held = { size: "small", bytes: 0 };

/** What one request holds of the budget. */
export class Share {
  #held = NOTHING;
  /** Of the body, or of the text of an answer: whether the share is small. */
  #content = 0;
  #isReleased = false;

  constructor(readonly resize: (from: Held, to: Held) => boolean) {}

  /** Takes more for a body or an answer; false, and nothing is taken, if there is no room. */
  add(bytes: number): boolean {
    return this.#add(bytes, this.#content + bytes);
  }

  /** Takes more for what is made of it; that does not make a small share large. */
  addOverhead(bytes: number): boolean {
    return this.#add(bytes, this.#content);
  }

  #add(bytes: number, content: number): boolean {
    const size = content < SMALL_BYTES ? "small" : "large";
    const to: Held = { size, bytes: this.#held.bytes + bytes };
    if (this.#isReleased || !this.resize(this.#held, to)) return false;
    this.#held = to;
    this.#content = content;
    return true;
  }

  /** Gives all of it back; once more does nothing. */
  release(): void {
    this.resize(this.#held, NOTHING);
    this.#held = NOTHING;
    this.#isReleased = true;
  }
}
