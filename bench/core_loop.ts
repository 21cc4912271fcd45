// How fast is the fold? One partition, one thread, record batches in, result batches out: CRC, parse,
// apply, 1-minute windows by event time, results with keys, CRC. Against the same work in plain
// JavaScript, and in Rust if cargo is there.
//
//   deno task bench:loop [--items=1000000]
//   deno task bench:loop --against=FOLDER [--pairs=15]
//     this checkout and another one in turn in one process, and the ratios of their CPU

import { Format, systemChance } from "../src/types/mod.ts";
import { Core, type FoldOptions } from "../src/wasm/mod.ts";
import { benchOptions, foldAgain } from "./fold_again.ts";
import { compareLoops } from "./loop_pairs.ts";
import { readOptions } from "./options.ts";
import { PlainFold } from "./plain_js.ts";
import { fillItems, makeWorkload } from "./workload.ts";

const USAGE = "deno task bench:loop [--items=1000000] [--against=<folder of another checkout>] " +
  "[--pairs=15]";
const { items: ITEMS, against, pairs } = readOptions(USAGE, {
  items: 1_000_000,
  against: "",
  pairs: 15,
});
const BATCHES = 400;
const RECORDS = 1000;
const ROUNDS = 6;

/** Nanoseconds per record of the best round. */
function measure(round: () => void): number {
  let best = Infinity;
  for (let i = 0; i < ROUNDS; i++) {
    const from = performance.now();
    round();
    best = Math.min(best, performance.now() - from);
  }
  return best * 1e6 / (BATCHES * RECORDS);
}

function print(what: string, ns: number, note = ""): void {
  console.log(
    `  ${what.padEnd(34)} ${ns.toFixed(0).padStart(6)} ns/record  ${
      (1000 / ns).toFixed(2).padStart(6)
    } M/s  ${note}`,
  );
}

function measureCore(format: Format): number {
  const batches = makeWorkload({
    format,
    items: ITEMS,
    batches: BATCHES,
    recordsPerBatch: RECORDS,
  });
  const stage = (windowMs: number, how: FoldOptions, position = 0n): number => {
    const core = new Core(benchOptions(format, windowMs), systemChance);
    for (const batch of fillItems(format, 0, ITEMS, 1000)) foldAgain(core, batch, { emit: false });
    return measure(() => {
      for (const batch of batches) foldAgain(core, batch, how, position);
      core.discard();
    });
  };
  console.log(`core, ${Format[format]!.toLowerCase()}, ${ITEMS} items, stages one upon the other:`);
  const silent = { emit: false, checkCrc: false };
  const stages: [string, number][] = [
    ["walk through the records", stage(0, silent, BigInt(RECORDS))],
    ["+ parse and apply", stage(0, silent)],
    ["+ windows", stage(60_000, silent)],
    ["+ results and their CRC", stage(60_000, { checkCrc: false })],
    ["+ CRC of the input = full loop", stage(60_000, {})],
  ];
  let before = 0;
  for (const [what, ns] of stages) {
    print(what, ns, `+${(ns - before).toFixed(0)}`);
    before = ns;
  }
  return before;
}

function measurePlain(): number {
  const batches = makeWorkload({
    format: Format.Text,
    items: ITEMS,
    batches: BATCHES,
    recordsPerBatch: RECORDS,
  });
  const plain = new PlainFold();
  plain.preload(ITEMS);
  const ns = measure(() => {
    for (const batch of batches) plain.fold(batch);
    plain.closed.length = 0;
  });
  if (plain.invalid > 0) throw new Error(`${plain.invalid} records were refused`);
  return ns;
}

/** An idiomatic program, and one with the core's own layout and passes; null when cargo is not there. */
async function measureNative(): Promise<{ idiomatic: number; layout: number } | null> {
  const folder = new URL("native/", import.meta.url).pathname;
  const file = await Deno.makeTempFile();
  try {
    const batches = makeWorkload({
      format: Format.Text,
      items: ITEMS,
      batches: BATCHES,
      recordsPerBatch: RECORDS,
    });
    const handle = await Deno.open(file, { write: true });
    for (const batch of batches) {
      for (let at = 0; at < batch.length;) at += await handle.write(batch.subarray(at));
    }
    handle.close();
    const { success, stdout, stderr } = await new Deno.Command("cargo", {
      args: ["run", "--quiet", "--release", "--", file, String(ITEMS), String(ROUNDS)],
      cwd: folder,
    }).output();
    if (success) {
      const [idiomatic, layout] = new TextDecoder().decode(stdout).split("\n").map(Number);
      return { idiomatic: idiomatic!, layout: layout! };
    }
    throw new Error(new TextDecoder().decode(stderr));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  } finally {
    await Deno.remove(file);
  }
}

async function measureAll(): Promise<void> {
  const text = measureCore(Format.Text);
  const json = measureCore(Format.Json);
  const plain = measurePlain();
  const native = await measureNative();
  console.log("the same work, text:");
  print("core", text);
  print("plain JavaScript", plain, `${(plain / text).toFixed(1)} times the core's`);
  if (native === null) {
    console.log("  Rust                               not measured: cargo is not there");
  } else {
    const { idiomatic, layout } = native;
    const times = (ns: number) => `${(ns / text).toFixed(2)} times the core's`;
    print("Rust, hashbrown, CRC by hardware", idiomatic, times(idiomatic));
    print("Rust, the core's layout, prefetch", layout, times(layout));
  }
  print("core, JSON", json, `${(json / text).toFixed(1)} times text`);
}

if (against === "") await measureAll();
else await compareLoops(against, ITEMS, pairs);
