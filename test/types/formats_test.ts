import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  codecOf,
  encodeUtf8,
  Format,
  InvalidRecordError,
  type ItemTransaction,
  Reason,
  reasonName,
  REASONS,
} from "../../src/types/mod.ts";
import { seedOfTest } from "../../tools/kit/random.ts";

const FORMATS = [Format.Text, Format.Json];

const itemId = fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }).filter((id) =>
  // deno-lint-ignore no-control-regex
  encodeUtf8(id).length <= 249 && !/[\u0000-\u001f\u007f]/.test(id) && id.isWellFormed()
);
const id = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const count = fc.nat(2 ** 31);
const transaction: fc.Arbitrary<ItemTransaction> = fc.record({
  transactionId: id,
  ts: fc.maxSafeNat(),
  itemId,
  quantity: fc.integer(),
}, { noNullPrototype: true });

const SEEDED = { seed: seedOfTest() | 0 };

Deno.test("every format reads what it writes, 63-bit ids included", () => {
  for (const codec of FORMATS.map(codecOf)) {
    fc.assert(
      fc.property(transaction, fc.boolean(), (t, success) => {
        assertEquals(codec.parseTransaction(codec.formatTransaction(t)), t);
        assertEquals(codec.parseTransactionBytes(encodeUtf8(codec.formatTransaction(t))), t);
        const result = { transaction: t, success };
        assertEquals(codec.parseTransactionResult(codec.formatTransactionResult(result)), result);
      }),
      SEEDED,
    );
    fc.assert(
      fc.property(
        id,
        itemId,
        fc.option(fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })),
        (queryId, item, quantity) => {
          assertEquals(codec.parseQuery(codec.formatQuery({ queryId, itemId: item })), {
            queryId,
            itemId: item,
          });
          const result = {
            queryId,
            itemInfo: quantity === null ? null : { itemId: item, quantity },
          };
          assertEquals(codec.parseQueryResult(codec.formatQueryResult(result)), result);
        },
      ),
      SEEDED,
    );
    fc.assert(
      fc.property(
        itemId,
        fc.tuple(count, count, count, count),
        id,
        (item, [a, b, c, d], volume) => {
          const summary = {
            itemId: item,
            windowStart: a,
            windowEnd: b,
            numSuccessfulTransactions: c,
            numFailedTransactions: d,
            totalVolume: volume < 0n ? -volume - 1n : volume,
          };
          assertEquals(codec.parseSummary(codec.formatSummary(summary)), summary);
        },
      ),
      SEEDED,
    );
  }
});

Deno.test("the formats are written as documented", () => {
  const t = { transactionId: 1n, ts: 2, itemId: "item_1", quantity: 5 };
  const text = codecOf(Format.Text);
  const json = codecOf(Format.Json);
  const found = { queryId: 1n, itemInfo: { itemId: "item_1", quantity: 5n } };
  const missing = { queryId: 1n, itemInfo: null };
  const summary = {
    itemId: "item_1",
    windowStart: 0,
    windowEnd: 60_000,
    numSuccessfulTransactions: 1,
    numFailedTransactions: 2,
    totalVolume: 3n,
  };
  assertEquals(
    text.formatTransactionResult({ transaction: t, success: true }),
    "1\t2\titem_1\t5\ttrue",
  );
  assertEquals(text.formatQueryResult(found), "1\titem_1\t5");
  assertEquals(text.formatQueryResult(missing), "1\tMISSING");
  assertEquals(text.formatSummary(summary), "item_1\t0\t60000\t1\t2\t3");
  assertEquals(
    json.formatTransactionResult({ transaction: t, success: false }),
    '{"transaction":{"transactionId":1,"ts":2,"itemId":"item_1","quantity":5},"success":false}',
  );
  assertEquals(
    json.formatQueryResult(found),
    '{"queryId":1,"itemInfo":{"itemId":"item_1","quantity":5}}',
  );
  assertEquals(json.formatQueryResult(missing), '{"queryId":1,"itemInfo":null}');
  assertEquals(
    json.formatSummary(summary),
    '{"itemId":"item_1","windowStart":0,"windowEnd":60000,"numSuccessfulTransactions":1,"numFailedTransactions":2,"totalVolume":3}',
  );
});

