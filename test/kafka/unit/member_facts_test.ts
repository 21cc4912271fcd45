import { assert, assertEquals } from "@std/assert";
import {
  decodeFacts,
  decodeRefusal,
  encodeFacts,
  encodeRefusal,
  type MemberFacts,
  refusedMembers,
} from "../../../src/kafka/member_facts.ts";
import { decodeActive } from "../../../src/kafka/active_process.ts";
import { encodeUtf8 } from "../../../src/types/mod.ts";

const member = (since: number, windowMs: string): MemberFacts => ({
  since,
  shared: { "transaction.output.topic": "results", windowMs },
});

Deno.test("what a member says of itself survives a round trip, and nothing else is taken for it", () => {
  const facts = member(7, "60000");
  assertEquals(decodeFacts(encodeFacts(facts)), facts);
  for (const text of ["", "stockflow1 since=-1 shared={}", "stockflow1 since=1 shared={x}", "x"]) {
    assertEquals(decodeFacts(encodeUtf8(text)), null);
  }
  assertEquals(decodeFacts(new Uint8Array([255, 254])), null);
});

Deno.test("a refusal is read as one, and by earlier versions as no active process", () => {
  const refused = encodeRefusal("windowMs is 1 here and 2 there");
  assertEquals(decodeRefusal(refused), "windowMs is 1 here and 2 there");
  assertEquals(decodeActive(refused), null);
});

Deno.test("who differs from the member that is there for the longest is refused, whoever leads", () => {
  const refused = (
    entries: [string, MemberFacts | null][],
    leader: string,
  ) => [...refusedMembers(new Map(entries), leader).keys()];
  const old = member(3, "60000");
  const other = member(0, "300000");
  assertEquals(refused([["a", old], ["b", other]], "a"), ["b"]);
  assertEquals(refused([["a", old], ["b", other]], "b"), ["b"]);
  // Also one that was there before, but not for as long.
  assertEquals(refused([["b", { ...other, since: 9 }], ["a", old]], "b"), ["b"]);
  // All are new: the leader is the measure.
  assertEquals(refused([["a", member(0, "60000")], ["b", other]], "b"), ["a"]);
  assertEquals(refused([["a", old], ["b", member(0, "60000")]], "a"), []);
  // Members of earlier versions say nothing.
  assertEquals(refused([["a", null], ["b", other]], "a"), []);
  const [difference] = refusedMembers(new Map([["a", old], ["b", other]]), "a").values();
  assertEquals(difference, "windowMs is 300000 here and 60000 there");
  assert(!difference!.includes("results"));
});
