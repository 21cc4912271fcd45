// Exported files that somebody made by hand: every hash is right, and what they say is not.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { zstdCompressSync } from "node:zlib";
import {
  CheckpointChain,
  type CheckpointStore,
  DamagedCheckpointError,
  exportCheckpoints,
  importCheckpoints,
  type Manifest,
  sha256,
  stateHash,
} from "../../src/state/mod.ts";
import { readExported } from "../../src/state/read_exported.ts";
import { decodeManifest, encodeManifest } from "../../src/state/manifest.ts";
import { encodeIndex, SEGMENT_BYTES_MAX } from "../../src/state/segment_index.ts";
import { encodeUtf8 } from "../../src/types/mod.ts";
import { SEGMENT_FORMAT } from "../../src/wasm/mod.ts";
import { FaultKv } from "../kv/fault_kv.ts";
import { openStore, publish } from "./state_fixture.ts";

interface Entry {
  readonly kind: number;
  readonly bytes: Uint8Array;
}

const MAGIC = encodeUtf8("stockflow-state 2\n");

async function withStore<T>(use: (store: CheckpointStore) => Promise<T>): Promise<T> {
  const kv = await Deno.openKv(":memory:");
  try {
    return await use(await openStore(new FaultKv(kv)));
  } finally {
    kv.close();
  }
}

/** The manifest and the chunks of an honest file. */
function honest(): Promise<Entry[]> {
  return withStore(async (store) => {
    const chain = await CheckpointChain.open(store, await store.takeOver(0), 3, null);
    const manifest = await publish(chain, 5, { 3: "three", 7: "seven" });
    const parts: number[] = [];
    for await (const part of exportCheckpoints(store, [manifest])) parts.push(...part);
    const entries: Entry[] = [];
    const file = Uint8Array.from(parts);
    const view = new DataView(file.buffer);
    for (let at = MAGIC.length; file[at] !== 0;) {
      const length = view.getUint32(at + 1, true);
      entries.push({ kind: file[at]!, bytes: file.subarray(at + 5, at + 5 + length) });
      at += 5 + length;
    }
    return entries;
  });
}

/** A file of the entries, with the hash that belongs to it. */
function fileOf(entries: readonly Entry[]): Uint8Array {
  const parts: Uint8Array[] = [MAGIC];
  for (const { kind, bytes } of entries) {
    const head = new Uint8Array(5);
    head[0] = kind;
    new DataView(head.buffer).setUint32(1, bytes.length, true);
    parts.push(head, bytes);
  }
  parts.push(Uint8Array.of(0));
  const body = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  const file = new Uint8Array(body.length + 32);
  file.set(body);
  file.set(Uint8Array.fromHex(sha256(body)), body.length);
  return file;
}

/** A manifest whose JSON is this text, with its hash. */
function manifestOf(json: string): Entry {
  const text = encodeUtf8(json);
  const bytes = new Uint8Array(32 + text.length);
  bytes.set(Uint8Array.fromHex(sha256(text)));
  bytes.set(text, 32);
  return { kind: 1, bytes };
}

const HOSTILE = [
  "null",
  "true",
  "-1",
  "1.5",
  "1e99",
  '""',
  '"x"',
  '"1n"',
  '"99999999999999999999n"',
  `"${"9".repeat(20_000)}n"`,
  `"${"a".repeat(20_000)}"`,
  "[]",
  "[null]",
  "{}",
  '{"__proto__":1}',
  undefined,
] as const;

Deno.test("crafted files: a manifest with any field of another kind is refused, whatever its hash", async () => {
  const [manifest, ...chunks] = await honest();
  const json = JSON.parse(new TextDecoder().decode(manifest!.bytes.subarray(32)));
  const read = (text: string) => () => readExported(fileOf([manifestOf(text), ...chunks]));
  readExported(fileOf([manifest!, ...chunks]));
  // Fields that not every log has.
  for (const topicId of ["an id", null]) read(JSON.stringify({ ...json, topicId }))();
  const wrongId = read(JSON.stringify({ ...json, topicId: 1 }));
  assertThrows(wrongId, DamagedCheckpointError, "wrong field: topicId");
  let refused = 0;
  const groups = [[], ["scalars"], ["parameters"], ["lastBatch"]];
  for (const group of groups) {
    const fields = group.reduce((value, name) => value[name], json);
    for (const field of [...Object.keys(fields), "another"]) {
      for (const value of HOSTILE) {
        const copy = structuredClone(json);
        const target = group.reduce((of, name) => of[name], copy);
        const marker = `marker-${field}`;
        if (value === undefined) delete target[field];
        else target[field] = marker;
        if (value === undefined && field === "another") continue;
        const text = JSON.stringify(copy).replace(`"${marker}"`, () => value ?? "");
        try {
          const { manifests } = readExported(fileOf([manifestOf(text), ...chunks]));
          // What passes is what the field may be, and can be written as it was read.
          assertEquals(decodeManifest(encodeManifest(manifests[0]!)), manifests[0]);
        } catch (error) {
          assert(
            error instanceof DamagedCheckpointError,
            `${field}=${value?.slice(0, 40)}: ${error}`,
          );
          assert(error.message.length < 500, error.message);
          refused++;
        }
      }
    }
  }
  assert(refused > 450, `${refused} were refused`);
  for (const text of ["", "{", "null", "[]", "1", '"x"', "\u0000"]) {
    assertThrows(read(text), DamagedCheckpointError);
  }
});

