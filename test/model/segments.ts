// Reads segments as wasm/checkpoint.ts describes their format, for comparison with the model.

import { decodeUtf8 } from "../../src/types/mod.ts";
import type { Counts } from "./model.ts";

export interface Segment {
  /** Stock, or null for an item never seen. */
  readonly items: Map<string, bigint | null>;
  readonly windows: Map<bigint, Map<string, Counts>>;
}

/** Decodes one encoded segment. */
export function decodeSegment(bytes: Uint8Array): Segment {
  let at = 0;
  const read = (): bigint => {
    let value = 0n;
    for (let shift = 0n;; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const text = (length: number): string => decodeUtf8(bytes.subarray(at, at += length))!;
  const count = Number(read());
  let numbered = Number(read());
  const ids: string[] = [];
  while (numbered > 0) {
    const prefix = text(bytes[at++]!);
    let n = Number(read());
    numbered -= n;
    for (let number = 0n; n > 0; n--) ids.push(prefix + (number += read()));
  }
  while (ids.length < count) ids.push(text(bytes[at++]!));
  const items = new Map<string, bigint | null>();
  for (const id of ids) {
    const stock = read();
    items.set(id, stock === 0n ? null : stock - 1n);
  }
  const windows = new Map<bigint, Map<string, Counts>>();
  let number = 0n;
  for (let n = read(); n > 0n; n--) {
    number += read();
    const window = new Map<string, Counts>();
    let item = 0;
    for (let m = read(); m > 0n; m--) {
      item += Number(read());
      window.set(ids[item]!, {
        succeeded: Number(read()),
        failed: Number(read()),
        volume: read(),
      });
    }
    windows.set(number, window);
  }
  if (at !== bytes.length) throw new Error(`Read ${at} of ${bytes.length} bytes`);
  return { items, windows };
}
