// UTF-8 (RFC 3629): well-formedness, and encoding of single code points.

/** Whether the n bytes at `p` are well-formed UTF-8: no overlong form, no surrogate, nothing beyond U+10FFFF. */
export function isUtf8(p: usize, n: usize): bool {
  const end = p + n;
  while (p < end) {
    const b = <u32> load<u8>(p);
    if (b < 0x80) {
      p++;
      continue;
    }
    // The second byte's range depends on the first; the later ones are 80..BF.
    let more: u32, low: u32 = 0x80, high: u32 = 0xbf;
    if (b >= 0xc2 && b <= 0xdf) more = 1;
    else if (b >= 0xe0 && b <= 0xef) {
      more = 2;
      if (b == 0xe0) low = 0xa0;
      if (b == 0xed) high = 0x9f;
    } else if (b >= 0xf0 && b <= 0xf4) {
      more = 3;
      if (b == 0xf0) low = 0x90;
      if (b == 0xf4) high = 0x8f;
    } else return false;
    if (end - p <= more) return false;
    const second = <u32> load<u8>(p, 1);
    if (second < low || second > high) return false;
    for (let i: u32 = 2; i <= more; i++) if ((load<u8>(p + i) & 0xc0) != 0x80) return false;
    p += more + 1;
  }
  return true;
}

/** Writes a code point; returns its length. A surrogate is written as three bytes. */
export function putUtf8(o: usize, c: u32): u32 {
  if (c < 0x80) {
    store<u8>(o, <u8> c);
    return 1;
  }
  if (c < 0x800) {
    store<u8>(o, <u8> (0xc0 | (c >> 6)));
    store<u8>(o, <u8> (0x80 | (c & 63)), 1);
    return 2;
  }
  if (c < 0x10000) {
    store<u8>(o, <u8> (0xe0 | (c >> 12)));
    store<u8>(o, <u8> (0x80 | ((c >> 6) & 63)), 1);
    store<u8>(o, <u8> (0x80 | (c & 63)), 2);
    return 3;
  }
  store<u8>(o, <u8> (0xf0 | (c >> 18)));
  store<u8>(o, <u8> (0x80 | ((c >> 12) & 63)), 1);
  store<u8>(o, <u8> (0x80 | ((c >> 6) & 63)), 2);
  store<u8>(o, <u8> (0x80 | (c & 63)), 3);
  return 4;
}

// As in digitMask: 32 to 126 is moved to the lowest bytes.
const FROM_USUAL = memory.data<u64>([0x6060606060606060, 0x6060606060606060], 16);
const LAST_USUAL = memory.data<u64>([0xdededededededede, 0xdededededededede], 16);

/** Bit i is set where byte i is a control character or not ASCII: bytes that an item id needs a closer look for. */
@inline
export function unusualMask(v: v128): u32 {
  return i8x16.bitmask(i8x16.gt_s(i8x16.add(v, v128.load(FROM_USUAL)), v128.load(LAST_USUAL)));
}
