// Canonical UUIDs: 36 bytes of text as 16, and back. Canonical are lower-case digits in groups of 8, 4, 4, 4 and 12
// with hyphens between them: of these text and bytes have one form each, and the same order.

export const UUID_TEXT_BYTES: u32 = 36;
export const UUID_BYTES: u32 = 16;

// Vectors at fixed addresses, as in integers.ts.
const DIGITS = memory.data<u64>([0x3736353433323130, 0x6665646362613938], 16); // "0123456789abcdef"
const LOW_NIBBLES = memory.data<u64>([0x0f0f0f0f0f0f0f0f, 0x0f0f0f0f0f0f0f0f], 16);
const LOW_BYTES = memory.data<u64>([0x00ff00ff00ff00ff, 0x00ff00ff00ff00ff], 16);
const NINES = memory.data<u64>([0x3939393939393939, 0x3939393939393939], 16); // "9"
/** What a letter counts more than its low nibble. */
const LETTERS = memory.data<u64>([0x0909090909090909, 0x0909090909090909], 16);
// Which digit stands at each place of the first and the last 16 bytes of the text, and their hyphens.
const FIRST_PLACES = memory.data<u64>([0x0706050403020100, 0x0d0c800b0a090880], 16);
const FIRST_HYPHENS = memory.data<u64>([0, 0x00002d000000002d], 16);
const LAST_PLACES = memory.data<u64>([0x0706050480030201, 0x0f0e0d0c0b0a0908], 16);
const LAST_HYPHENS = memory.data<u64>([0x2d000000, 0], 16);

@inline
function highNibbles(v: v128): v128 {
  return v128.and(i16x8.shr_u(v, 4), v128.load(LOW_NIBBLES));
}

@inline
function lowNibbles(v: v128): v128 {
  return v128.and(v, v128.load(LOW_NIBBLES));
}

/** The first 16 digits of 16 bytes, by their nibbles. */
@inline
function firstDigits(high: v128, low: v128): v128 {
  return i8x16.swizzle(
    v128.load(DIGITS),
    i8x16.shuffle(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
  );
}

/** The other 16. */
@inline
function lastDigits(high: v128, low: v128): v128 {
  return i8x16.swizzle(
    v128.load(DIGITS),
    i8x16.shuffle(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
  );
}

// The text: bytes 0 to 15, 16 to 19, 20 to 35.

@inline
function firstText(first: v128): v128 {
  return v128.or(i8x16.swizzle(first, v128.load(FIRST_PLACES)), v128.load(FIRST_HYPHENS));
}

@inline
function middleText(first: v128, last: v128): u32 {
  return <u32> i16x8.extract_lane_u(first, 7) | 0x2d0000 |
    (<u32> i8x16.extract_lane_u(last, 0) << 24);
}

@inline
function lastText(last: v128): v128 {
  return v128.or(i8x16.swizzle(last, v128.load(LAST_PLACES)), v128.load(LAST_HYPHENS));
}

/** Whether the 36 bytes at p are the text of the UUID v. */
@inline
function isTextOf(v: v128, p: usize): bool {
  const high = highNibbles(v), low = lowNibbles(v);
  const first = firstDigits(high, low), last = lastDigits(high, low);
  const differences = v128.or(
    v128.xor(firstText(first), v128.load(p)),
    v128.xor(lastText(last), v128.load(p, 20)),
  );
  return !v128.any_true(differences) && middleText(first, last) == load<u32>(p, 16);
}

/** The values of 16 digits, two in each byte of the lower half of 16-bit lanes. */
@inline
function pairs(digits: v128): v128 {
  const values = i8x16.add(
    v128.and(digits, v128.load(LOW_NIBBLES)),
    v128.and(i8x16.gt_s(digits, v128.load(NINES)), v128.load(LETTERS)),
  );
  return v128.and(
    v128.or(i16x8.shl(values, 4), i16x8.shr_u(values, 8)),
    v128.load(LOW_BYTES),
  );
}

/** Writes the UUID whose text of 36 bytes stands at p; false, and anything written, when it is not a canonical one. */
export function packUuid(to: usize, p: usize): bool {
  const a = v128.load(p), b = v128.load(p, 16), c = v128.load(p, 20);
  const first = i8x16.shuffle(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17);
  const last = i8x16.shuffle(b, c, 3, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
  const v = i8x16.narrow_i16x8_u(pairs(first), pairs(last));
  v128.store(to, v);
  // Whatever was packed, the text of the result is canonical.
  return isTextOf(v, p);
}

/** Writes the text of the UUID at r. */
export function putUuid(o: usize, r: usize): void {
  const v = v128.load(r), high = highNibbles(v), low = lowNibbles(v);
  const first = firstDigits(high, low), last = lastDigits(high, low);
  v128.store(o, firstText(first));
  store<u32>(o, middleText(first, last), 16);
  v128.store(o, lastText(last), 20);
}

/** Whether the UUID at r has the text of 36 bytes at p. */
@inline
export function isUuid(r: usize, p: usize): bool {
  return isTextOf(v128.load(r), p);
}

/** Whether the UUID at p comes before that at q; their texts have the same order. */
export function uuidLess(p: usize, q: usize): bool {
  const a = bswap(load<u64>(p)), b = bswap(load<u64>(q));
  return a < b || (a == b && bswap(load<u64>(p, 8)) < bswap(load<u64>(q, 8)));
}
