// Random inputs for property tests: ordinary records, records at every limit, and broken ones.

import fc from "fast-check";
import { encodeUtf8, Format } from "../../src/types/mod.ts";
import type { ModelOptions } from "./model.ts";

/** Item ids of every kind of key code, few enough to meet again. */
const ITEM_IDS = [
  ...Array.from({ length: 12 }, (_, i) => `item_${i}`),
  "item_007",
  "item_0",
  "item_00",
  "0",
  "7",
  "42",
  "cup",
  "a",
  "seven77",
  "1234567",
  "eightby8",
  "eightbyt",
  "a blank inside 5",
  " ",
  "prefix-of-more-than-8-bytes-12",
  "999999999999999",
  "1000000000000000",
  "x999999999999999",
  "x1000000000000000",
  "x0000000000000001",
  "0f8fad5b-d9cd-469f-a165-70867728950e",
  "0f8fad5b-d9cd-469f-a165-70867728950f",
  "0f8fad5b-d9cd-469f-a165-708677289",
  "käse_1",
  "käse_2",
  "ключ",
  "😀",
  'quote"5',
  "back\\slash",
  "slash/6",
  "\u0080\u2028",
  "n".repeat(248) + "7",
  "n".repeat(249),
  "é".repeat(124) + "9",
] as const;

const UUID = "0f8fad5b-d9cd-469f-a165-70867728950e";

/** A UUID, or what is nearly one; few enough to meet again. */
const uuidLike = fc.tuple(
  fc.integer({ min: 0, max: UUID.length }),
  fc.constantFrom("", "", "0", "a", "f", "g", "A", "-"),
).map(([at, other]) => UUID.slice(0, at) + other + UUID.slice(at + other.length));

const BAD_ITEM_IDS = [
  "",
  "n".repeat(250),
  "é".repeat(125),
  "with\u0000nul",
  "with\u007fdelete",
  "with\u001f",
  "line\nbreak",
  "carriage\r",
] as const;

const BASE_MS = 1_700_000_000_000;

const itemId = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 11 }).map((i) => ITEM_IDS[i]!) },
  { weight: 8, arbitrary: fc.constantFrom(...ITEM_IDS) },
  { weight: 4, arbitrary: uuidLike },
  { weight: 1, arbitrary: fc.constantFrom(...BAD_ITEM_IDS) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 20 }) },
);

const id = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }) },
  { weight: 2, arbitrary: fc.integer({ min: -20, max: 20 }).map(BigInt) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      2n ** 63n - 1n,
      2n ** 63n,
      -(2n ** 63n),
      -(2n ** 63n) - 1n,
      10n ** 19n,
      -(10n ** 19n),
      10n ** 25n,
      9_999_999_999_999_999n,
      10_000_000_000_000_000n,
    ),
  },
).map(String);

const ts = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: -150_000, max: 200_000 }).map((d) => BASE_MS + d) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: -90_000_000, max: 90_000_000 }).map((d) => BASE_MS + d),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      0,
      1,
      -1,
      2 ** 53 - 1,
      2 ** 53,
      59_999,
      60_000,
      BASE_MS + 86_400_000,
    ),
  },
).map(String);

const quantity = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -120, max: 100 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(0, 2147483647, 2147483648, -2147483648, -2147483649, 99999999999),
  },
).map(String);

/** Ways to write a number that are not canonical. */
const badNumber = fc.constantFrom(
  "",
  "+5",
  "007",
  "00",
  "-0",
  "1e3",
  "1.5",
  " 5",
  "5 ",
  "x",
  "0x1",
  "-",
  "5\r",
  "٣",
  "1_0",
);

interface Fields {
  readonly id: string;
  readonly ts: string;
  readonly itemId: string;
  readonly quantity: string;
}

