// What a committed offset's metadata says, beside the offset: where the state began, the fired
// watermark, and a hash of the fold parameters. Tools that reset offsets leave none of it.
//
//   stockflow1 start=<offset|none> watermark=<ms|none> fold=<hash|none>

import type { CommittedPosition } from "../log/mod.ts";
import { NO_TIME } from "../wasm/mod.ts";

const PATTERN =
  /^stockflow1 start=(none|0|[1-9][0-9]*) watermark=(none|-?[0-9]+) fold=(none|[0-9a-f]+)$/;

export function encodeMetadata(
  { start, watermark, parameters }: Omit<CommittedPosition, "offset">,
): string {
  const fired = watermark === NO_TIME ? "none" : watermark;
  return `stockflow1 start=${start ?? "none"} watermark=${fired} fold=${parameters || "none"}`;
}

/** The position that an offset with its metadata tells; null when the metadata is not ours. */
export function decodeMetadata(offset: number, metadata: string): CommittedPosition | null {
  const [, start, watermark, fold] = PATTERN.exec(metadata) ?? [];
  if (start === undefined) return null;
  return {
    offset,
    start: start === "none" ? null : Number(start),
    watermark: watermark === "none" ? NO_TIME : BigInt(watermark!),
    parameters: fold === "none" ? "" : fold!,
  };
}
