import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { LostError } from "../../src/log/mod.ts";
import { BrokenPromiseError, encodeUtf8 } from "../../src/types/mod.ts";
import {
  CheckpointChain,
  CheckpointStore,
  DamagedCheckpointError,
  FencedError,
} from "../../src/state/mod.ts";
import { type Kv, readBelow, toKv } from "../../src/kv/mod.ts";
import { type Fault, FaultKv } from "../kv/fault_kv.ts";
import { casesOfTest } from "../../tools/kit/random.ts";
import { facts, load, loadPieces, noise, openStore, publish } from "./state_fixture.ts";

const memory = () => Deno.openKv(":memory:");

async function open(kv: FaultKv, retained = 3) {
  const store = await openStore(kv);
  const chain = await CheckpointChain.open(store, await store.takeOver(0), retained, null);
  return { store, chain };
}

async function count(kv: Deno.Kv, prefix: string): Promise<number> {
  return (await Array.fromAsync(kv.list({ prefix: [prefix] }))).length;
}

Deno.test("a checkpoint gives back its segments, small ones and those of many chunks", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv));
  const segments = {
    0: "a",
    7: noise(1, 1000),
    200: noise(2, 300_000),
    255: new Uint8Array(500_000),
  };
  const manifest = await publish(chain, 10, segments);
  const loaded = await load(store, manifest);
  assertEquals([...loaded.keys()], [0, 7, 200, 255]);
  for (const [i, bytes] of Object.entries(segments)) {
    assertEquals(loaded.get(Number(i)), typeof bytes === "string" ? encodeUtf8(bytes) : bytes);
  }
  assert(manifest.totalBytes > 290_000 && manifest.totalBytes < 320_000, `${manifest.totalBytes}`);
  assertEquals((await store.list(0)).map((c) => c.manifest), [manifest]);
  kv.close();
});

Deno.test("small segments of a store behind a thread are read by one call; one that is missing is named", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv));
  const all = Array.from({ length: 200 }, (_, n) => [n, noise(n, 100)] as const);
  const first = await publish(chain, 10, Object.fromEntries(all));
  const next = all.map(([n]) => [n, noise(n + 1000, 100)] as const);
  const second = await publish(chain, 20, Object.fromEntries(next));
  const read: number[] = [];
  const behind: Kv = {
    ...toKv(kv),
    readBelow: (prefix, keys) => {
      read.push(keys.length);
      return readBelow(toKv(kv), prefix, keys);
    },
  };
  const far = await CheckpointStore.open(behind, store.options);
  assertEquals([...await load(far, first)], all.map(([n, bytes]) => [n, bytes]));
  assertEquals([...await load(far, second)], next.map(([n, bytes]) => [n, bytes]));
  assertEquals(read, [200, 200]);
  const [gone] = (await store.parts(second)).segments.get(7)!.chunks;
  await kv.delete(store.chunkKey(0, gone!));
  await assertRejects(() => load(far, second), DamagedCheckpointError, `Chunk ${gone} is missing`);
  kv.close();
});

Deno.test("segments are read several requests at a time, for a store on another machine answers each after a while", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv));
  const all = Array.from({ length: 200 }, (_, n) => [n, noise(n, 100)] as const);
  const manifest = await publish(chain, 10, Object.fromEntries(all));
  const underWay: PromiseWithResolvers<void>[] = [];
  const slow = new Proxy(toKv(kv), {
    get: (of, name) => {
      if (name !== "getMany") return Reflect.get(of, name);
      return async (keys: readonly Deno.KvKey[]) => {
        const answer = Promise.withResolvers<void>();
        underWay.push(answer);
        await answer.promise;
        return await of.getMany(keys as []);
      };
    },
  });
  const reading = load(await CheckpointStore.open(slow, store.options), manifest);
  let most = 0;
  let isRead = false;
  void reading.then(() => isRead = true);
  while (!isRead) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    most = Math.max(most, underWay.length);
    // The last one is answered first: the order is kept all the same.
    underWay.pop()?.resolve();
  }
  assertEquals(most, 4);
  assertEquals([...await reading], all.map(([n, bytes]) => [n, bytes]));
  kv.close();
});

