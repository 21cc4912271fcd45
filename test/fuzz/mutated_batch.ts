// Record batches with lies in them: a batch is written field by field, and a mutation makes one of its
// fields say something else. The CRC is mostly right afterwards, so that the parser is reached.

import { BATCH_HEADER_BYTES, crc32c } from "../../src/types/mod.ts";
import type { FastRandom } from "../../tools/kit/random.ts";

/** What a mutation changes. */
export const MUTATIONS = [
  "record length",
  "record attributes",
  "timestamp delta",
  "offset delta",
  "key length",
  "value length",
  "header count",
  "header key length",
  "header value length",
  "overlong varint",
  "value bytes",
  "value token",
  "batch length",
  "magic",
  "attributes",
  "codec",
  "last offset delta",
  "base timestamp",
  "largest timestamp",
  "producer",
  "record count",
  "base offset",
  "bits",
  "cut",
  "insert",
  "copy",
  "noise",
] as const;
export type Mutation = typeof MUTATIONS[number];

const NUMBERS: readonly bigint[] = [
  -1n,
  0n,
  1n,
  -2n,
  2n,
  5n,
  6n,
  63n,
  64n,
  -64n,
  -65n,
  127n,
  128n,
  8191n,
  8192n,
  16383n,
  16384n,
  2n ** 20n,
  2n ** 31n - 1n,
  2n ** 31n,
  -(2n ** 31n),
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 32n + 1n,
  -(2n ** 32n),
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  -(2n ** 63n),
];

const TOKENS = [
  "\t",
  "-",
  "0",
  "9".repeat(17),
  "9".repeat(40),
  "18446744073709551616",
  "{",
  "}",
  "[",
  "[".repeat(600),
  '"',
  "\\",
  '\\u0000"',
  "\\ud800",
  "\\udc00",
  ",",
  ":",
  "null",
  "1e9",
  "\u007f",
  "\ud83d\ude00",
  "a".repeat(260),
  "\\u0061".repeat(250),
  '"ts":1,',
  "\r\n",
  " ",
].map((token) => new TextEncoder().encode(token));

const KEY = new TextEncoder().encode("item_1");
const BASE_MS = 1_700_000_000_000n;
const BUFFER_BYTES = 1 << 22;
/** Room for what a mutation appends. */
const VALUE_BYTES_MAX = 60_000;

const BUFFER = new Uint8Array(BUFFER_BYTES);
const VALUE = new Uint8Array(VALUE_BYTES_MAX + 4096);

/** A batch, and what was changed in it. */
export interface MutatedBatch {
  /** A view that the next batch overwrites. */
  readonly bytes: Uint8Array;
  readonly mutations: readonly Mutation[];
  readonly crcRight: boolean;
}

/** How many records, and where the batch stands. */
export interface BatchPlan {
  readonly records: number;
  readonly baseOffset: bigint;
  readonly mutations: number;
  /** Whether its CRC is put right in the end. */
  readonly crcRight: boolean;
}

/** Writes mutated batches whose values come from a pool, all decided by one generator. */
export class BatchMutator {
  readonly #bytes = BUFFER;
  readonly #view = new DataView(BUFFER.buffer);
  readonly #value = VALUE;
  #at = 0;
  /** Mutations of the batch being written, and the record that each of them is for. */
  #lies: { kind: Mutation; record: number }[] = [];

  constructor(
    readonly random: FastRandom,
    readonly values: readonly (Uint8Array | null)[],
  ) {}

