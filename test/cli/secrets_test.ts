import { reset } from "@logtape/logtape";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { exitCodeOf } from "../../src/cli/arguments.ts";
import { configureLogs } from "../../src/engine/logging.ts";
import { ParameterError } from "../../src/parameters/mod.ts";
import { StopError } from "../../src/log/mod.ts";

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
  await reset(); // of the whole process: the tests behind this one say nothing
});

Deno.test("what a program says at its end steers no terminal, whatever path or value it quotes", async () => {
  let said = "";
  const error = new ParameterError("x=\u001b[2J\u009b31m\u0000\tb\nc");
  await exitCodeOf(() => Promise.reject(error), (text) => void (said += text));
  assertStringIncludes(said, "x=\\u001b[2J\\u009b31m\\u0000\tb\nc");
});
