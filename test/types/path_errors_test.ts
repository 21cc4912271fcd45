import { assertEquals, assertStringIncludes } from "@std/assert";
import { knownTrouble, pathTrouble } from "../../src/types/mod.ts";

const withCode = (code: string) => Object.assign(new Error(`said by ${code}`), { code });

Deno.test("pathTrouble: the advice fits the cause", () => {
  const cases: [unknown, string, string][] = [
    [new Deno.errors.PermissionDenied("os error 13"), "does not permit", "chown, chmod"],
    [withCode("EACCES"), "does not permit", "chown, chmod"],
    [new Deno.errors.NotCapable("--allow-write"), "Deno does not allow it", "deno task start"],
    [withCode("EROFS"), "read-only", "mount this one for writing"],
    [withCode("ENOSPC"), "the disk is full", "free space"],
    [withCode("EISDIR"), "it is a folder", "name a file"],
    [withCode("ENOTDIR"), "a part of the path is a file", "look at the path"],
    [withCode("EEXIST"), "it exists already", "not there yet"],
    [withCode("EMFILE"), "too many files", "ulimit"],
    [new Error("of another kind"), "of another kind", "look at the path"],
    ["no error", "no error", "look at the path"],
  ];
  for (const [error, reason, remedy] of cases) {
    const trouble = pathTrouble(error);
    assertStringIncludes(trouble.reason, reason);
    assertStringIncludes(trouble.remedy, remedy);
  }
  assertEquals(knownTrouble(new Error("file is not a database")), null);
});
