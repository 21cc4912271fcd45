// Reads what a core leaves in its areas for the host; nothing that is returned is a view of its memory.

import * as c from "../../wasm/contract.ts";
import type { BufferPool } from "./buffer_pool.ts";
import type { DeadLetter, OutputBatch } from "./core_types.ts";

const ID_DECODER = new TextDecoder();

/** The finished batches that the entries from `at` on name. */
export function readFinished(
  bytes: Uint8Array<ArrayBuffer>,
  view: DataView,
  at: number,
  count: number,
  buffers: BufferPool | undefined,
): OutputBatch[] {
  return Array.from({ length: count }, (_, i) => {
    const entry = at + i * c.FINISHED_BYTES;
    const start = view.getUint32(entry + c.FINISHED_ADDRESS, true);
    const length = view.getUint32(entry + c.FINISHED_LENGTH, true);
    return {
      bytes: copyOf(bytes.subarray(start, start + length), buffers),
      records: view.getUint32(entry + c.FINISHED_RECORDS, true),
    };
  });
}

function copyOf(
  bytes: Uint8Array<ArrayBuffer>,
  buffers: BufferPool | undefined,
): Uint8Array<ArrayBuffer> {
  if (!buffers) return bytes.slice();
  const copy = buffers.take(bytes.length);
  copy.set(bytes);
  return copy;
}

/** The dead letters that the entries from `at` on name. */
export function readDeadLetters(
  bytes: Uint8Array<ArrayBuffer>,
  view: DataView,
  at: number,
  count: number,
): DeadLetter[] {
  return Array.from({ length: count }, (_, i) => {
    const entry = at + i * c.DEAD_BYTES;
    const start = view.getUint32(entry + c.DEAD_ADDRESS, true);
    const length = view.getUint32(entry + c.DEAD_LENGTH, true);
    return {
      record: bytes.slice(start, start + length),
      reason: view.getUint32(entry + c.DEAD_REASON, true),
      offset: view.getBigInt64(entry + c.DEAD_OFFSET, true),
      timestamp: view.getBigInt64(entry + c.DEAD_TIMESTAMP, true),
    };
  });
}

/** The samples in `length` bytes from `at` on: how many of each item. */
export function readSamples(
  bytes: Uint8Array<ArrayBuffer>,
  view: DataView,
  at: number,
  length: number,
): { itemId: string; samples: number }[] {
  const items = [];
  for (let entry = at; entry < at + length;) {
    const idLength = bytes[entry + c.SAMPLE_LENGTH]!;
    const id = entry + c.SAMPLE_ID;
    items.push({
      itemId: ID_DECODER.decode(bytes.subarray(id, id + idLength)),
      samples: view.getFloat32(entry, true),
    });
    entry += (c.SAMPLE_ID + idLength + 15) & ~15;
  }
  return items;
}
