import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CheckpointChain,
  CheckpointGoneError,
  CheckpointStore,
  DamagedCheckpointError,
  SavepointExistsError,
} from "../../src/state/mod.ts";
import { FaultKv } from "../kv/fault_kv.ts";
import { TestClock } from "../log/log_fixture.ts";
import { load, noise, openStore, publish } from "./state_fixture.ts";

const memory = () => Deno.openKv(":memory:");

/** A store whose partition 0 has the checkpoints 1, 2 and 3. */
async function open(kv: FaultKv, retained = 3) {
  const store = await openStore(kv);
  const chain = await CheckpointChain.open(store, await store.takeOver(0), retained, null);
  for (let i = 1; i <= 3; i++) await publish(chain, i, { 0: noise(i, 100_000), 1: `at ${i}` });
  return { store, chain };
}

async function chunksIn(kv: Deno.Kv): Promise<number> {
  return (await Array.fromAsync(kv.list({ prefix: ["chunk"] }))).length;
}

const sequencesOf = async (store: CheckpointStore) => (await store.list(0)).map((c) => c.sequence);

/** A KV in which something happens before the n-th commit. */
class Interrupted extends FaultKv {
  n = 0;

  constructor(kv: Deno.Kv, readonly before: (n: number) => Promise<void>) {
    super(kv);
  }

  override atomic(): Deno.AtomicOperation {
    const atomic = super.atomic();
    const commit = atomic.commit.bind(atomic);
    atomic.commit = async () => {
      await this.before(++this.n);
      return await commit();
    };
    return atomic;
  }
}

Deno.test("a savepoint keeps its checkpoints through retirements and sweeps, until it is given up", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv));
  const pinned = await store.savepoints.pin("before-sale", 77, [2, null]);
  assertEquals(pinned, {
    name: "before-sale",
    at: 77,
    partitions: [{ sequence: 2, offset: 2, items: 5 }, null],
  });
  assertEquals(await store.savepoints.list(), [pinned]);
  assertEquals(await store.savepoints.get("before-sale"), pinned);
  for (let i = 4; i <= 9; i++) await publish(chain, i, { 0: noise(i, 100_000) });
  await chain.sweep();
  assertEquals(await sequencesOf(store), [9, 8, 7, 2]);
  // Neither does an owner who comes later.
  const next = await CheckpointChain.open(store, await store.takeOver(0), 1, null);
  await publish(next, 10, { 0: noise(10, 100_000), 1: "new" });
  await next.sweep();
  assertEquals(await sequencesOf(store), [10, 2]);
  const [manifest] = await store.savepoints.manifests(pinned);
  assertEquals((await load(store, manifest!)).get(0), noise(2, 100_000));
  const before = await chunksIn(kv);
  assertEquals(await store.savepoints.unpin("before-sale"), true);
  assertEquals(await store.savepoints.unpin("before-sale"), false);
  assertEquals(await store.savepoints.list(), []);
  await publish(next, 11, { 0: noise(11, 100_000) });
  assertEquals(await sequencesOf(store), [11]);
  assert(await chunksIn(kv) < before);
  kv.close();
});

Deno.test("several savepoints may name one checkpoint; the last one that goes frees it", async () => {
  const kv = await memory();
  const { store, chain } = await open(new FaultKv(kv), 1);
  await store.savepoints.pin("a", 1, [3]);
  await store.savepoints.pin("b", 2, [3]);
  assertEquals((await store.savepoints.list()).map((s) => s.name), ["b", "a"]);
  await store.savepoints.unpin("a");
  await publish(chain, 4, { 0: "x" });
  assertEquals(await sequencesOf(store), [4, 3]);
  await store.savepoints.unpin("b");
  await publish(chain, 5, { 0: "y" });
  assertEquals(await sequencesOf(store), [5]);
  kv.close();
});

Deno.test("a name is taken once, and follows the rule", async () => {
  const kv = await memory();
  const { store } = await open(new FaultKv(kv));
  await store.savepoints.pin("a.b_C-9", 1, [3]);
  await assertRejects(
    () => store.savepoints.pin("a.b_C-9", 2, [2]),
    SavepointExistsError,
    "There is a savepoint a.b_C-9 already",
  );
  assertEquals((await store.savepoints.get("a.b_C-9"))!.at, 1);
  await store.savepoints.pin("x".repeat(100), 1, [3]);
  for (const name of ["", ".", "..", "a b", "a/b", "ä", "x".repeat(101)]) {
    await assertRejects(
      () => store.savepoints.pin(name, 1, [3]),
      RangeError,
      "1 to 100 characters",
    );
  }
  await assertRejects(
    () => store.savepoints.pin("b", 1, new Array(100).fill(null)),
    RangeError,
    "at most 99 partitions: 100",
  );
  await assertRejects(
    () => store.savepoints.pin("b", 1, [99]),
    CheckpointGoneError,
    "There is no checkpoint 99 of partition 0",
  );
  assertEquals(await store.savepoints.get("b"), null);
  kv.close();
});

