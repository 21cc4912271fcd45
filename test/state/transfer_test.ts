import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  CheckpointChain,
  DamagedCheckpointError,
  exportCheckpoints,
  importCheckpoints,
  readExported,
} from "../../src/state/mod.ts";
import { FaultKv } from "../log/fault_kv.ts";
import { load, noise, openStore, publish } from "./state_fixture.ts";

async function exported(): Promise<Uint8Array> {
  const kv = await Deno.openKv(":memory:");
  const store = await openStore(new FaultKv(kv));
  const manifests = [];
  for (const partition of [0, 1]) {
    const chain = await CheckpointChain.open(store, await store.takeOver(partition), 3, null);
    await publish(chain, 5, { 3: "older" });
    manifests.push(await publish(chain, 9, { 0: noise(partition, 150_000), 7: "shared" }));
  }
  const parts: number[] = [];
  for await (const part of exportCheckpoints(store, manifests)) {
    for (const byte of part) parts.push(byte);
  }
  kv.close();
  return Uint8Array.from(parts);
}

Deno.test("what was exported is imported whole, and checkpoints go on behind it", async () => {
  const file = readExported(await exported());
  const kv = await Deno.openKv(":memory:");
  const store = await openStore(new FaultKv(kv));
  await importCheckpoints(store, file);
  for (const partition of [0, 1]) {
    const [only, ...rest] = await store.list(partition);
    assertEquals(rest, []);
    const segments = await load(store, only!.manifest!);
    assertEquals(segments.get(0), noise(partition, 150_000));
    assertEquals(new TextDecoder().decode(segments.get(3)), "older");
    const chain = await CheckpointChain.open(
      store,
      await store.takeOver(partition),
      3,
      only!.manifest!,
    );
    const next = await publish(chain, 12, { 7: "changed" });
    assert(next.newBytes < 1000);
    assertEquals((await load(store, next)).get(0), noise(partition, 150_000));
  }
  await assertRejects(() => importCheckpoints(store, file), RangeError, "partition 0 already");
  kv.close();
});

Deno.test("an exported file that is altered or cut anywhere is refused", async () => {
  const file = await exported();
  for (let at = 0; at < file.length; at += 997) {
    const altered = file.slice();
    altered[at]! ^= 1;
    assertThrows(() => readExported(altered), DamagedCheckpointError);
    assertThrows(() => readExported(file.slice(0, at)), DamagedCheckpointError);
  }
  assertThrows(() => readExported(new Uint8Array()), DamagedCheckpointError, "no exported state");
});
