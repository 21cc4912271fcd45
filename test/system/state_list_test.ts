import { assertEquals, assertStringIncludes } from "@std/assert";
import { openKvFile } from "../../src/kv/mod.ts";
import { JOB_NAME } from "../../src/service/mod.ts";
import { CheckpointChain, CheckpointStore } from "../../src/state/mod.ts";
import { systemChance, systemClock } from "../../src/types/mod.ts";
import { facts } from "../state/state_fixture.ts";

Deno.test("state list shows checkpoints with times that no date can be", async () => {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-state-" });
  const path = `${folder}/state.kv`;
  const store = await CheckpointStore.open(await openKvFile(path), {
    job: JOB_NAME,
    clock: systemClock,
    chance: systemChance,
  });
  const chain = await CheckpointChain.open(store, await store.takeOver(0), 1, null);
  chain.begin();
  const about = facts(7);
  await chain.publish({ ...about, scalars: { ...about.scalars, watermark: 2n ** 53n - 1n } });
  store.close();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-lock", "-A", "src/cli/state.ts", "list", `--state.kv=${path}`],
  }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
  assertStringIncludes(new TextDecoder().decode(stdout), "9007199254740991");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("state list and verify say that there is no checkpoint yet, rather than nothing", async () => {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-state-" });
  const path = `${folder}/state.kv`;
  (await openKvFile(path)).close();
  for (const command of ["list", "verify"]) {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-lock", "-A", "src/cli/state.ts", command, `--state.kv=${path}`],
    }).output();
    assertEquals(code, 0);
    assertStringIncludes(new TextDecoder().decode(stderr), "There is no checkpoint yet");
  }
  await Deno.remove(folder, { recursive: true });
});
