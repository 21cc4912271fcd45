// How long a frame of lz4 is decompressed, found without decompressing it. Its header need not say it,
// and a batch may hold 255 times its own bytes.

const MAGIC = 0x184d2204;
const VERSION_MASK = 0xc0;
const VERSION = 0x40;
const BLOCK_CHECKSUMS = 0x10;
const CONTENT_LENGTH = 0x08;
const DICTIONARY = 0x01;
const UNCOMPRESSED = 0x80000000;
const MATCH_MIN = 4;

/**
 * Length of a frame's contents in bytes; above `maxBytes` some number above that, as the rest is not
 * looked at.
 *
 * @throws {RangeError} when the bytes are not a frame
 */
export function lz4Length(frame: Uint8Array, maxBytes: number): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== MAGIC) throw new RangeError("It does not begin as lz4 does");
  const flags = view.getUint8(4);
  if ((flags & VERSION_MASK) !== VERSION) throw new RangeError("It has another version of lz4");
  let at = 4 + 3 + (flags & CONTENT_LENGTH ? 8 : 0) + (flags & DICTIONARY ? 4 : 0);
  const checksumBytes = flags & BLOCK_CHECKSUMS ? 4 : 0;
  let length = 0;
  while (length <= maxBytes) {
    const size = view.getUint32(at, true);
    at += 4;
    if (size === 0) return length;
    const bytes = size % UNCOMPRESSED;
    if (at + bytes > frame.length) throw new RangeError("It is cut");
    length = size === bytes
      ? behindBlock(frame.subarray(at, at + bytes), length, maxBytes)
      : length + bytes;
    at += bytes + checksumBytes;
  }
  return length;
}

/** The length of the contents up to the end of a block: literals and matches, one after the other. */
function behindBlock(block: Uint8Array, before: number, maxBytes: number): number {
  let length = before;
  let at = 0;
  /** Four bits of the token; when all are set more bytes follow, the last one below 255. */
  const extended = (bits: number) => {
    let n = bits;
    for (let byte = bits === 15 ? 255 : 0; byte === 255;) n += byte = block[at++] ?? 0;
    return n;
  };
  while (at < block.length && length <= maxBytes) {
    const token = block[at++]!;
    const literals = extended(token >> 4);
    at += literals;
    length += literals;
    if (at === block.length) return length;
    if (at + 2 > block.length) throw new RangeError("A block is cut");
    const distance = block[at]! | block[at + 1]! << 8;
    at += 2;
    if (distance === 0 || distance > length) throw new RangeError("A block refers to no bytes");
    length += MATCH_MIN + extended(token & 15);
  }
  if (at > block.length) throw new RangeError("A block is cut");
  return length;
}
