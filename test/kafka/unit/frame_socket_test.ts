import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { FrameSocket, type Wire } from "../../../src/kafka/client/frame_socket.ts";
import { Random } from "../../../tools/kit/random.ts";

/** A wire that gives bytes in pieces, and takes a few bytes at a time. */
class FakeWire implements Wire {
  readonly written: number[] = [];
  writes = 0;
  closed = false;
  #pieces: Uint8Array[] = [];
  #more = Promise.withResolvers<void>();
  #ended = false;

  constructor(readonly takes = Infinity) {}

  give(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#more.resolve();
  }

  finish(): void {
    this.#ended = true;
    this.#more.resolve();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#pieces.length === 0) {
      if (this.#ended) return null;
      await this.#more.promise;
      this.#more = Promise.withResolvers();
    }
    const piece = this.#pieces[0]!;
    const n = Math.min(piece.length, into.length);
    into.set(piece.subarray(0, n));
    if (n < piece.length) this.#pieces[0] = piece.subarray(n);
    else this.#pieces.shift();
    return n;
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.closed) return Promise.reject(new Error("closed"));
    this.writes++;
    const n = Math.min(bytes.length, this.takes);
    this.written.push(...bytes.subarray(0, n));
    return Promise.resolve(n);
  }

  close(): void {
    this.closed = true;
    this.finish();
  }
}

function frame(length: number, fill: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 + length).fill(fill, 4);
  new DataView(bytes.buffer).setInt32(0, length);
  return bytes;
}

function open(wire: Wire) {
  const events: string[] = [];
  const frames: Uint8Array[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = new FrameSocket(Promise.resolve(wire), () => events.push("connect"));
  socket.on("data", (data: Uint8Array) => frames.push(data));
  for (const event of ["end", "close"]) socket.on(event, () => (events.push(event), resolve()));
  socket.on("error", (error: Error) => (events.push(error.message), resolve()));
  return { socket, events, frames, over: promise };
}

Deno.test("each frame comes whole, whatever pieces it is received in", async () => {
  const random = new Random(7);
  for (let round = 0; round < 50; round++) {
    const sizes = Array.from(
      { length: 12 },
      () => [0, 1, 30, 5000, 65_531, 200_000][random.below(6)]!,
    );
    const sent = sizes.map((size, i) => frame(size, i + 1));
    const all = new Uint8Array(sent.reduce((n, f) => n + f.length, 0));
    sent.reduce((at, f) => (all.set(f, at), at + f.length), 0);
    const wire = new FakeWire();
    const { events, frames, over } = open(wire);
    for (let at = 0; at < all.length;) {
      const n = 1 + random.below([4, 300, 100_000][random.below(3)]!);
      wire.give(all.subarray(at, at + n));
      at += n;
    }
    wire.finish();
    await over;
    assertEquals(events, ["connect", "end"]);
    assertEquals(frames.length, sent.length);
    for (const [i, got] of frames.entries()) assertEquals(Buffer.compare(got, sent[i]!), 0);
  }
});

Deno.test("what is written goes out in its order, however little the wire takes at a time", async () => {
  for (const takes of [3, 100_000, Infinity]) {
    const wire = new FakeWire(takes);
    const { socket } = open(wire);
    const parts = [frame(10, 1), frame(5, 2), frame(70_000, 3), frame(6, 4), frame(7, 5)];
    for (const part of parts.slice(0, 3)) socket.write(part); // before it is connected
    await new Promise((resolve) => setTimeout(resolve));
    for (const part of parts.slice(3)) socket.write(part);
    while (wire.written.length < parts.reduce((n, p) => n + p.length, 0)) {
      await new Promise((resolve) => setTimeout(resolve));
    }
    assertEquals(Buffer.compare(Uint8Array.from(wire.written), Buffer.concat(parts)), 0);
    if (takes === Infinity) assertEquals(wire.writes, 3, "small parts go out together");
  }
});

Deno.test("a length that cannot be is an error, and closes the connection", async () => {
  for (const length of [-1, 2 ** 31 - 1]) {
    const wire = new FakeWire();
    const { events, over } = open(wire);
    const bytes = frame(0, 0);
    new DataView(bytes.buffer).setInt32(0, length);
    wire.give(bytes);
    await over;
    await new Promise((resolve) => setTimeout(resolve));
    assertEquals(events.toSorted(), [
      "The broker sent a frame of " + length + " bytes",
      "close",
      "connect",
    ]);
    assert(wire.closed);
  }
});

Deno.test("a connection that cannot be made is an error", async () => {
  const socket = new FrameSocket(Promise.reject(new Error("refused")), () => {});
  const error = await new Promise<Error>((resolve) => socket.on("error", resolve));
  assertEquals(error.message, "refused");
});

Deno.test("a socket that was ended says nothing more", async () => {
  const wire = new FakeWire();
  const { socket, events, frames } = open(wire);
  await new Promise((resolve) => setTimeout(resolve));
  socket.end();
  socket.write(frame(1, 1));
  wire.give(frame(1, 1));
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals([events, frames.length, wire.written.length], [["connect", "close"], 0, 0]);
});
