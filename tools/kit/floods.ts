// Ids that meet: in one segment of the item table and, as places once followed from a hash that everybody
// can compute, in one line of it or with one hash of 64 bits. Whoever sends ids can compute the same.

import { encodeUtf8 } from "../../src/types/mod.ts";
import { Random } from "./random.ts";

const MASK = 2n ** 64n - 1n;
const C1 = 0x9e3779b97f4a7c15n;
const C2 = 0xd6e8feb86659fd93n;
const C1_INVERSE = inverse(C1);
const C2_INVERSE = inverse(C2);

/** Kinds of floods; "ordinary ..." is what each of them is compared with. */
export const FLOODS = {
  "numbered, one segment and line": numbered,
  "prefixes of one bucket": prefixes,
  "inline, one segment": (n: number) => some(n, inlineId, (id) => inlineHash(id) >> 56n === 7n),
  "stored, one hash": stored,
  "stored, one segment": (n: number) => some(n, (i) => `a-longer-name-of-${i}-units`, segmentIs(7)),
} as const;
export type Flood = keyof typeof FLOODS;

/** Ordinary ids of the same shape. */
export const ORDINARY: Record<Flood, (n: number) => string[]> = {
  "numbered, one segment and line": (n) => some(n, (i) => `item_${(i * 104_729 + 1e14)}`),
  "prefixes of one bucket": (n) => some(n, (i) => `p${(i % 4000).toString(36)}${"x"}_${i}`),
  "inline, one segment": (n) => some(n, inlineId),
  "stored, one hash": (n) => some(n, (i) => storedId(new Random(i))),
  "stored, one segment": (n) => some(n, (i) => `a-longer-name-of-${i}-units`),
};

function some(
  n: number,
  idOf: (i: number) => string,
  is: (id: string) => boolean = () => true,
): string[] {
  const ids: string[] = [];
  for (let i = 0; ids.length < n; i++) {
    const id = idOf(i);
    if (is(id)) ids.push(id);
  }
  return ids;
}

// ---- the known hash, as wasm/keys.ts has it ----

function inverse(x: bigint): bigint {
  let y = x;
  for (let i = 0; i < 6; i++) y = y * (2n - x * y) & MASK;
  return y;
}

function mix(x: bigint): bigint {
  let h = BigInt.asUintN(64, x * C1);
  h ^= h >> 32n;
  h = BigInt.asUintN(64, h * C2);
  h ^= h >> 29n;
  h = BigInt.asUintN(64, h * C1);
  return h ^ (h >> 32n);
}

function unmix(h: bigint): bigint {
  let x = BigInt.asUintN(64, (h ^ (h >> 32n)) * C1_INVERSE);
  x = x ^ (x >> 29n) ^ (x >> 58n);
  x = BigInt.asUintN(64, x * C2_INVERSE);
  x ^= x >> 32n;
  return BigInt.asUintN(64, x * C1_INVERSE);
}

/** The lowest byte is the first. */
function word(bytes: Uint8Array): bigint {
  return bytes.reduceRight((w, b) => (w << 8n) | BigInt(b), 0n);
}

function prefixHash(prefix: string): bigint {
  return mix(word(encodeUtf8(prefix)) ^ (BigInt(prefix.length) << 56n));
}

function step(h: bigint, w: bigint): bigint {
  const product = BigInt.asUintN(64, (h ^ w) * C1);
  return product ^ (product >> 32n);
}

/** The known hash of an id that is kept as its bytes. */
export function bytesHash(id: string): bigint {
  const bytes = encodeUtf8(id);
  let h = BigInt.asUintN(64, BigInt(bytes.length) * C2);
  let at = 0;
  for (; bytes.length - at >= 8; at += 8) h = step(h, word(bytes.subarray(at, at + 8)));
  return mix(h ^ word(bytes.subarray(at)));
}

function segmentIs(segment: number): (id: string) => boolean {
  return (id) => Number(bytesHash(id) >> 56n) === segment;
}

// ---- floods ----

/** Hashes in segment 7 whose low 32 bits begin with 20 zeros. */
function hashOf(i: number): bigint {
  return (7n << 56n) | (BigInt(i >>> 12) << 32n) | BigInt(i & 4095);
}

/** item_<number>: of the hashes that meet, those that are a number's. */
function numbered(n: number): string[] {
  const prefix = prefixHash("item_");
  const ids: string[] = [];
  for (let i = 0; ids.length < n; i++) {
    const number = unmix(hashOf(i)) ^ prefix;
    if (number < 1_000_000_000_000_000n) ids.push(`item_${number}`);
  }
  return ids;
}

/** 4,000 prefixes whose hashes end in 12 zeros, in turn. */
function prefixes(n: number): string[] {
  const found: string[] = [];
  for (let i = 0; found.length < Math.min(4000, n); i++) {
    const prefix = `${i.toString(36)}_`;
    if ((prefixHash(prefix) & 4095n) === 0n) found.push(prefix);
  }
  return Array.from({ length: n }, (_, i) => `${found[i % found.length]}${i}`);
}

/** The known hash of a prefix and a number. */
export function numberedHash(prefix: string, number: bigint): bigint {
  return mix(prefixHash(prefix) ^ number);
}

/** Seven bytes of ASCII: the code is kind, length and bytes. */
function inlineId(i: number): string {
  return `${i.toString(36).padStart(6, "0")}z`;
}

/** The code of an id of seven bytes. */
export function inlineCode(id: string): bigint {
  return (0x87n << 56n) | word(encodeUtf8(id));
}

/** Its known hash. */
export function inlineHash(id: string): bigint {
  return mix(inlineCode(id));
}

function asciiOf(w: bigint, length: number): string | null {
  let text = "";
  for (let i = 0; i < length; i++, w >>= 8n) {
    const byte = Number(w & 0xffn);
    if (byte < 0x21 || byte > 0x7e) return null;
    text += String.fromCharCode(byte);
  }
  return text;
}

const CHOICES = 4;
const STEPS = 9;

function storedId(random: Random): string {
  return Array.from({ length: STEPS }, () => pieceOf(random) + pieceOf(random)).join("") + "x";
}

function pieceOf(random: Random): string {
  return Array.from({ length: 8 }, () => String.fromCharCode(97 + random.below(26))).join("");
}

/** After every 16 bytes the chain of rounds stands at the same value, whichever of 4 pieces was taken. */
function stored(n: number): string[] {
  const random = new Random(5);
  let h = BigInt.asUintN(64, BigInt(16 * STEPS + 1) * C2);
  const steps: string[][] = [];
  for (let i = 0; i < STEPS; i++) {
    const first = pieceOf(random);
    const target = step(step(h, word(encodeUtf8(first))), word(encodeUtf8(pieceOf(random))));
    const pieces: string[] = [];
    while (pieces.length < CHOICES) {
      const start = pieceOf(random);
      let before = target ^ (target >> 32n);
      before = BigInt.asUintN(64, before * C1_INVERSE);
      const end = asciiOf(before ^ step(h, word(encodeUtf8(start))), 8);
      if (end !== null) pieces.push(start + end);
    }
    steps.push(pieces);
    h = target;
  }
  return Array.from({ length: n }, (_, i) => {
    const pieces = steps.map((choices, k) => choices[(i >> (2 * k)) & 3]!);
    return pieces.join("") + "x";
  });
}
