import { assert, assertEquals } from "@std/assert";
import { Frames } from "../../../src/kafka/client/frames.ts";

const LARGE = 300_000;

Deno.test("a frame is used again when all that is held of it was released, and leaves no view of it behind", () => {
  const frames = new Frames();
  const frame = frames.take(LARGE);
  assertEquals(frame.length, LARGE);
  const [first, second] = [frame.subarray(0, 1000), frame.subarray(1000, 5000)];
  frames.hold(first);
  frames.hold(second);
  frames.release(first);
  assertEquals(second.length, 4000);
  assert(frames.take(LARGE).buffer !== frame.buffer);
  frame[1000] = 77;
  frames.release(second);
  assertEquals([frame.length, first.length, second.length], [0, 0, 0]);
  assertEquals(frames.take(LARGE - 1)[1000], 77, "the same memory");
});

Deno.test("bytes that are of no frame are left alone, and a frame of which nothing is held too", () => {
  const frames = new Frames();
  const [other, frame] = [new Uint8Array(LARGE), frames.take(100)];
  frames.hold(other);
  frames.release(other);
  assertEquals([other.length, frame.length], [LARGE, 100]);
  frames.hold(frame);
  frames.release(frame);
  assertEquals(frame.length, 0, "small ones are detached like the others");
});