Deno.test("an unchanged segment is referenced, not written again", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv));
  await publish(chain, 1, { 0: noise(1, 50_000), 1: noise(2, 50_000) });
  const second = await publish(chain, 2, { 1: noise(3, 50_000) });
  assert(second.newBytes < 52_000, `${second.newBytes}`);
  assert(second.totalBytes > 99_000);
  const third = await publish(chain, 3, { 0: noise(1, 50_000) }); // encoded again, but the same
  assert(third.newBytes < 1000, `${third.newBytes}`);
  assertEquals(third.stateHash === second.stateHash, false); // the position differs
  assertEquals((await load(store, third)).get(1), noise(3, 50_000));
  kv.close();
});

Deno.test("the state hash covers scalars and segments, but not the late counter", async () => {
  const kv = await memory();
  const { chain } = await open(new FaultKv(kv));
  const hash = async (change: Partial<ReturnType<typeof facts>["scalars"]>, segment: string) => {
    chain.begin().add(0, encodeUtf8(segment));
    const f = facts(1);
    return (await chain.publish({ ...f, scalars: { ...f.scalars, ...change } })).stateHash;
  };
  const one = await hash({}, "a");
  assertEquals(await hash({ late: 99n }, "a"), one);
  for (
    const [change, segment] of [[{}, "b"], [{ watermark: 1n }, "a"], [{ accepted: 2n }, "a"], [{
      position: 2n,
    }, "a"]] as const
  ) {
    assert(await hash(change, segment) !== one);
  }
  kv.close();
});

Deno.test("load falls back when a chunk is damaged or missing", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv));
  const older = await publish(chain, 1, { 0: noise(1, 200_000), 1: "kept" });
  const newer = await publish(chain, 2, { 0: noise(2, 200_000) });
  const olderChunks = new Set(
    [...(await store.parts(older)).segments.values()].flatMap((e) => e.chunks),
  );
  let tried = 0;
  const entries = [
    ...await Array.fromAsync(kv.list<Uint8Array>({ prefix: ["chunk"] })),
    ...await Array.fromAsync(kv.list<Uint8Array>({ prefix: ["manifest", "job", 0, 2] })),
    (await kv.get<Uint8Array>(["manifest", "job", 0, 2])) as Deno.KvEntry<Uint8Array>,
  ];
  for (const { key, value } of entries) {
    const hash = key[0] === "chunk"
      ? Array.from(key[3] as Uint8Array, (b) => b.toString(16).padStart(2, "0")).join("")
      : "";
    if (olderChunks.has(hash) || older.index.includes(hash)) continue;
    const step = Math.max(1, Math.floor(value.length / 25));
    const damages: (Uint8Array | null)[] = key[0] === "chunk" ? [null] : [];
    for (let at = 0; at < value.length; at += step) {
      const altered = value.slice();
      altered[at]! ^= 1 << (at % 8);
      damages.push(altered, value.slice(0, at));
    }
    for (const damage of damages) {
      if (damage) await kv.set(key, damage);
      else await kv.delete(key);
      const usable: number[] = [];
      for (const { sequence, manifest } of await store.list(0)) {
        try {
          if (!manifest) continue;
          await load(store, manifest);
          usable.push(sequence);
        } catch (error) {
          assert(error instanceof DamagedCheckpointError, String(error));
        }
      }
      assertEquals(usable, [1], `${String(key[0])} ${hash}`);
      tried++;
    }
    await kv.set(key, value);
  }
  assert(tried > 100, `${tried}`);
  assertEquals((await load(store, newer)).get(0), noise(2, 200_000));
  kv.close();
});

Deno.test("a manifest of another format is reported, not used", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv));
  await publish(chain, 1, { 0: "a" });
  const key = ["manifest", "job", 0, 1];
  const { value } = await kv.get<Uint8Array>(key);
  const json = new TextDecoder().decode(value!.subarray(32)).replace('"format":2', '"format":9');
  const body = encodeUtf8(json);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  await kv.set(key, Uint8Array.from([...digest, ...body]));
  const [listed] = await store.list(0);
  assertEquals(listed!.manifest, null);
  assertEquals(listed!.damage, "The manifest is of format 9; this program reads formats 1 to 2");
  kv.close();
});

Deno.test("publish fails after another owner took the epoch", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv));
  await publish(chain, 1, { 0: "a" });
  chain.begin().add(0, encodeUtf8("zombie"));
  const successor = await CheckpointChain.open(store, await store.takeOver(0), 3, null);
  await assertRejects(
    () => chain.publish(facts(2)),
    FencedError,
    "Partition 0 has another owner",
  );
  const published = await publish(successor, 2, { 0: "successor" });
  assertEquals((await store.list(0)).map((c) => c.sequence), [2, 1]);
  assertEquals((await load(store, published)).get(0), encodeUtf8("successor"));
  kv.close();
});

