// The tables of docs/operations.md, Sizing: bytes per item by kind of id, of the state of a whole service, of the log.
//
//   deno task bench:sizing [--items=1000000,10000000] [--ids=1000000] [--transactions=500000]

import process from "node:process";
import { startService, stopInGoodOrder, waitReady } from "../tools/kit/service.ts";
import { Format, systemChance } from "../src/types/mod.ts";
import { Core } from "../src/wasm/mod.ts";
import { benchOptions, foldAgain } from "./fold_again.ts";
import { readOptions } from "./options.ts";
import { residentBytes } from "./process_figures.ts";
import { scrape, untilFolded } from "./service_metrics.ts";
import { fillItems, uuidOf } from "./workload.ts";

const options = readOptions(
  "deno task bench:sizing [--items=1000000,10000000] [--ids=1000000] [--transactions=500000]",
  { items: "1000000,10000000", ids: 1_000_000, transactions: 500_000 },
);
const PER_BATCH = 1000;
const MINUTE_MS = 60_000;
/** So many generated records per item see nearly every item, if all are as frequent. */
const RECORDS_PER_ITEM = 8;
const EVEN_SHAPE = "0.1";

/** The kinds of id that are usual. */
const IDS: Readonly<Record<string, (n: number) => string>> = {
  "`item_<n>`, 11 bytes": (n) => `item_${n}`,
  "EAN, 13 digits": (n) => String(4_000_000_000_000 + n * 7919),
  "SKU with prefix, 20 bytes": (n) => `SKU-EU-${String(n).padStart(10, "0")}-XL`,
  "UUID, 36 bytes": uuidOf,
  "path, 80 bytes": (n) =>
    `warehouse/eu-central/${"shelf".padEnd(46, ".")}/${String(n).padStart(12, "0")}`,
};

const mb = (bytes: number) => (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0);
const row = (...cells: (string | number)[]) => console.log(`| ${cells.join(" | ")} |`);

/** Bytes per item of a core that has seen each once. */
function bytesPerItem(idOf: (n: number) => string, windowMs: number): number {
  const core = new Core(benchOptions(Format.Text, windowMs), systemChance);
  for (const batch of fillItems(Format.Text, 0, options.ids, PER_BATCH, idOf)) {
    foldAgain(core, batch, { emit: false });
  }
  const { tableBytes, keyBytes, windowBytes } = core.info;
  return (tableBytes + keyBytes + windowBytes) / options.ids;
}

function tableOfIds(): void {
  row("id", "bytes per item", "in an open window, as well");
  row("---", "---", "---");
  for (const [kind, idOf] of Object.entries(IDS)) {
    const [alone, windowed] = [bytesPerItem(idOf, 0), bytesPerItem(idOf, MINUTE_MS)];
    row(kind, alone.toFixed(0), `+${(windowed - alone).toFixed(0)}`);
  }
}

async function rowOfService(items: number): Promise<void> {
  const flags = {
    "generate.transactions": "true",
    "generate.rate": "0",
    "generate.count": String(items * RECORDS_PER_ITEM),
    "num.items": String(items),
    "pareto.shape": EVEN_SHAPE,
    "enable.summaries": "false",
  };
  const service = await startService({ flags });
  await untilFolded(service, items * RECORDS_PER_ITEM);
  const metrics = await scrape(service);
  await stopInGoodOrder(service);
  const { size } = await Deno.stat(`${service.folder}/state.kv`);
  const again = await startService({
    folder: service.folder,
    flags: { ...flags, "generate.count": "0" },
  });
  await waitReady(again);
  const resident = await residentBytes(again.pid);
  await stopInGoodOrder(again);
  await Deno.remove(service.folder, { recursive: true });
  row(
    Math.round(metrics.sum("stockflow_items")).toLocaleString("en"),
    mb(metrics.sum("stockflow_state_bytes")),
    mb(resident),
    mb(size),
  );
}

async function tableOfServices(): Promise<void> {
  row("items", "state, MB", "resident, MB", "state.kv after a stop, MB");
  row("---", "---", "---", "---");
  for (const items of options.items.split(",").map(Number)) await rowOfService(items);
}

/** Bytes of the log per transaction that is posted, with its result, in requests of so many. */
async function rowOfLog(perRequest: number, transactions: number): Promise<void> {
  const service = await startService();
  await waitReady(service);
  for (let at = 0; at < transactions; at += perRequest) {
    const body = Array.from(
      { length: perRequest },
      (_, i) => `${at + i}\t${1_700_000_000_000 + at}\titem_${(at + i) % 100_000}\t100\n`,
    ).join("");
    const headers = { "content-type": "text/plain" };
    const response = await fetch(`${service.url}/transactions`, { method: "POST", headers, body });
    await response.body?.cancel();
  }
  await stopInGoodOrder(service);
  const { size } = await Deno.stat(`${service.folder}/log.kv`);
  await Deno.remove(service.folder, { recursive: true });
  row(perRequest, (size / transactions).toFixed(0));
}

async function tableOfLogs(): Promise<void> {
  row("transactions in a request", "bytes of log.kv per transaction, with its result");
  row("---", "---");
  await rowOfLog(1, Math.min(options.transactions, 5_000));
  await rowOfLog(100, Math.min(options.transactions, 100_000));
  await rowOfLog(1000, options.transactions);
}

console.log(`Measured by deno task bench:sizing, ${process.arch}, Deno ${Deno.version.deno}\n`);
tableOfIds();
console.log();
await tableOfServices();
console.log();
await tableOfLogs();
