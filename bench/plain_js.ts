// The work of the core in plain JavaScript, as one would write it with care: bytes are read in place, a
// Map holds the items, no object is made per record. What bench/core_loop.ts compares the core with.

import { crc32c } from "../src/types/mod.ts";

const HEADER = 61;
const TAB = 9;
const MINUS = 45;
const ZERO = 48;
const WINDOW_MS = 60_000;

interface Item {
  stock: number;
  window: number;
  succeeded: number;
  failed: number;
  volume: number;
}

/** Folds batches of text transactions and writes results, like the core. */
export class PlainFold {
  readonly items = new Map<string, Item>();
  readonly closed: Item[] = [];
  readonly out = new Uint8Array(4 << 20);
  readonly #view = new DataView(this.out.buffer);
  invalid = 0;
  // Registers of the readers.
  #at = 0;
  #bytes: Uint8Array = new Uint8Array();
  #int = 0;

  preload(items: number): void {
    for (let n = 0; n < items; n++) {
      this.items.set(`item_${n}`, { stock: 1000, window: -1, succeeded: 0, failed: 0, volume: 0 });
    }
  }

  #varint(): number {
    const bytes = this.#bytes;
    let z = 0;
    let shift = 0;
    while (true) {
      const byte = bytes[this.#at++]!;
      z |= (byte & 127) << shift;
      if (byte < 128) return (z >>> 1) ^ -(z & 1);
      shift += 7;
    }
  }

  /** Reads a canonical integer up to a delimiter or the end; sets #int. */
  #integer(end: number, digitsMax: number): boolean {
    const bytes = this.#bytes;
    const negative = bytes[this.#at] === MINUS;
    if (negative) this.#at++;
    const from = this.#at;
    let value = 0;
    while (this.#at < end) {
      const digit = bytes[this.#at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      this.#at++;
    }
    const digits = this.#at - from;
    this.#int = negative ? -value : value;
    return digits > 0 && digits <= digitsMax && !(bytes[from] === ZERO && (digits > 1 || negative));
  }

  #putVarint(o: number, n: number): number {
    const out = this.out;
    let z = ((n << 1) ^ (n >> 31)) >>> 0;
    while (z >= 128) {
      out[o++] = (z & 127) | 128;
      z >>>= 7;
    }
    out[o++] = z;
    return o;
  }

  /** Folds one batch; returns the length of the result batch in `out`. */
  fold(batch: Uint8Array): number {
    const header = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
    if (crc32c(batch, 21) !== header.getUint32(17)) throw new Error("CRC");
    this.#bytes = batch;
    this.#at = HEADER;
    let o = HEADER;
    let count = 0;
    for (let n = header.getInt32(57); n > 0; n--) {
      const length = this.#varint();
      const end = this.#at + length;
      this.#at++;
      const timestamp = this.#varint();
      this.#varint();
      const keyLength = this.#varint();
      if (keyLength > 0) this.#at += keyLength;
      const valueLength = this.#varint();
      const before = o;
      o = this.#record(this.#at, valueLength, timestamp, count, o);
      if (o > before) count++;
      this.#at = end;
    }
    const view = this.#view;
    this.out.set(batch.subarray(0, HEADER));
    view.setInt32(8, o - 12);
    view.setInt32(23, count - 1);
    view.setInt32(57, count);
    view.setUint32(17, crc32c(this.out, 21, o));
    return o;
  }

  #record(value: number, length: number, timestamp: number, count: number, o: number): number {
    const bytes = this.#bytes;
    const end = value + length;
    this.#at = value;
    // 63 bits do not fit into a double; the id is checked and passed on as bytes.
    if (!this.#integer(end, 19) || bytes[this.#at++] !== TAB) return this.#refuse(o);
    if (!this.#integer(end, 16) || bytes[this.#at++] !== TAB) return this.#refuse(o);
    const ts = this.#int;
    const itemFrom = this.#at;
    let key = "";
    let byte = bytes[this.#at]!;
    while (this.#at < end && byte !== TAB) {
      if (byte < 32 || byte >= 127) return this.#refuse(o);
      key += String.fromCharCode(byte);
      byte = bytes[++this.#at]!;
    }
    const itemTo = this.#at++;
    if (itemTo === itemFrom || itemTo - itemFrom > 249) return this.#refuse(o);
    if (!this.#integer(end, 10) || this.#at !== end) return this.#refuse(o);
    const quantity = this.#int;
    if (quantity > 2147483647 || quantity < -2147483648) return this.#refuse(o);
    const success = this.#apply(key, ts, quantity);
    return this.#result(o, { itemFrom, itemTo, value, end, timestamp, count, success });
  }

  #refuse(o: number): number {
    this.invalid++;
    return o;
  }

  #apply(key: string, ts: number, quantity: number): boolean {
    let item = this.items.get(key);
    if (!item) {
      item = { stock: 0, window: -1, succeeded: 0, failed: 0, volume: 0 };
      this.items.set(key, item);
    }
    const success = item.stock + quantity >= 0;
    if (success) item.stock += quantity;
    const window = Math.floor(ts / WINDOW_MS);
    if (item.window !== window) {
      if (item.window >= 0) this.closed.push({ ...item });
      item.window = window;
      item.succeeded = item.failed = item.volume = 0;
    }
    if (success) item.succeeded++;
    else item.failed++;
    item.volume += Math.abs(quantity);
    return success;
  }

  #result(
    o: number,
    r: {
      itemFrom: number;
      itemTo: number;
      value: number;
      end: number;
      timestamp: number;
      count: number;
      success: boolean;
    },
  ): number {
    const { out } = this;
    const bytes = this.#bytes;
    const keyLength = r.itemTo - r.itemFrom;
    const valueLength = r.end - r.value + (r.success ? 5 : 6);
    const lengthOf = (n: number) => n < 64 ? 1 : n < 8192 ? 2 : 3;
    o = this.#putVarint(
      o,
      2 + lengthOf(r.timestamp) + lengthOf(r.count) + lengthOf(keyLength) + keyLength +
        lengthOf(valueLength) + valueLength,
    );
    out[o++] = 0;
    o = this.#putVarint(o, r.timestamp);
    o = this.#putVarint(o, r.count);
    o = this.#putVarint(o, keyLength);
    for (let i = r.itemFrom; i < r.itemTo; i++) out[o++] = bytes[i]!;
    o = this.#putVarint(o, valueLength);
    for (let i = r.value; i < r.end; i++) out[o++] = bytes[i]!;
    out[o++] = TAB;
    if (r.success) {
      out[o++] = 116;
      out[o++] = 114;
      out[o++] = 117;
    } else {
      out[o++] = 102;
      out[o++] = 97;
      out[o++] = 108;
      out[o++] = 115;
    }
    out[o++] = 101;
    out[o++] = 0;
    return o;
  }
}