const fields: fc.Arbitrary<Fields> = fc.record({
  id: fc.oneof({ weight: 40, arbitrary: id }, { weight: 1, arbitrary: badNumber }),
  ts: fc.oneof({ weight: 40, arbitrary: ts }, { weight: 1, arbitrary: badNumber }),
  itemId,
  quantity: fc.oneof({ weight: 40, arbitrary: quantity }, { weight: 1, arbitrary: badNumber }),
});

const textValue: fc.Arbitrary<string> = fields.map((f) =>
  [f.id, f.ts, f.itemId, f.quantity].join("\t")
);

/** JSON values that an unknown member may have, valid and not. */
const unknownValue = fc.oneof(
  { weight: 6, arbitrary: fc.jsonValue({ maxDepth: 3 }).map((v) => JSON.stringify(v)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '"\\ud800"',
      '"\\u00zz"',
      '"\\x"',
      "01",
      "1.",
      ".5",
      "1e",
      "1e+5",
      "-",
      "-0.0",
      "tru",
      "nul",
      "{]",
      "[1,]",
      '{"a":1,}',
      '{"a"}',
      "[".repeat(511) + "]".repeat(511),
      "[".repeat(512) + "]".repeat(512),
      '{"a":'.repeat(511) + "{}" + "}".repeat(511),
      '{"a":'.repeat(510) + "{}" + "}".repeat(510),
      "'a'",
      '"a\tb"',
      '"\u007f"',
    ),
  },
);

const blank = fc.oneof({ weight: 8, arbitrary: fc.constant("") }, {
  weight: 1,
  arbitrary: fc.constantFrom(" ", "\n", "\t", "\r\n", "  ", "\u00a0", "\ufeff"),
});

function escapeAll(text: string): string {
  return '"' +
    Array.from(
      { length: text.length },
      (_, i) => "\\u" + text.charCodeAt(i).toString(16).padStart(4, "0"),
    ).join("") +
    '"';
}

interface Member {
  readonly name: string;
  readonly value: string;
}

const jsonValue: fc.Arbitrary<string> = fc.tuple(
  fields,
  fc.record({
    escapeName: fc.integer({ min: 0, max: 12 }),
    escapeItem: fc.integer({ min: 0, max: 4 }),
    change: fc.integer({ min: 0, max: 24 }),
    unknown: fc.array(
      fc.tuple(
        fc.constantFrom("x", "ts ", "Ts", "itemID", "transactionIdx", "\u0000", "__proto__"),
        unknownValue,
      ),
      { maxLength: 2 },
    ),
    order: fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }),
    canonical: fc.boolean(),
  }),
  fc.array(blank, { minLength: 8, maxLength: 8 }),
).map(([f, how, blanks]) => {
  const item = how.escapeItem === 0 ? escapeAll(f.itemId) : JSON.stringify(f.itemId);
  const members: Member[] = [
    { name: '"transactionId"', value: f.id },
    { name: '"ts"', value: f.ts },
    { name: '"itemId"', value: item },
    { name: '"quantity"', value: f.quantity },
  ];
  if (how.canonical) return `{${members.map((m) => `${m.name}:${m.value}`).join(",")}}`;
  const extra = how.unknown.map(([name, value]) => ({ name: JSON.stringify(name), value }));
  if (how.change === 1) members.pop();
  if (how.change === 2) members.push({ name: '"ts"', value: f.ts });
  if (how.change === 3) members[3] = { name: '"quantity"', value: `"${f.quantity}"` };
  if (how.change === 4) members[2] = { name: '"itemId"', value: "5" };
  if (how.change === 5) members[2] = { name: '"itemId"', value: '"a\\ud83d"' };
  if (how.change === 6) members[2] = { name: '"itemId"', value: '"\\ud83d\\ude00\\u0041\\/\\b"' };
  if (how.change === 7) members[2] = { name: '"itemId"', value: '"\\ud83d\\ude00\\u0041\\/\\""' };
  if (how.change === 8) members[0] = { name: '"transactionId"', value: "null" };
  if (how.escapeName === 0) members[1] = { name: escapeAll("ts"), value: members[1]!.value };
  const all = [...members, ...extra];
  const ordered = how.order.filter((i) => i < all.length).map((i) => all[i]!);
  const [a, b, c, d, e, g] = blanks;
  const body = ordered.map((m) => `${a}${m.name}${b}:${c}${m.value}${d}`).join(",");
  return `${e}{${body}}${g}`;
});

