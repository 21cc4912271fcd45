// What the sources look like: sizes and words.

import { assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);
const FOLDERS = ["src", "wasm", "test", "tools", "bench", "docs"];
/** What is built, and what is shown as its authors wrote it. */
const NOT_OURS = /node_modules|^src\/http\/page\/|^bench\/peers\/.*\.java$/;

const LINES_MAX = 450;

/** Words in place of which the field has its own, and what to write. */
const PLAIN: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\b(?:t(?:ell|ells)|told)\b/i, "report, notify, log, answer, say"],
  [/\b(?:[Ii]t|that|which) (?:is|are|was|were) none\b(?! of)/, "is not one"],
];

function* filesBelow(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(`${folder}/`, ROOT))) {
    const path = `${folder}/${entry.name}`;
    if (NOT_OURS.test(path)) continue;
    if (entry.isDirectory) yield* filesBelow(path);
    else if (/\.(?:ts|md)$/.test(path)) yield path;
  }
}

const files = FOLDERS.flatMap((folder) => [...filesBelow(folder)]).map((path) => ({
  path,
  lines: Deno.readTextFileSync(new URL(path, ROOT)).split("\n"),
}));

Deno.test(`no source has more than ${LINES_MAX} lines`, () => {
  const long = files.filter(({ path, lines }) => path.endsWith(".ts") && lines.length > LINES_MAX);
  assertEquals(long.map(({ path, lines }) => `${path}: ${lines.length}`), []);
});

Deno.test("sources and documents say report, notify and log: the words of the field", () => {
  const found = files.filter(({ path }) => path !== "test/repo/style_test.ts")
    .flatMap(({ path, lines }) =>
      lines.flatMap((line, i) =>
        PLAIN.filter(([pattern]) => pattern.test(line))
          .map(([, instead]) => `${path}:${i + 1}: ${instead}: ${line.trim().slice(0, 100)}`)
      )
    );
  assertEquals(found, []);
});

Deno.test("every task that takes options prints them at --help, and refuses others with a line: none parses them itself", () => {
  /** Which print their usage themselves. */
  const BY_ITSELF = [
    "bench/options.ts",
    "bench/peers.ts",
    "tools/kit/command_line.ts",
    "tools/kafka/console.ts",
  ];
  const parses = files.filter(({ path, lines }) =>
    path.endsWith(".ts") && !path.startsWith("src/") && path !== "test/repo/style_test.ts" &&
    lines.some((line) => /\bparseArgs\(/.test(line))
  );
  assertEquals(parses.map(({ path }) => path).toSorted(), BY_ITSELF.toSorted());
});
