// The index of what a checkpoint remembers of transactions: pieces of up to 1,024 of them by their numbers, see
// wasm/remembered_pieces.ts. Binary, little endian, in chunks:
//   number of the first piece u64, then per piece:
//   length u32, compressed length u32, SHA-256 of the encoded piece, SHA-256 of its chunk, a frame of zstd
//
// A full piece never changes, and a chunk of the index has the pieces of 512 numbers: what is full is the same in all
// checkpoints, which name it by its hash. So a checkpoint writes what came since the one before it, and two chunks of index.

import { KV_VALUE_BYTES_MAX } from "../kv/mod.ts";
import { DamagedCheckpointError } from "./manifest.ts";

const HASH_BYTES = 32;
const HEAD_BYTES = 8;
const ENTRY_BYTES = 8 + 2 * HASH_BYTES;
const PIECES_PER_CHUNK = 512;
/** Bytes of an encoded piece at the most: its entries, its clock, and their number. */
const PIECE_BYTES_MAX = 1024 * 20 + 20;
/** So that numbers of pieces are exact. */
const PIECES_MAX = 2n ** 50n;

export interface PieceEntry {
  /** Length of the encoded piece. */
  readonly length: number;
  /** Length of its chunk. */
  readonly stored: number;
  /** SHA-256 of the encoded piece, hexadecimal. */
  readonly hash: string;
  /** SHA-256 of its chunk, hexadecimal. */
  readonly chunk: string;
}

/** The pieces of a checkpoint by their numbers, in their order, without a gap. */
export type PieceIndex = ReadonlyMap<number, PieceEntry>;

/** The chunks of the index. */
export function encodePieceIndex(index: PieceIndex): Uint8Array[] {
  const groups = Map.groupBy(index, ([piece]) => Math.floor(piece / PIECES_PER_CHUNK));
  return [...groups.values()].map((group) => {
    const bytes = new Uint8Array(HEAD_BYTES + ENTRY_BYTES * group.length);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(group[0]![0]), true);
    group.forEach(([, { length, stored, hash, chunk }], i) => {
      const at = HEAD_BYTES + i * ENTRY_BYTES;
      view.setUint32(at, length, true);
      view.setUint32(at + 4, stored, true);
      bytes.set(Uint8Array.fromHex(hash), at + 8);
      bytes.set(Uint8Array.fromHex(chunk), at + 8 + HASH_BYTES);
    });
    return bytes;
  });
}

/** @throws {DamagedCheckpointError} when the bytes do not follow the format */
export function decodePieceIndex(chunks: readonly Uint8Array[]): Map<number, PieceEntry> {
  const index = new Map<number, PieceEntry>();
  let next: number | null = null;
  for (const bytes of chunks) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const count = (bytes.length - HEAD_BYTES) / ENTRY_BYTES;
    if (!(count >= 1 && Number.isInteger(count))) {
      throw new DamagedCheckpointError("The index of remembered transactions is cut");
    }
    const first = view.getBigUint64(0, true);
    if (first > PIECES_MAX || (next !== null && first !== BigInt(next))) {
      throw new DamagedCheckpointError("The index of remembered transactions has a gap");
    }
    next = Number(first) + count;
    for (let i = 0; i < count; i++) {
      const at = HEAD_BYTES + i * ENTRY_BYTES;
      const hash = bytes.subarray(at + 8, at + 8 + HASH_BYTES).toHex();
      const chunk = bytes.subarray(at + 8 + HASH_BYTES, at + ENTRY_BYTES).toHex();
      const [length, stored] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
      const piece = Number(first) + i;
      if (length > PIECE_BYTES_MAX || stored > KV_VALUE_BYTES_MAX) {
        throw new DamagedCheckpointError(
          `Piece ${piece} of remembered transactions has ${length} bytes, ${stored} in its chunk`,
        );
      }
      index.set(piece, { length, stored, hash, chunk });
    }
  }
  return index;
}