/** A record's value: mostly well-formed, sometimes with bytes changed, sometimes noise. */
export function recordValue(format: Format): fc.Arbitrary<Uint8Array | null> {
  const written = (format === Format.Json ? jsonValue : textValue).map((v): Uint8Array =>
    encodeUtf8(v)
  );
  const changed = fc.tuple(
    written,
    fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.nat(2)), { minLength: 1, maxLength: 3 }),
  )
    .map(([bytes, changes]) =>
      changes.reduce((b, [at, byte, kind]) => mutate(b, at, byte, kind), bytes)
    );
  return fc.oneof(
    { weight: 30, arbitrary: written },
    { weight: 4, arbitrary: changed },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((b): Uint8Array => b) },
    { weight: 1, arbitrary: fc.constant(null) },
  );
}

/** Replaces, inserts or removes a byte. */
export function mutate(bytes: Uint8Array, at: number, byte: number, kind: number): Uint8Array {
  const i = bytes.length === 0 ? 0 : at % bytes.length;
  const list = Array.from(bytes);
  if (kind === 0) list[i] = byte;
  else if (kind === 1) list.splice(i, 0, byte);
  else list.splice(i, 1);
  return Uint8Array.from(list);
}

const timestamp = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: -100_000, max: 150_000 }).map((d) => BASE_MS + d) },
  { weight: 2, arbitrary: fc.constant(-1) },
  { weight: 1, arbitrary: fc.constantFrom(0, BASE_MS + 90_000_000) },
  // The last one that a date can be, and impossible ones.
  { weight: 1, arbitrary: fc.constantFrom(8.64e15, 8.64e15 + 1, 2 ** 53 - 1) },
);

export interface RawRecord {
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
}

/** The options and batches of one case; between batches the partition may be idle or restored. */
export interface Case {
  readonly options: ModelOptions;
  readonly steps: readonly Step[];
}

export interface Step {
  readonly records: readonly RawRecord[];
  readonly then: "nothing" | "idle" | "restore" | "checkpoint" | "raise";
}

const windows = fc.constantFrom(
  { windowMs: 0, eventTime: false },
  { windowMs: 60_000, eventTime: false },
  { windowMs: 60_000, eventTime: true },
  { windowMs: 120_000, eventTime: true },
);

export const anyCase: fc.Arbitrary<Case> = fc.constantFrom(Format.Text, Format.Json).chain((
  format,
) =>
  fc.record({
    options: fc.tuple(
      windows,
      fc.constantFrom(0, 30_000, 60_000, 300_000),
      fc.constantFrom(0, 1, 2, 3),
      fc.constantFrom(1, 2, 2),
    ).map(
      ([window, outOfOrderMs, partitioner, foldVersion]): ModelOptions => ({
        format,
        foldVersion,
        ...window,
        outOfOrderMs,
        partitioner,
        partition: partitioner === 0 ? 0 : 1,
        partitions: partitioner === 0 ? 1 : 3,
        maxAheadMs: 86_400_000,
        alertTotalMin: 1,
        alertRateMin: 0.4,
      }),
    ),
    steps: fc.array(
      fc.record({
        records: fc.array(
          fc.record({
            timestamp,
            key: fc.constantFrom(null, encodeUtf8("a key"), new Uint8Array()),
            value: recordValue(format),
          }),
          { minLength: 1, maxLength: 24 },
        ),
        then: fc.constantFrom("nothing", "nothing", "idle", "restore", "checkpoint", "raise"),
      }) as fc.Arbitrary<Step>,
      { minLength: 1, maxLength: 4 },
    ),
  })
);
