import { assert, assertEquals } from "@std/assert";
import { ErrorCode, errorCodeOf, isFenced } from "../../../src/kafka/client/errors.ts";
import { protocolError } from "../../../src/kafka/client/internals.ts";

Deno.test("every error code that is distinguished is that of the error that kafkajs makes of it", () => {
  for (const [name, code] of Object.entries(ErrorCode)) {
    assertEquals(errorCodeOf(protocolError(code)), code, name);
  }
});

Deno.test("a producer that is fenced by a code that kafkajs does not know is fenced", () => {
  assert(isFenced(protocolError(ErrorCode.ProducerFenced)));
});
