// How fast is the fold? One partition, one thread, record batches in, result batches out: CRC, parse,
// apply, 1-minute windows by event time, results with keys, CRC. Against the same work in plain
// JavaScript, and in Rust if cargo is there.
//
//   deno task bench:loop [--items=1000000]
//   deno task bench:loop --against=FOLDER [--pairs=15] [--ids=item|uuid|text]
//     this checkout and another one in turn in one process, and the ratios of their CPU

import { Format } from "../src/types/mod.ts";
import { coreStages, loopWorkload, measureBest, runNative } from "./core_stages.ts";
import { compareLoops } from "./loop_pairs.ts";
import { oneOf, readOptions } from "./options.ts";
import { PlainFold } from "./plain_js.ts";
import { ID_KINDS } from "./workload.ts";

const USAGE = "deno task bench:loop [--items=1000000] [--against=<folder of another checkout>] " +
  "[--pairs=15] [--ids=item|uuid|text]";
const { items: ITEMS, against, pairs, ids } = readOptions(USAGE, {
  items: 1_000_000,
  against: "",
  pairs: 15,
  ids: "item",
});
const idOf = ID_KINDS[oneOf(USAGE, "ids", ids, ["item", "uuid", "text"])];
function print(what: string, ns: number, note = ""): void {
  console.log(
    `  ${what.padEnd(34)} ${ns.toFixed(0).padStart(6)} ns/record  ${
      (1000 / ns).toFixed(2).padStart(6)
    } M/s  ${note}`,
  );
}

function measureCore(format: Format): number {
  console.log(`core, ${Format[format]!.toLowerCase()}, ${ITEMS} items, stages one upon the other:`);
  let before = 0;
  for (const [what, ns] of coreStages(format, ITEMS)) {
    const title = before === 0 ? what : `+ ${what}`;
    print(title, before + ns, `+${ns.toFixed(0)}`);
    before += ns;
  }
  return before;
}

function measurePlain(): number {
  const batches = loopWorkload(Format.Text, ITEMS);
  const plain = new PlainFold();
  plain.preload(ITEMS);
  const ns = measureBest(batches, (batch) => {
    plain.fold(batch);
    plain.closed.length = 0;
  });
  if (plain.invalid > 0) throw new Error(`${plain.invalid} records were refused`);
  return ns;
}

async function measureAll(): Promise<void> {
  const text = measureCore(Format.Text);
  const json = measureCore(Format.Json);
  const plain = measurePlain();
  const native = await runNative(ITEMS);
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
    console.log(
      `  the core takes ${(text / layout).toFixed(2)} times as long as its layout in Rust`,
    );
  }
  print("core, JSON", json, `${(json / text).toFixed(1)} times text`);
}

if (against === "") await measureAll();
else await compareLoops(against, ITEMS, pairs, idOf);
