// CRC32C (Castagnoli, RFC 3720) by slicing-by-8, for batches that are made or checked on the host.

const TABLES: readonly Uint32Array[] = makeTables();

function makeTables(): Uint32Array[] {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    tables[0]![i] = c;
  }
  for (let t = 1; t < 8; t++) {
    for (let i = 0; i < 256; i++) {
      const c = tables[t - 1]![i]!;
      tables[t]![i] = (c >>> 8) ^ tables[0]![c & 255]!;
    }
  }
  return tables;
}

/** CRC32C of the bytes from `start` up to `end`, as an unsigned integer. */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ];
  let c = -1;
  let p = start;
  for (; p + 8 <= end; p += 8) {
    c = t7[(c ^ bytes[p]!) & 255]! ^ t6[((c >>> 8) ^ bytes[p + 1]!) & 255]! ^
      t5[((c >>> 16) ^ bytes[p + 2]!) & 255]! ^ t4[(c >>> 24) ^ bytes[p + 3]!]! ^
      t3[bytes[p + 4]!]! ^ t2[bytes[p + 5]!]! ^ t1[bytes[p + 6]!]! ^ t0[bytes[p + 7]!]!;
  }
  for (; p < end; p++) c = (c >>> 8) ^ t0[(c ^ bytes[p]!) & 255]!;
  return ~c >>> 0;
}