Deno.test("a pinned checkpoint is never removed, however pin and retirement race", async () => {
  // The pin comes before each commit of a publication that retires the very checkpoint; and each commit
  // of the pin's way may find the retirement done.
  let kept = 0;
  let gone = 0;
  for (let at = 1; at <= 12; at++) {
    const kv = await memory();
    await open(new FaultKv(kv));
    const other = await openStore(new FaultKv(kv));
    let pinned: boolean | null = null;
    const interrupted = new Interrupted(kv, async (n) => {
      if (n !== at) return;
      pinned = await other.savepoints.pin("race", 1, [1]).then(() => true, (error) => {
        assert(error instanceof CheckpointGoneError, String(error));
        return false;
      });
    });
    const store = await openStore(interrupted);
    const chain = await CheckpointChain.open(store, await store.takeOver(0), 3, null);
    await publish(chain, 4, { 0: noise(4, 100_000) });
    await chain.sweep();
    if (pinned === null) {
      kv.close();
      continue;
    }
    if (pinned) {
      kept++;
      const [manifest] = await other.savepoints.manifests((await other.savepoints.get("race"))!);
      assertEquals((await load(other, manifest!)).get(0), noise(1, 100_000), `before commit ${at}`);
    } else {
      gone++;
      assertEquals(await other.savepoints.list(), []);
      assertEquals(await sequencesOf(other), [4, 3, 2]);
    }
    kv.close();
  }
  assert(kept >= 3 && gone >= 1, `${kept} kept, ${gone} gone`);
});

Deno.test("a checkpoint that is retired while it is being pinned is not pinned", async () => {
  const kv = await memory();
  await open(new FaultKv(kv));
  const other = await openStore(new FaultKv(kv));
  const chain = await CheckpointChain.open(other, await other.takeOver(0), 1, null);
  const pinning = await openStore(
    new Interrupted(kv, async () => void await publish(chain, 4, { 0: "x" })),
  );
  await assertRejects(() => pinning.savepoints.pin("late", 1, [3]), CheckpointGoneError, "retired");
  assertEquals(await other.savepoints.list(), []);
  kv.close();
});

Deno.test("a pin is there or not there after a failure at any of its commits", async () => {
  for (const fault of ["fails", "answer lost", "dies before", "dies after"] as const) {
    const kv = await memory();
    await open(new FaultKv(kv));
    const store = await openStore(new FaultKv(kv, (n) => n === 1 ? fault : null));
    const answer = await store.savepoints.pin("a", 1, [3]).then(() => true, () => false);
    const again = await openStore(new FaultKv(kv));
    const there = await again.savepoints.get("a") !== null;
    assertEquals(
      [answer, there],
      {
        "fails": [true, true],
        "answer lost": [true, true],
        "dies before": [false, false],
        "dies after": [false, true],
      }[fault],
      fault,
    );
    const unpinning = await openStore(new FaultKv(kv, (n) => n === 1 ? fault : null));
    await unpinning.savepoints.unpin("a").catch(() => {});
    assertEquals(await again.savepoints.get("a") !== null, there && fault === "dies before");
    kv.close();
  }
});

Deno.test("a savepoint whose checkpoint is missing or altered is reported", async () => {
  const kv = await memory();
  const { store } = await open(new FaultKv(kv));
  const savepoint = await store.savepoints.pin("a", 1, [3]);
  const key = ["manifest", "job", 0, 3];
  const { value } = await kv.get<Uint8Array>(key);
  const altered = value!.slice();
  altered[50]! ^= 1;
  await kv.set(key, altered);
  await assertRejects(
    () => store.savepoints.manifests(savepoint),
    DamagedCheckpointError,
    "torn or altered",
  );
  await kv.delete(key);
  await assertRejects(
    () => store.savepoints.manifests(savepoint),
    DamagedCheckpointError,
    "Checkpoint 3 of partition 0 is missing",
  );
  kv.close();
});

