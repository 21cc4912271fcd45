// What safe retries cost: the core's loop with and without them, in turn over the same batches, once the window is full;
// memory, growth of a checkpoint, and restoring.
//
//   deno task bench:remembered [--entries=2000000] [--restart=20000000]
//
// The last line is a restart of a partition that remembers so many.

import process from "node:process";
import { Format, systemChance } from "../src/types/mod.ts";
import { Core } from "../src/wasm/mod.ts";
import { compress } from "../src/state/compression.ts";
import { benchOptions, foldAgain } from "./fold_again.ts";
import { readOptions } from "./options.ts";
import { median } from "./series.ts";
import { fillItems, makeWorkload } from "./workload.ts";

const { entries, restart } = readOptions(
  "deno task bench:remembered [--entries=2000000] [--restart=20000000]",
  { entries: 2_000_000, restart: 20_000_000 },
);
const ITEMS = 1_000_000;
const PER_BATCH = 1000;
/** The workload's time goes on by so much from batch to batch. */
const BATCH_MS = 100;
const GROUP = 20;
const GROUPS = 30;

const windowMs = entries / PER_BATCH * BATCH_MS;
const filling = Math.ceil(1.1 * entries / PER_BATCH);
const batches = makeWorkload({
  format: Format.Text,
  items: ITEMS,
  batches: filling + GROUP * GROUPS,
  recordsPerBatch: PER_BATCH,
});

function newCore(remembers: boolean): Core {
  const remember = {
    windowMs,
    max: Math.ceil(1.01 * entries),
    secret: crypto.getRandomValues(new Uint8Array(16)),
  };
  const core = new Core({
    ...benchOptions(Format.Text, 60_000),
    ...(remembers ? { remember } : {}),
  }, systemChance);
  for (const batch of fillItems(Format.Text, 0, ITEMS, PER_BATCH)) {
    foldAgain(core, batch, { emit: false });
  }
  return core;
}

/** Nanoseconds of CPU per record of some batches. */
function fold(core: Core, from: number): number {
  const start = process.cpuUsage();
  for (let i = from; i < from + GROUP; i++) foldAgain(core, batches[i]!, {});
  core.discard();
  const { user, system } = process.cpuUsage(start);
  return (user + system) * 1e3 / (GROUP * PER_BATCH);
}

const [without, core] = [newCore(false), newCore(true)];
for (let i = 0; i < filling; i++) {
  for (const one of [without, core]) foldAgain(one, batches[i]!, { emit: false });
}
const ns: [number, number][] = [];
for (let group = 0; group < GROUPS; group++) {
  const from = filling + group * GROUP;
  const first = group % 2;
  const a = fold(first ? core : without, from);
  const b = fold(first ? without : core, from);
  ns.push(first ? [b, a] : [a, b]);
}
const { remembered, rememberedBytes } = core.info;
console.log(
  `full loop, text, ${ITEMS} items, ${remembered} transactions remembered: ` +
    `${median(ns.map(([off]) => off)).toFixed(0)} ns a record without, ` +
    `+${median(ns.map(([off, on]) => on - off)).toFixed(0)} with (medians of ${GROUPS} pairs)`,
);
console.log(
  `memory, all included: ${(rememberedBytes / remembered).toFixed(1)} B per transaction`,
);

function checkpoint(): { header: Uint8Array; pieces: Uint8Array[] } {
  core.cut();
  const { header } = core.remembered.encode();
  const pieces: Uint8Array[] = [];
  for (let next; (next = core.remembered.encodeNext());) pieces.push(next.bytes);
  while (core.encodeNext());
  core.endCut(true);
  return { header, pieces };
}

const { header, pieces } = checkpoint();
const from = performance.now();
const restored = new Core(core.options, systemChance);
restored.remembered.restore(header);
for (const piece of pieces) restored.remembered.restorePiece(piece);
for (const _slice of restored.remembered.restoreIndex());
const restoreMs = performance.now() - from;
console.log(`restored with its index in ${restoreMs.toFixed(0)} ms`);
for (let i = 0; i < 100; i++) foldAgain(core, batches[i]!, { emit: false });
const bytes = checkpoint().pieces.reduce((n, piece) => n + compress(piece).length, 0);
console.log(`100,000 new ones add ${(bytes / 1e6).toFixed(2)} MB to the next checkpoint`);

// ---- bytes by window and rate ----

const each = rememberedBytes / remembered;
const RATES = [100, 1000, 10_000];
const WINDOWS = [["1 minute", 60], ["10 minutes", 600], ["1 hour", 3600]] as const;
console.log(`\n| window | ${RATES.map((rate) => `${rate}/s`).join(" | ")} |`);
console.log(`| --- | ${RATES.map(() => "---").join(" | ")} |`);
for (const [name, seconds] of WINDOWS) {
  const cells = RATES.map((rate) => `${(seconds * rate * each / 2 ** 20).toFixed(1)} MiB`);
  console.log(`| ${name} | ${cells.join(" | ")} |`);
}

// ---- a restart ----

const PIECE = 1024;

function leb128(n: number): number[] {
  const bytes = [];
  for (; n >= 128; n = Math.floor(n / 128)) bytes.push(n % 128 + 128);
  return [...bytes, n];
}

/** A full piece with ids from a number on; see wasm/remembered_pieces.ts. */
function pieceOf(piece: number, last: number): Uint8Array {
  const count = Math.min(PIECE, last - piece * PIECE);
  const head = Uint8Array.from([...leb128(1_700_000_000_001), ...leb128(count)]);
  const columns = new BigUint64Array(2 * count);
  for (let i = 0; i < count; i++) {
    columns[i] = BigInt(piece * PIECE + i);
    columns[count + i] = (columns[i]! * 0x9e3779b97f4a7c15n) << 2n;
  }
  const bytes = new Uint8Array(head.length + 20 * count);
  bytes.set(head);
  bytes.set(new Uint8Array(columns.buffer), head.length);
  return bytes;
}

const big = new Core({
  ...benchOptions(Format.Text, 0),
  remember: { windowMs: 2 ** 40, max: restart, secret: new Uint8Array(16) },
}, systemChance);
let restartMs = 0;
const timed = (step: () => unknown) => {
  const start = performance.now();
  step();
  restartMs += performance.now() - start;
};
const end = restart + 1;
timed(() =>
  big.remembered.restore(
    Uint8Array.from([...leb128(1_700_000_000_001), ...leb128(end), 1, 0]),
  )
);
for (let piece = 0; piece * PIECE < end; piece++) {
  const bytes = pieceOf(piece, end);
  timed(() => big.remembered.restorePiece(bytes));
}
timed(() => {
  for (const _slice of big.remembered.restoreIndex());
});
console.log(
  `\n${big.info.remembered} transactions restored with their index in ${
    restartMs.toFixed(0)
  } ms, ` +
    `${(big.info.rememberedBytes / 2 ** 20).toFixed(0)} MiB`,
);
