import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { LineSplitter } from "../../../src/service/sources/line_splitter.ts";
import { decodeUtf8, encodeUtf8 } from "../../../src/types/mod.ts";
import { seedOfTest } from "../../../tools/kit/random.ts";

const MAX = 8;

/** The lines of a text by definition, and the rest without a newline. */
function linesOf(text: string): { lines: string[]; rest: string | null } {
  const parts = text.split("\n");
  const rest = parts.pop()!;
  const lines = parts.map((part) => part.replace(/\r$/, ""));
  const tooLong = rest.replace(/\r$/, "").length > MAX;
  return {
    lines: [
      ...lines.map((line) => line.length > MAX ? "too long" : line),
      ...tooLong ? ["too long"] : [],
    ],
    rest: rest === "" || tooLong ? null : rest,
  };
}

Deno.test("LineSplitter gives the same lines for any cuts of the stream", () => {
  const letters = fc.constantFrom("a", "b", " ", "\r", "\n", "\r\n", "aaaaaaa");
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 40 }), fc.infiniteStream(fc.nat(5)), (
      parts,
      cuts,
    ) => {
      const text = parts.join("");
      const bytes = encodeUtf8(text);
      const splitter = new LineSplitter(MAX);
      const lines: string[] = [];
      for (let at = 0; at < bytes.length;) {
        const length = cuts.next().value as number;
        for (const line of splitter.push(bytes.subarray(at, at + length))) {
          lines.push(line === "too long" ? line : decodeUtf8(line)!);
        }
        at += length;
      }
      const rest = splitter.end();
      assertEquals({ lines, rest: rest && decodeUtf8(rest) }, linesOf(text));
    }),
    { seed: seedOfTest() | 0 },
  );
});

Deno.test("LineSplitter reports a line without end once, and goes on behind its newline", () => {
  const splitter = new LineSplitter(MAX);
  const chunk = new Uint8Array(1000).fill(65);
  let reported = 0;
  for (let i = 0; i < 1000; i++) reported += splitter.push(chunk).length;
  assertEquals(reported, 1);
  const lines = splitter.push(encodeUtf8("AA\nok\n"));
  assertEquals(lines.map((l) => l === "too long" ? l : decodeUtf8(l)), ["ok"]);
  assertEquals(splitter.end(), null);
});

Deno.test("LineSplitter gives copies: the buffer of the stream may be used again", () => {
  const splitter = new LineSplitter(MAX);
  const buffer = encodeUtf8("ab\ncd");
  const [line] = splitter.push(buffer);
  buffer.fill(0);
  assert(line instanceof Uint8Array);
  assertEquals(decodeUtf8(line), "ab");
  assertEquals(decodeUtf8(splitter.end()!), "cd");
});
