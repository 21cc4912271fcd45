// Bugs that are planted in a copy of the sources (deno task sim:mutants) must still fit them.

import { assertEquals } from "@std/assert";
import { EDITS, misfitOf } from "../../bench/unwatched.ts";
import { MUTATIONS } from "../sim/mutations.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("each planted bug changes its file, in one place", async () => {
  const unfit: string[] = [];
  for (const { bug, file, find } of MUTATIONS) {
    const source = await Deno.readTextFile(new URL(file, ROOT));
    if (source.split(find).length !== 2) unfit.push(`${bug}: ${file}`);
  }
  assertEquals(unfit, []);
});

Deno.test("what deno task bench:page:cost takes out of the sources is there, in one place", async () => {
  const misfits = await Promise.all(
    EDITS.map(async (edit) => misfitOf(edit, await Deno.readTextFile(new URL(edit.file, ROOT)))),
  );
  assertEquals(misfits.filter((misfit) => misfit !== null), []);
});
