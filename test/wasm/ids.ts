// Ids of every kind, and where a core whose secret is known here puts them: tests that need items of one line find their
// ids by that.

import { encodeUtf8 } from "../../src/types/mod.ts";
import { bytesHash, inlineCode, inlineHash, numberedHash } from "../../tools/kit/floods.ts";

/** The chance of a core whose secret is known here. */
export const KNOWN = () => 0.5;
const KNOWN_SECRET = 0x8000_0000_8000_0000n;

// ---- places, as wasm/secret.ts computes them from that secret ----

const u64 = (x: bigint) => BigInt.asUintN(64, x);

function finish(x: bigint): bigint {
  x = u64((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = u64((x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}

let stream = KNOWN_SECRET;

function nextKey(): bigint {
  stream = u64(stream + 0x9e3779b97f4a7c15n);
  return finish(finish(stream) ^ KNOWN_SECRET);
}

const WORD_KEY = nextKey();
const [FIRST, SECOND, THIRD] = [nextKey() | 1n, nextKey() | 1n, nextKey() | 1n];
const BYTE_KEYS = Array.from({ length: 65 }, nextKey);

function placeOfWord(word: bigint): bigint {
  let h = u64((word ^ WORD_KEY) * FIRST);
  h ^= h >> 32n;
  h = u64(h * SECOND);
  h ^= h >> 29n;
  return u64(h * THIRD) >> 32n;
}

function placeOfBytes(id: string): bigint {
  const bytes = encodeUtf8(id), padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8);
  padded.set(bytes);
  const words = new DataView(padded.buffer);
  let sum = BigInt(bytes.length) * BYTE_KEYS[0]!;
  for (let at = 0; at < padded.length; at += 4) {
    sum = u64(sum + BigInt(words.getUint32(at, true)) * BYTE_KEYS[1 + at / 4]!);
  }
  return placeOfWord(sum);
}

/** The home line of a place, among so many lines. */
export function homeLine(place: bigint, lines: number): number {
  return Number(place * BigInt(lines) >> 32n);
}

// ---- kinds ----

/** Ids that the core keeps in one way (wasm/keys.ts). */
export interface IdKind {
  idOf(i: number): string;
  segmentOf(id: string): number;
  /** 32 bits. */
  placeOf(id: string): bigint;
}

const PREFIX = "item_";

/** With a prefix that is the first one in the core's dictionary. */
export const NUMBERED: IdKind = {
  idOf: (i) => `${PREFIX}${i}`,
  segmentOf: (id) => Number(numberedHash(PREFIX, numberOf(id)) >> 56n),
  placeOf: (id) => placeOfWord((1n << 62n) | (1n << 50n) | numberOf(id)),
};

function numberOf(id: string): bigint {
  return BigInt(id.slice(PREFIX.length));
}

export const INLINE: IdKind = {
  idOf: (i) => i.toString(36).padStart(6, "0") + "z",
  segmentOf: (id) => Number(inlineHash(id) >> 56n),
  placeOf: (id) => placeOfWord(inlineCode(id)),
};

/** Stored as they are. */
export const TEXT: IdKind = {
  idOf: (i) => `a-longer-name-of-${i}-units`,
  segmentOf: (id) => Number(bytesHash(id) >> 56n),
  placeOf: placeOfBytes,
};

/** Stored as 16 bytes. */
export const UUIDS: IdKind = {
  ...TEXT,
  idOf: (i) => `018f4c2e-91d3-7a10-8000-${i.toString(16).padStart(12, "0")}`,
};

/** The first n ids of a kind in a segment whose places fit. */
export function idsIn(
  kind: IdKind,
  segment: number,
  n: number,
  fits: (place: bigint) => boolean = () => true,
): string[] {
  const ids: string[] = [];
  for (let i = 0; ids.length < n; i++) {
    const id = kind.idOf(i);
    if (kind.segmentOf(id) === segment && fits(kind.placeOf(id))) ids.push(id);
  }
  return ids;
}

/** An id of each kind in turn: numbered, with a prefix of its own, short, text, a UUID. */
export function idOf(n: number): string {
  const kinds = [
    NUMBERED.idOf(n),
    `p${n}_${n}`,
    n.toString(36).padStart(5, "x") + "z",
    `shelf ${n} of the house`,
    UUIDS.idOf(n),
  ];
  return kinds[n % kinds.length]!;
}
