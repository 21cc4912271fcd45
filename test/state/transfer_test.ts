import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  CheckpointChain,
  DamagedCheckpointError,
  exportCheckpoints,
  importCheckpoints,
  withPinned,
} from "../../src/state/mod.ts";
import { readExported } from "../../src/state/read_exported.ts";
import { FaultKv } from "../kv/fault_kv.ts";
import { load, noise, openStore, publish } from "./state_fixture.ts";

/** Two partitions, each with its newest checkpoint; with a savepoint the older ones as well. */
async function exported(savepoint?: string): Promise<Uint8Array> {
  const kv = await Deno.openKv(":memory:");
  const store = await openStore(new FaultKv(kv));
  const manifests = [];
  for (const partition of [0, 1]) {
    const chain = await CheckpointChain.open(store, await store.takeOver(partition), 3, null);
    await publish(chain, 5, { 3: "older" });
    manifests.push(await publish(chain, 9, { 0: noise(partition, 150_000), 7: "shared" }));
  }
  const savepoints = savepoint ? [await store.savepoints.pin(savepoint, 42, [1, 2, null])] : [];
  const parts: Uint8Array[] = [];
  const all = await withPinned(store, manifests, savepoints);
  for await (const part of exportCheckpoints(store, all, savepoints)) parts.push(part.slice());
  kv.close();
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The body with the hash that belongs to it. */
async function sealed(body: Uint8Array): Promise<Uint8Array> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", Uint8Array.from(body)));
  return Uint8Array.from([...body, ...hash]);
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
  assertThrows(
    () => readExported(new Uint8Array()),
    DamagedCheckpointError,
    "not an exported state",
  );
});

Deno.test("a savepoint is carried along with its name, time and checkpoints", async () => {
  const file = readExported(await exported("before-sale"));
  assertEquals(file.manifests.map((m) => [m.partition, m.sequence]), [[0, 2], [1, 2], [0, 1]]);
  const kv = await Deno.openKv(":memory:");
  const store = await openStore(new FaultKv(kv));
  await importCheckpoints(store, file);
  const [savepoint, ...rest] = await store.savepoints.list();
  assertEquals(rest, []);
  assertEquals(savepoint, {
    name: "before-sale",
    at: 42,
    partitions: [
      { sequence: 1, offset: 5, items: 5 },
      { sequence: 2, offset: 9, items: 5 },
      null,
    ],
  });
  const [first, second] = await store.savepoints.manifests(savepoint!);
  assertEquals([...(await load(store, first!)).keys()], [3]);
  assertEquals((await load(store, second!)).get(0), noise(1, 150_000));
  await assertRejects(() => importCheckpoints(store, file), RangeError, "before-sale already");
  kv.close();
});

Deno.test("an import that is cut short leaves no savepoint that is not whole", async () => {
  const file = readExported(await exported("before-sale"));
  const dry = await Deno.openKv(":memory:");
  const counting = new FaultKv(dry);
  await importCheckpoints(await openStore(counting), file);
  dry.close();
  for (let at = 1; at <= counting.commits; at++) {
    const kv = await Deno.openKv(":memory:");
    const store = await openStore(new FaultKv(kv, (n) => n === at ? "dies after" : null));
    await assertRejects(() => importCheckpoints(store, file));
    const again = await openStore(new FaultKv(kv));
    for (const savepoint of await again.savepoints.list()) {
      const manifests = await again.savepoints.manifests(savepoint);
      for (const manifest of manifests) if (manifest) await load(again, manifest);
      assertEquals(at, counting.commits);
    }
    kv.close();
  }
});

Deno.test("files of the format before are read, later ones refused, and so is a savepoint that is not whole", async () => {
  const file = await exported();
  const body = file.slice("stockflow-state 2\n".length, -32);
  const text = new TextEncoder();
  const first = await sealed(Uint8Array.from([...text.encode("stockflow-state\n"), ...body]));
  assertEquals(readExported(first).manifests.length, 2);
  const third = await sealed(Uint8Array.from([...text.encode("stockflow-state 3\n"), ...body]));
  assertThrows(
    () => readExported(third),
    DamagedCheckpointError,
    "The file is of format 3; this program reads formats 1 to 2",
  );
  const withSavepoint = async (json: string) => {
    const bytes = text.encode(json);
    const head = Uint8Array.of(3, bytes.length, 0, 0, 0);
    return await sealed(Uint8Array.from([...file.slice(0, -33), ...head, ...bytes, 0]));
  };
  const missing = '{"name":"a","at":1,"partitions":[{"sequence":7,"offset":1,"items":1}]}';
  const cases: [string, string][] = [
    [missing, "Checkpoint 7 of partition 0 is missing, which savepoint a needs"],
    ['{"name":"a/b","at":1,"partitions":[null]}', "is not a savepoint"],
    ['{"name":"a","partitions":[null]}', "is not a savepoint"],
    ["{", "is not a savepoint"],
  ];
  for (const [json, message] of cases) {
    const damaged = await withSavepoint(json);
    assertThrows(() => readExported(damaged), DamagedCheckpointError, message);
  }
});