Deno.test("the retained checkpoints stay whole, and nothing else stays", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv), 2);
  for (let i = 1; i <= 12; i++) {
    await publish(chain, i, { [i % 3]: noise(i, 100_000), 100: "always the same" });
    const listed = await store.list(0);
    assertEquals(listed.map((c) => c.sequence), i === 1 ? [1] : [i, i - 1]);
    for (const { manifest } of listed) await load(store, manifest!);
  }
  const needed = new Set<string>();
  for (const { manifest } of await store.list(0)) {
    for (const hash of manifest!.index) needed.add(hash);
    for (const entry of (await store.parts(manifest!)).segments.values()) {
      entry.chunks.forEach((h) => needed.add(h));
    }
  }
  assertEquals(await count(kv, "chunk"), needed.size);
  kv.close();
});

Deno.test("a crash at any write leaves the checkpoint before or after whole, and a sweep cleans up", async () => {
  const run = async (kv: FaultKv) => {
    const { chain } = await open(kv, 2);
    for (let i = 1; i <= 3; i++) {
      await publish(chain, i, { 0: noise(i, 800_000), 1: noise(9, 1000) });
    }
  };
  const dry = new FaultKv(await memory());
  await run(dry);
  dry.kv.close();
  assert(dry.commits > 10);
  const faults: Fault[] = ["dies before", "dies after", "answer lost", "fails"];
  for (const [row, fault] of faults.entries()) {
    for (const at of casesOfTest(1, dry.commits, 4, row)) {
      const kv = await memory();
      await run(new FaultKv(kv, (n) => n === at ? fault : null)).catch(() => {});
      const store = await openStore(new FaultKv(kv));
      const listed = await store.list(0);
      for (const { sequence, manifest } of listed) {
        assertEquals((await load(store, manifest!)).get(0), noise(sequence, 800_000));
      }
      if (fault === "fails" || fault === "answer lost") {
        assertEquals(listed.map((c) => c.sequence), [3, 2], `${fault} at ${at}`);
      }
      const base = listed[0]?.manifest ?? null;
      const chain = await CheckpointChain.open(store, await store.takeOver(0), 2, base);
      await publish(chain, 9, { 0: noise(9, 800_000) });
      await chain.sweep();
      // Two checkpoints are left: 0.8 MB each, segment 1 and two indexes.
      const expected = (base ? 2 : 1) * Math.ceil(800_000 / 65_000);
      assert(
        Math.abs(await count(kv, "chunk") - expected) <= 4,
        `${fault} at ${at}: ${await count(kv, "chunk")}`,
      );
      kv.close();
    }
  }
});

Deno.test("a chain writes one checkpoint at a time, and publishes one that was begun alone", async () => {
  const kv = await memory();
  const { chain } = await open(new FaultKv(kv));
  await assertRejects(() => chain.publish(facts(1)), BrokenPromiseError);
  assertEquals(chain.begin().sequence, 1);
  assertThrows(() => chain.begin(), BrokenPromiseError);
  await chain.abandon();
  assertEquals(chain.begin().sequence, 1);
  await chain.publish(facts(1));
  assertEquals(chain.begin().sequence, 2);
  kv.close();
});

Deno.test("a checkpoint that is given up leaves no chunk and the next one is whole", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv));
  await publish(chain, 1, { 0: noise(1, 100_000) });
  const before = await count(kv, "chunk");
  const draft = chain.begin();
  draft.add(0, noise(2, 800_000));
  draft.add(1, noise(1, 100_000)); // the same bytes as segment 0 of the checkpoint before
  await draft.flush(true);
  await chain.abandon();
  assertEquals(await count(kv, "chunk"), before);
  const next = await publish(chain, 2, { 0: noise(3, 1000) });
  assertEquals((await load(store, next)).get(0), noise(3, 1000));
  kv.close();
});