/** A checkpoint of one segment with the given index entry. */
function oneSegment(
  manifest: Manifest,
  entry: { format?: number; length: number; stored?: number; hash: string; chunk: Uint8Array },
): Entry[] {
  const { format = SEGMENT_FORMAT, length, hash, chunk, stored = chunk.length } = entry;
  const segment = 3;
  const index = encodeIndex(
    new Map([[segment, { format, length, stored, hash, chunks: [sha256(chunk)] }]]),
  );
  const crafted = {
    ...manifest,
    index: [sha256(index)],
    stateHash: stateHash(manifest.scalars, new Map([[segment, hash]])),
  };
  return [
    { kind: 1, bytes: encodeManifest(crafted) },
    { kind: 2, bytes: index },
    { kind: 2, bytes: chunk },
  ];
}

Deno.test("crafted files: an index that names what cannot be is refused before anything is unpacked", async () => {
  const [first] = await honest();
  const manifest = decodeManifest(first!.bytes);
  const chunk = zstdCompressSync(new Uint8Array(1000));
  const hash = sha256(new Uint8Array(1000));
  const good = { length: 1000, hash, chunk };
  const whole = readExported(fileOf(oneSegment(manifest, good)));
  await withStore((store) => importCheckpoints(store, whole));
  const cases: [Parameters<typeof oneSegment>[1], string][] = [
    [
      { ...good, format: SEGMENT_FORMAT + 1 },
      "Segment 3 is of format 2; this program reads formats up to 1",
    ],
    [{ ...good, length: SEGMENT_BYTES_MAX + 1 }, "can be restored"],
    [{ ...good, length: 2 ** 32 - 1 }, "can be restored"],
    [{ ...good, stored: 70_000 }, "70000 bytes in 1 chunks"],
    [{ ...good, stored: 5 }, "bytes, not 5"],
  ];
  for (const [entry, message] of cases) {
    const file = fileOf(oneSegment(manifest, entry));
    assertThrows(() => readExported(file), DamagedCheckpointError, message);
  }
  const entries = oneSegment(manifest, good);
  const twice = fileOf([...entries, entries[0]!]);
  assertThrows(
    () => readExported(twice),
    DamagedCheckpointError,
    "checkpoint 1 of partition 0 twice",
  );
  const state = { ...manifest, ...decodeManifest(entries[0]!.bytes), stateHash: hash };
  const other = fileOf([{ kind: 1, bytes: encodeManifest(state) }, ...entries.slice(1)]);
  assertThrows(() => readExported(other), DamagedCheckpointError, "not the hash of its state");
  const savepoint = encodeUtf8('{"name":"a","at":1,"partitions":[null]}');
  const named = fileOf([...entries, ...[1, 2].map(() => ({ kind: 3, bytes: savepoint }))]);
  assertThrows(() => readExported(named), DamagedCheckpointError, "savepoint a twice");
});

Deno.test("crafted files: segments that unpack to gigabytes are refused in little memory, and nothing is imported", async () => {
  const [first] = await honest();
  const manifest = decodeManifest(first!.bytes);
  const bomb = zstdCompressSync(new Uint8Array(450_000_000));
  assert(bomb.length < 60_000);
  const before = Deno.memoryUsage().rss;
  // It says few bytes, or as many as it has, with another hash.
  for (const length of [1000, 450_000_000]) {
    const file = fileOf(oneSegment(manifest, { length, hash: sha256(bomb), chunk: bomb }));
    await withStore(async (store) => {
      await assertRejects(
        () => importCheckpoints(store, readExported(file)),
        DamagedCheckpointError,
        "Segment 3 of partition 0 is not what its checkpoint says",
      );
      assertEquals(await Array.fromAsync(store.kv.list({ prefix: ["chunk"] })), []);
      assertEquals(await store.partitions(), []);
    });
  }
  const grown = Deno.memoryUsage().rss - before;
  // Tests before this one leave garbage in the same process.
  assert(grown < 400_000_000, `${grown} bytes more`);
  const garbage = fileOf(oneSegment(manifest, {
    length: 100,
    hash: sha256(new Uint8Array(100)),
    chunk: new Uint8Array(50),
  }));
  await withStore((store) =>
    assertRejects(() => importCheckpoints(store, readExported(garbage)), DamagedCheckpointError)
  );
});
