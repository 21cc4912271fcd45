// Primitive types of Kafka's protocol (https://kafka.apache.org/protocol#protocol_types). Lengths of
// compact strings and arrays are unsigned varints of n + 1; tagged fields are read over.

import { Buffer } from "node:buffer";
import { decodeUtf8, encodeUtf8 } from "../../types/mod.ts";
import type { EncodedRequest } from "../client/internals.ts";

const HIGH = 2 ** 32;

/** Appends fields to bytes that grow. */
export class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#at + bytes));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  int8(n: number): this {
    this.#reserve(1);
    this.#view.setInt8(this.#at++, n);
    return this;
  }

  int16(n: number): this {
    this.#reserve(2);
    this.#view.setInt16(this.#at, n);
    this.#at += 2;
    return this;
  }

  int32(n: number): this {
    this.#reserve(4);
    this.#view.setInt32(this.#at, n);
    this.#at += 4;
    return this;
  }

  int64(n: number | bigint): this {
    this.#reserve(8);
    this.#view.setBigInt64(this.#at, BigInt(n));
    this.#at += 8;
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  string(text: string): this {
    const bytes = encodeUtf8(text);
    return this.int16(bytes.length).bytes(bytes);
  }

  varint(n: number): this {
    for (; n > 127; n >>>= 7) this.int8((n & 127) | 128);
    return this.int8(n);
  }

  compactString(text: string | null): this {
    if (text === null) return this.varint(0);
    const bytes = encodeUtf8(text);
    return this.varint(bytes.length + 1).bytes(bytes);
  }

  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.int32(items.length);
    items.forEach(write);
    return this;
  }

  compactArray<T>(items: readonly T[], write: (item: T) => void): this {
    this.varint(items.length + 1);
    items.forEach(write);
    return this;
  }

  noTags(): this {
    return this.varint(0);
  }

  /** What was written, as kafkajs takes a request's body. */
  encoded(): EncodedRequest {
    const buffer = Buffer.from(this.#bytes.buffer, 0, this.#at);
    return { buf: buffer, buffer, size: () => buffer.length };
  }
}

/** Reads fields one after the other; what it gives of bytes are views. */
export class Reader {
  readonly #view: DataView;
  #at = 0;

  constructor(readonly payload: Uint8Array) {
    this.#view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  }

  int8(): number {
    return this.#view.getInt8(this.#at++);
  }

  int16(): number {
    this.#at += 2;
    return this.#view.getInt16(this.#at - 2);
  }

  int32(): number {
    this.#at += 4;
    return this.#view.getInt32(this.#at - 4);
  }

  /** An int64 that is an offset or a time: exact up to 2^53. */
  long(): number {
    this.#at += 8;
    return this.#view.getInt32(this.#at - 8) * HIGH + this.#view.getUint32(this.#at - 4);
  }

  int64(): bigint {
    this.#at += 8;
    return this.#view.getBigInt64(this.#at - 8);
  }

  bytes(length: number): Uint8Array {
    if (length < 0 || length > this.payload.length - this.#at) {
      throw new RangeError(`An answer of Kafka is cut: ${length} bytes at ${this.#at}`);
    }
    this.#at += length;
    return this.payload.subarray(this.#at - length, this.#at);
  }

  #text(length: number): string {
    const text = decodeUtf8(this.bytes(length));
    if (text === null) throw new RangeError("A string of Kafka is not UTF-8");
    return text;
  }

  string(): string {
    return this.#text(this.int16());
  }

  nullableString(): string | null {
    const length = this.int16();
    return length < 0 ? null : this.#text(length);
  }

  varint(): number {
    let n = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.int8();
      n |= (byte & 127) << shift;
      if (byte >= 0) return n;
    }
  }

  compactString(): string | null {
    const length = this.varint() - 1;
    return length < 0 ? null : this.#text(length);
  }

  array<T>(read: () => T): T[] {
    return this.#items(this.int32(), read);
  }

  compactArray<T>(read: () => T): T[] {
    return this.#items(this.varint() - 1, read);
  }

  #items<T>(count: number, read: () => T): T[] {
    const items: T[] = [];
    for (let i = 0; i < count; i++) items.push(read());
    return items;
  }

  /** Reads over tagged fields. */
  tags(): void {
    for (let count = this.varint(); count > 0; count--) {
      this.varint();
      this.bytes(this.varint());
    }
  }
}