Deno.test("a query's item id begins behind the first blank or TAB", () => {
  const { parseQuery } = codecOf(Format.Text);
  assertEquals(parseQuery("123 item_2"), { queryId: 123n, itemId: "item_2" });
  assertEquals(parseQuery("123\titem_2"), { queryId: 123n, itemId: "item_2" });
  assertEquals(parseQuery("123  two blanks "), { queryId: 123n, itemId: " two blanks " });
  assertEquals(codecOf(Format.Json).parseQuery('{"ts":5,"itemId":"a","queryId":-7}'), {
    queryId: -7n,
    itemId: "a",
  });
});

Deno.test("an invalid value is refused with its reason, the value and the limit", () => {
  const text = codecOf(Format.Text);
  const json = codecOf(Format.Json);
  const cases: [() => unknown, Reason, string][] = [
    [() => text.parseTransaction("1\t2\ta"), Reason.Malformed, "4 fields"],
    [() => text.parseTransaction("1\t2\ta\t5\t6"), Reason.Malformed, "4 fields"],
    [
      () => text.parseTransaction("+1\t2\ta\t5"),
      Reason.Malformed,
      'plus sign, leading zero, fraction or exponent: "+1"',
    ],
    [() => text.parseTransaction("1\t2\ta\t007"), Reason.Malformed, "quantity"],
    [() => text.parseTransaction("1\t2\ta\t1e3"), Reason.Malformed, '"1e3"'],
    [
      () => text.parseTransaction("9223372036854775808\t2\ta\t5"),
      Reason.IdRange,
      "-2^63..2^63-1: 9223372036854775808",
    ],
    [() => text.parseTransaction("1\t-2\ta\t5"), Reason.TimestampRange, "0..2^53-1: -2"],
    [
      () => text.parseTransaction("1\t9007199254740992\ta\t5"),
      Reason.TimestampRange,
      "9007199254740992",
    ],
    [() => text.parseTransaction("1\t2\t\t5"), Reason.ItemIdEmpty, "itemId must not be empty"],
    [
      () => text.parseTransaction(`1\t2\t${"x".repeat(250)}\t5`),
      Reason.ItemIdTooLong,
      "at most 249 bytes of UTF-8, not 250",
    ],
    [
      () => text.parseTransaction("1\t2\ta\u007f\t5"),
      Reason.ItemIdCharacter,
      "without control characters",
    ],
    [
      () => text.parseTransactionBytes(Uint8Array.from([49, 9, 49, 9, 0xff, 9, 49])),
      Reason.ItemIdCharacter,
      "UTF-8",
    ],
    [
      () => text.parseTransaction("1\t2\ta\t2147483648"),
      Reason.QuantityRange,
      "-2147483648..2147483647: 2147483648",
    ],
    [() => text.parseQuery("123"), Reason.Malformed, "queryId, a blank or TAB, and itemId"],
    [() => text.parseQuery("x a"), Reason.Malformed, "queryId must be a decimal integer"],
    [() => json.parseTransaction("["), Reason.Malformed, "Expected one JSON object"],
    [() => json.parseTransaction("null"), Reason.Malformed, "Expected one JSON object: null"],
    [
      () => json.parseTransaction('{"transactionId":1,"ts":2,"itemId":"a"}'),
      Reason.Malformed,
      "member quantity",
    ],
    [
      () => json.parseTransaction('{"transactionId":"1","ts":2,"itemId":"a","quantity":5}'),
      Reason.Malformed,
      "a number as transactionId",
    ],
    [
      () => json.parseTransaction('{"transactionId":1,"ts":2,"itemId":"a","quantity":5,"ts":2}'),
      Reason.Malformed,
      "Expected ts once",
    ],
    [
      () => json.parseTransactionBytes(Uint8Array.from([0x22, 0xff, 0x22])),
      Reason.Malformed,
      "well-formed UTF-8",
    ],
    [() => json.parseQuery('{"queryId":1.5,"itemId":"a"}'), Reason.Malformed, '"1.5"'],
    [
      () => json.parseQuery('{"queryId":1,"itemId":"\\ud800"}'),
      Reason.ItemIdCharacter,
      "well-formed",
    ],
  ];
  for (const [parse, reason, message] of cases) {
    const error = assertThrows(parse, InvalidRecordError, message);
    assertEquals(reasonName(error.reason), reasonName(reason), message);
  }
});

Deno.test("messages cut hostile values", () => {
  const error = assertThrows(
    () => codecOf(Format.Json).parseQuery("[" + "x".repeat(1e6)),
    InvalidRecordError,
  );
  assertEquals(error.message.length < 500, true);
});

Deno.test("every reason has a name of its own", () => {
  const names = new Set(REASONS.map(reasonName));
  assertEquals(names.size, REASONS.length);
  assertEquals(REASONS.length, 10);
});