Deno.test("a KV that cannot be read for a moment costs no chunk", async () => {
  const kv = await memory();
  const { store } = await open(new FaultKv(kv));
  const owner = await store.takeOver(0);
  const failing = new FaultKv(kv);
  failing.getMany = () => Promise.reject(new Error("database is locked"));
  const blind = await openStore(failing);
  await assertRejects(
    () => CheckpointChain.open(blind, owner, 3, null),
    Error,
    "database is locked",
  );
  kv.close();
});

// ---- where a commit takes fewer checks than there are partitions ----

const PARTITIONS = 12;
const NOW = new TestClock().now();

/** As denokv: ten checks a commit. */
function remote(kv: FaultKv): FaultKv {
  return Object.assign(kv, {
    limits: { commitBytes: 700_000, commitMutations: 900, commitChecks: 10 },
  });
}

/** A store with checkpoint 1 of each of the partitions. */
async function openMany(kv: FaultKv) {
  const store = await openStore(remote(kv));
  const chains = await Promise.all(Array.from({ length: PARTITIONS }, async (_, p) => {
    const chain = await CheckpointChain.open(store, await store.takeOver(p), 1, null);
    await publish(chain, 1, { 0: `first of ${p}` });
    return chain;
  }));
  return { store, chains, all: chains.map(() => 1) };
}

Deno.test("a savepoint of more partitions than a commit has checks is whole, or is not there, at every crash", async () => {
  for (const fault of ["dies before", "dies after", "answer lost"] as const) {
    for (let n = 1;; n++) {
      const kv = await memory();
      const faulty = new FaultKv(kv);
      const { store, all } = await openMany(faulty);
      const before = faulty.commits;
      let faults = 0;
      faulty.plan = (commit) => commit === before + n && ++faults === 1 ? fault : null;
      const taken = await store.savepoints.pin("before-sale", NOW, all).catch((error) => error);
      const later = await openStore(remote(new FaultKv(kv)));
      const found = await later.savepoints.get("before-sale");
      if (found) {
        assertEquals(found.partitions.map((member) => member?.sequence), all);
        assertEquals((await later.savepoints.manifests(found)).length, PARTITIONS);
      } else assert(taken instanceof Error, "what was answered is there");
      assertEquals((await later.savepoints.list()).length, found ? 1 : 0);
      kv.close();
      if (faults === 0) {
        assertEquals(found, taken);
        assert(n > 2, `${faulty.commits - before} commits`);
        break;
      }
    }
  }
});

Deno.test("a checkpoint that is retired while a savepoint of many partitions is taken: none is taken; a pin under way keeps all", async () => {
  const kv = await memory();
  const { store, chains, all } = await openMany(new FaultKv(kv));
  // Between the look at the manifests and the pin, one of them is retired; and in the next try behind the pin.
  for (const when of ["before", "behind"] as const) {
    const interrupted = remote(
      new Interrupted(kv, async (n) => {
        if (n === (when === "before" ? 1 : 2)) await publish(chains[3]!, 2, { 0: "second" });
      }),
    );
    const other = await openStore(interrupted);
    const taking = other.savepoints.pin(when, NOW, when === "before" ? all : sequences());
    if (when === "before") {
      await assertRejects(() => taking, CheckpointGoneError);
      assertEquals(await store.savepoints.list(), []);
    } else {
      const taken = await taking;
      assertEquals((await store.savepoints.manifests(taken)).length, PARTITIONS);
      assertEquals(taken.partitions[3]!.sequence, 2);
    }
  }
  await assertRejects(() => store.savepoints.pin("behind", NOW, sequences()), SavepointExistsError);
  assertEquals(await store.savepoints.unpin("behind"), true);
  kv.close();

  function sequences() {
    return all.map((sequence, p) => p === 3 ? 2 : sequence);
  }
});

Deno.test("a savepoint that was begun and never ended is given up after an hour, and frees its name and its checkpoints", async () => {
  const kv = await memory();
  const { store, chains, all } = await openMany(new FaultKv(kv));
  const dying = await openStore(remote(new FaultKv(kv, (n) => n === 2 ? "dies before" : null)));
  await dying.savepoints.pin("begun", NOW - 3_600_001, all).catch(() => {});
  assertEquals(await store.savepoints.get("begun"), null);
  for (let i = 2; i <= 3; i++) await publish(chains[0]!, i, { 0: `later ${i}` });
  assertEquals(await sequencesOf(store), [3]);
  assertEquals((await Array.fromAsync(kv.list({ prefix: ["pin"] }))).length, 0);
  const now = all.map((sequence, p) => p === 0 ? 3 : sequence);
  assertEquals((await store.savepoints.pin("begun", NOW, now)).name, "begun");
  kv.close();
});