  next({ records, baseOffset, mutations, crcRight }: BatchPlan): MutatedBatch {
    const { random } = this;
    this.#lies = Array.from({ length: mutations }, () => ({
      kind: random.pick(MUTATIONS),
      record: random.below(records),
    }));
    this.#at = BATCH_HEADER_BYTES;
    let delta = 0;
    for (let i = 0; i < records; i++) {
      this.#record(i, delta);
      // Compaction leaves gaps.
      delta += random.oneIn(16) ? 1 + random.below(5) : 1;
    }
    this.#header(records, delta - 1, baseOffset);
    for (const { kind } of this.#lies) this.#mutateBytes(kind);
    if (crcRight && this.#at > 21) {
      this.#view.setUint32(17, crc32c(this.#bytes.subarray(0, this.#at), 21));
    }
    return {
      bytes: this.#bytes.subarray(0, this.#at),
      mutations: this.#lies.map((lie) => lie.kind),
      crcRight,
    };
  }

  #lied(kind: Mutation, record: number): boolean {
    return this.#lies.length > 0 &&
      this.#lies.some((lie) => lie.kind === kind && lie.record === record);
  }

  /** A number at a limit, near the truth, or any. */
  #lie(truth: bigint): bigint {
    const { random } = this;
    const kind = random.below(4);
    if (kind === 0) return truth + BigInt(random.below(5) - 2);
    if (kind === 1) return (BigInt(random.bits()) << 32n | BigInt(random.bits())) - 2n ** 63n;
    if (kind === 2) return BigInt(this.#at) + BigInt(random.below(9) - 4);
    return random.pick(NUMBERS);
  }

  // ---- records ----

  #record(i: number, delta: number): void {
    const { random } = this;
    // The length stands in front of what it counts: the body is written behind the longest varint.
    const start = this.#at;
    const body = start + 10;
    this.#at = body;
    const overlong = this.#lied("overlong varint", i) ? random.below(5) : -1;
    this.#bytes[this.#at++] = this.#lied("record attributes", i) ? random.below(256) : 0;
    this.#field("timestamp delta", i, BigInt(random.below(200_000) - 50_000), overlong === 0);
    this.#field("offset delta", i, BigInt(delta), overlong === 1);
    const key = random.oneIn(4) ? KEY : null;
    this.#field("key length", i, key ? BigInt(key.length) : -1n, overlong === 2);
    if (key) this.#put(key);
    const value = this.#valueOf(i);
    this.#field("value length", i, value ? BigInt(value.length) : -1n, overlong === 3);
    if (value) this.#put(value);
    this.#headers(i);
    const length = this.#at - body;
    const written = this.#lied("record length", i) ? this.#lie(BigInt(length)) : BigInt(length);
    this.#at = start;
    this.#varint(written, overlong === 4);
    this.#bytes.copyWithin(this.#at, body, body + length);
    this.#at += length;
  }

  #headers(i: number): void {
    const { random } = this;
    const lying = (["header count", "header key length", "header value length"] as const)
      .some((kind) => this.#lied(kind, i));
    const count = lying || random.oneIn(16) ? random.below(3) : 0;
    this.#field("header count", i, BigInt(count), false);
    for (let h = 0; h < count; h++) {
      this.#field("header key length", i, BigInt(KEY.length), false);
      this.#put(KEY);
      const value = random.oneIn(2) ? KEY : null;
      this.#field("header value length", i, value ? BigInt(value.length) : -1n, false);
      if (value) this.#put(value);
    }
  }

  #valueOf(i: number): Uint8Array | null {
    const { random } = this;
    const value = random.pick(this.values);
    const bytes = this.#lied("value bytes", i);
    const token = this.#lied("value token", i);
    if (value === null || !(bytes || token)) return value;
    this.#value.set(value);
    let length = value.length;
    if (bytes) {
      for (let n = 1 + random.below(4); n > 0; n--) {
        this.#value[random.below(length + 1)] = random.below(256);
      }
    }
    for (let n = token ? 1 + random.below(3) : 0; n > 0; n--) {
      const part = random.pick(TOKENS);
      const at = random.below(length + 1);
      if (length + part.length > VALUE_BYTES_MAX) break;
      this.#value.copyWithin(at + part.length, at, length);
      this.#value.set(part, at);
      length += part.length;
    }
    if (token && random.oneIn(64)) {
      const end = Math.min(VALUE_BYTES_MAX, length + random.below(VALUE_BYTES_MAX));
      this.#value.fill(0x30 + random.below(12), length, end);
      length = end;
    }
    return this.#value.subarray(0, length);
  }

  #field(kind: Mutation, record: number, truth: bigint, overlong: boolean): void {
    this.#varint(this.#lied(kind, record) ? this.#lie(truth) : truth, overlong);
  }

  #put(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A zigzag varint; an overlong one has needless groups of zeros, up to more than are allowed. */
  #varint(n: bigint, overlong: boolean): void {
    if (n >= -(2n ** 30n) && n < 2n ** 30n) {
      let z = Number(n);
      z = (z << 1) ^ (z >> 31);
      for (; z >= 128; z >>>= 7) this.#bytes[this.#at++] = (z & 127) | 128;
      this.#bytes[this.#at++] = z;
    } else {
      let z = BigInt.asUintN(64, n >= 0n ? 2n * n : -2n * n - 1n);
      for (; z >= 128n; z >>= 7n) this.#bytes[this.#at++] = Number(z & 127n) | 128;
      this.#bytes[this.#at++] = Number(z);
    }
    if (!overlong) return;
    this.#bytes[this.#at - 1]! |= 128;
    for (let k = this.random.below(12); k > 0; k--) this.#bytes[this.#at++] = 128;
    this.#bytes[this.#at++] = this.random.oneIn(2) ? 0 : this.random.below(128);
  }

  // ---- the header ----

  #header(records: number, lastDelta: number, baseOffset: bigint): void {
    const { random } = this;
    const v = this.#view;
    const has = (kind: Mutation) => this.#lies.some((lie) => lie.kind === kind);
    const i64 = (n: bigint) => BigInt.asIntN(64, n);
    const i32 = (n: bigint) => Number(BigInt.asIntN(32, n));
    const lieOr = (kind: Mutation, truth: bigint) => has(kind) ? this.#lie(truth) : truth;
    v.setBigInt64(0, i64(lieOr("base offset", baseOffset)));
    v.setInt32(8, i32(lieOr("batch length", BigInt(this.#at - 12))));
    v.setInt32(12, -1);
    v.setUint8(16, has("magic") ? random.below(256) : 2);
    v.setUint32(17, random.bits());
    let attributes = random.oneIn(8) ? random.pick([0x08, 0x10, 0x18, 0x40]) : 0;
    if (has("attributes")) attributes = random.below(65_536);
    if (has("codec")) attributes |= random.below(8);
    v.setUint16(21, attributes);
    v.setInt32(23, i32(lieOr("last offset delta", BigInt(lastDelta))));
    v.setBigInt64(27, i64(lieOr("base timestamp", BASE_MS)));
    v.setBigInt64(35, i64(lieOr("largest timestamp", BASE_MS + 1000n)));
    const producer = has("producer");
    v.setBigInt64(43, producer ? i64(this.#lie(0n)) : -1n);
    v.setUint16(51, producer ? random.below(65_536) : 0xffff);
    v.setInt32(53, producer ? random.bits() | 0 : -1);
    v.setInt32(57, i32(lieOr("record count", BigInt(records))));
  }

  // ---- bytes ----

  #mutateBytes(kind: Mutation): void {
    const { random } = this;
    const length = this.#at;
    const at = random.below(length + 1);
    if (kind === "bits") {
      for (let n = 1 + random.below(4); n > 0 && length > 0; n--) {
        this.#bytes[random.below(length)]! ^= 1 << random.below(8);
      }
    } else if (kind === "cut") {
      this.#resize(at);
    } else if (kind === "insert") {
      const n = 1 + random.below(40);
      this.#bytes.copyWithin(at + n, at, length);
      for (let i = 0; i < n; i++) this.#bytes[at + i] = random.below(256);
      this.#resize(length + n);
    } else if (kind === "copy") {
      const n = random.below(200);
      this.#bytes.copyWithin(at, random.below(length + 1), length);
      this.#resize(Math.min(length, at + n));
    } else if (kind === "noise") {
      const n = random.oneIn(2) ? random.below(200) : length;
      // Mostly behind a header that is right.
      const from = random.oneIn(4) ? 0 : Math.min(n, BATCH_HEADER_BYTES);
      for (let i = from; i < n; i++) this.#bytes[i] = random.below(256);
      this.#resize(n);
    }
  }

  /** Sets the length of the batch; mostly its length field follows. */
  #resize(length: number): void {
    this.#at = length;
    if (length >= 12 && !this.random.oneIn(8)) this.#view.setInt32(8, length - 12);
  }
}
