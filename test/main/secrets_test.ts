import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exitCodeOf } from "../../src/arguments.ts";
import { configureLogs } from "../../src/job/logging.ts";
import { ParameterError, StopError } from "../../src/job/mod.ts";

const SECRET = "Tr0ub4dor&3";

Deno.test("a final error shows no secret, whatever kind it is of", async () => {
  const errors = [
    new StopError(`the broker says ${SECRET}`, `not ${SECRET}`),
    new ParameterError(`x=${SECRET}`),
    new Error("outer", { cause: new TypeError(`inner ${SECRET}`) }),
  ];
  await configureLogs({ level: "error", secrets: [SECRET] });
  for (const [i, error] of errors.entries()) {
    let said = "";
    const print = (text: string) => void (said += text);
    const code = await exitCodeOf(() => Promise.reject(error), print);
    assertEquals(code, [2, 2, 1][i], said);
    assert(!said.includes(SECRET), said);
    assertStringIncludes(said, "***");
  }
});
