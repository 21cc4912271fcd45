// How much memory does an item take? Pages of the item table per item, and what else there is.
//
//   deno task bench:memory [--large=10000000]

import { commandLine } from "../tools/kit/command_line.ts";
import { Format, systemChance } from "../src/types/mod.ts";
import { Core } from "../src/wasm/mod.ts";
import { benchOptions, foldAgain } from "./fold_again.ts";
import { fillItems, uuidOf } from "./workload.ts";

const values = commandLine("bench:memory", { large: { type: "string", default: "10000000" } });
const PER_BATCH = 1000;

function measure(
  what: string,
  items: number,
  windowMs: number,
  idOf?: (n: number) => string,
): void {
  const core = new Core(benchOptions(Format.Text, windowMs), systemChance);
  const empty = core.info;
  for (const batch of fillItems(Format.Text, 0, items, PER_BATCH, idOf)) {
    foldAgain(core, batch, { emit: false });
  }
  const { tableBytes, windowBytes, keyBytes, memoryBytes } = core.info;
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1).padStart(7);
  const per = (bytes: number) => items === 0 ? "      " : (bytes / items).toFixed(1).padStart(6);
  console.log(
    `${what.padEnd(26)} ${String(items).padStart(9)}  table ${mib(tableBytes)} MiB ${
      per(tableBytes)
    } B/item` +
      `  keys ${per(keyBytes)} B/item  windows ${per(windowBytes)} B/item  whole memory ${
        mib(memoryBytes)
      } MiB`,
  );
  if (items === 0) {
    console.log(
      `  of it, table ${empty.tableBytes} bytes; the rest is I/O areas and tables of fixed size`,
    );
  }
}

measure("empty partition", 0, 0);
measure("item_<n>", 1_000_000, 0);
measure("item_<n>", Number(values.large), 0);
measure("item_<n>, in one window", 1_000_000, 60_000);
measure("UUID", 1_000_000, 0, uuidOf);