Deno.test("history keeps the last events over restarts, newest first", async () => {
  const kv = await memory();
  const first = await openStore(new FaultKv(kv));
  for (let i = 0; i < 510; i++) {
    await first.history.add({ kind: "completed", at: i, partition: 0, sequence: i, offset: i });
  }
  const again = await openStore(new FaultKv(kv));
  await again.history.add({
    kind: "failed",
    at: 510,
    partition: 1,
    sequence: 1,
    offset: 5,
    reason: "disk full",
  });
  const events = await again.history.list(3);
  assertEquals(events.map((e) => e.at), [510, 509, 508]);
  assertEquals(events[0]!.reason, "disk full");
  assertEquals((await again.history.list(1000)).length, 500);
  kv.close();
});

Deno.test("chain is not opened when the checkpoint that the core came from cannot be read now", async () => {
  const kv = await Deno.openKv(":memory:");
  const store = await openStore(toKv(kv));
  const chain = await CheckpointChain.open(store, await store.takeOver(0), 2, null);
  const base = await publish(chain, 10, { 1: "one", 2: "two" });
  const locked = { ...toKv(kv), getMany: () => Promise.reject(new Error("database is locked")) };
  const unable = await openStore(locked);
  // Taken for damaged, its unchanged segments would be missing in the next checkpoint.
  await assertRejects(
    async () => await CheckpointChain.open(unable, await unable.takeOver(0), 2, base),
    Error,
    "database is locked",
  );
  await kv.delete(["chunk", "job", 0, Uint8Array.fromHex(base.index[0]!)]);
  await assertRejects(
    async () => await CheckpointChain.open(store, await store.takeOver(0), 2, base),
    DamagedCheckpointError,
    "missing",
  );
  await kv.delete(["manifest", "job", 0, base.sequence]);
  await assertRejects(
    async () => await CheckpointChain.open(store, await store.takeOver(0), 2, base),
    Error,
    "Checkpoint 1 of partition 0 is gone",
  );
  kv.close();
});

Deno.test("remembered transactions: full pieces are written once, and go when they are forgotten", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv));
  // More than one chunk of their index.
  const pieces = Object.fromEntries(Array.from({ length: 700 }, (_, i) => [i, noise(i, 100)]));
  const first = await publish(chain, 1, { 0: "a" }, pieces);
  assertEquals(first.remembered!.index.length, 2);
  const later = async (position: number, firstPiece: bigint, own: Record<number, Uint8Array>) => {
    const draft = chain.begin();
    draft.remember({ header: Uint8Array.of(0, 1, 1, position), firstPiece });
    for (const [i, bytes] of Object.entries(own)) draft.addPiece(Number(i), bytes);
    return await chain.publish({ ...facts(position), secret: first.remembered!.secret });
  };
  const second = await later(2, 0n, { 699: noise(1699, 100), 700: noise(700, 100) });
  // Two pieces, the last chunk of their index, and the index of segments, which is as it was.
  const index = 8 + 72 * (701 - 512);
  assert(second.newBytes < index + 2 * 200, `${second.newBytes}`);
  assertEquals(second.remembered!.index[0], first.remembered!.index[0]);
  const third = await later(3, 600n, {});
  const found = await loadPieces(store, third);
  assertEquals(found.length, 101);
  assertEquals([found[0], found[99], found[100]], [
    noise(600, 100),
    noise(1699, 100),
    noise(700, 100),
  ]);
  // A chain that is opened anew goes on with them.
  const owner = await store.takeOver(0);
  const again = await CheckpointChain.open(store, owner, 1, third);
  again.begin().remember({ header: Uint8Array.of(0, 1, 1, 4), firstPiece: 650n });
  await again.publish({ ...facts(4), secret: first.remembered!.secret });
  await again.sweep();
  const chunks = await Array.fromAsync(kv.list({ prefix: ["chunk"] }));
  assertEquals(chunks.length, 51 + 1 + 2); // pieces, their index, and segment 0 with its index
  kv.close();
});

Deno.test("a step that was given up asks the store no more; one that failed asks who owns the partition", async () => {
  const kv = await memory();
  const behind = new FaultKv(kv);
  const { store } = await open(behind);
  const epoch = await store.takeOver(0);
  let reads = 0;
  const { get } = behind;
  behind.get = (key, options) => {
    reads++;
    return get(key, options);
  };
  const failsAsLost = (error: Error) =>
    assertRejects(() => store.whileOwned(epoch, () => Promise.reject(error)), LostError);
  await failsAsLost(new LostError("The recovery was given up"));
  assertEquals(reads, 0);
  await store.takeOver(0);
  const before = reads;
  await failsAsLost(new DamagedCheckpointError("A chunk is missing"));
  assertEquals(reads, before + 1);
  kv.close();
});
