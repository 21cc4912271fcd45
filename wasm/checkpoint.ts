// Cutting a checkpoint. From cut to endCut, copies.ts keeps the state as it was at the cut; calls of
// encodeNext write the changed segments (encode.ts), between batches.
//
// Segment format 1, canonical: a function of the segment's items and open windows alone, whatever
// their codes, places and history. Integers are LEB128, unsigned.
//
//   number of items, number of numbered items among them (see keys.ts)
//   numbered items by prefix, then number:
//     per prefix: length u8, bytes, number of its items, the first number, then differences
//   other items by their bytes: per item length u8, bytes
//   per item in that order: 0 = never seen, else stock + 1
//   number of windows; per window, oldest first:
//     its number (start / length), as the difference to the one before; number of accumulators;
//     per accumulator in the order of items: index of the item, as the difference to the one before,
//     succeeded, failed, volume

import { Code, SEGMENT_MORE, SEGMENTS } from "./contract";
import { segments } from "./table";
import { SEGMENT_CHANGED, SEGMENT_DESCRIPTOR_BYTES, SEGMENT_WAS_CHANGED } from "./layout";
import { beginCopies, cutActive, endCopies, frozenSegment } from "./copies";
import { firing } from "./time";
import { encodeSlice, giveUpEncoding } from "./encode";
import { cutRemembered, endRememberedCut } from "./remembered_pieces";

let nextSegment: u32 = 0;

/** Freezes the state as it is now. */
export function beginCut(): i32 {
  if (cutActive || firing()) return Code.State;
  if (!cutRemembered() || !beginCopies(segments)) return Code.OutOfMemory;
  for (let s: u32 = 0; s < SEGMENTS; s++) {
    const live = segments + <usize> s * SEGMENT_DESCRIPTOR_BYTES, then = frozenSegment(s);
    store<u8>(then, load<u8>(then, SEGMENT_CHANGED), SEGMENT_WAS_CHANGED);
    store<u8>(live, 0, SEGMENT_CHANGED);
  }
  nextSegment = 0;
  giveUpEncoding();
  return Code.Done;
}

/**
 * Encodes a slice of the next changed segment: answers its index when it is done, SEGMENT_MORE before, or
 * SEGMENTS when none is left.
 */
export function encodeNext(): i32 {
  if (!cutActive) return Code.State;
  while (nextSegment < SEGMENTS && !load<u8>(frozenSegment(nextSegment), SEGMENT_CHANGED)) {
    nextSegment++;
  }
  if (nextSegment == SEGMENTS) return SEGMENTS;
  const d = frozenSegment(nextSegment);
  const code = encodeSlice(d);
  if (code) return code == Code.More ? SEGMENT_MORE : code;
  store<u8>(d, 0, SEGMENT_CHANGED);
  return nextSegment++;
}

/** Ends the cut. Unless the checkpoint was published, its changes go into the next one again. */
export function endCut(published: bool): void {
  if (!cutActive) return;
  endRememberedCut(published);
  for (let s: u32 = 0; !published && s < SEGMENTS; s++) {
    const live = segments + <usize> s * SEGMENT_DESCRIPTOR_BYTES;
    store<u8>(
      live,
      load<u8>(live, SEGMENT_CHANGED) | load<u8>(frozenSegment(s), SEGMENT_WAS_CHANGED),
      SEGMENT_CHANGED,
    );
  }
  endCopies();
}
