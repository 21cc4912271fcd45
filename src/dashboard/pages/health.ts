import { badge, h, meter, section, Table } from "../dom.ts";
import type { JobStatus } from "../api.ts";
import * as format from "../format.ts";
import type { Page } from "../page.ts";
import { placed } from "./partitions.ts";

type Partition = JobStatus["partitions"][number];
type Recovery = JobStatus["recoveries"][number];
type Condition = JobStatus["conditions"][number];

/** Something that may be used up. */
interface Store {
  readonly name: string;
  readonly used: number;
  readonly text: string;
}

function agreement(agrees: boolean | null): HTMLElement {
  if (agrees === null) return badge("after the first checkpoint", "plain");
  return agrees ? badge("agree", "ok") : badge("disagree", "broken");
}

export function healthPage(): Page {
  let now = 0;
  const conditions = new Table<Condition>("Conditions", [
    {
      title: "What",
      cell: (c) => badge(c.what, c.blocks === "nothing" ? "warning" : "broken"),
      key: (c) => c.what + c.blocks,
    },
    {
      title: "Reason",
      long: true,
      cell: (c) => c.process === undefined ? c.reason : `${c.process}: ${c.reason}`,
    },
    { title: "Blocks", cell: (c) => c.blocks === "lookups" ? "look-ups" : c.blocks },
    { title: "Since", cell: (c) => format.since(c.since, now) },
  ], "Everything is as it should be.");
  const checks = new Table<Partition>("Conservation by partition", [
    { title: "Partition", cell: (p) => String(p.partition) },
    {
      title: "Records",
      cell: (p) => agreement(p.conservation.records.agrees),
      key: (p) => String(p.conservation.records.agrees),
    },
    {
      title: "With an outcome",
      numeric: true,
      cell: (p) => format.bigInteger(p.conservation.records.left),
    },
    {
      title: "Consumed",
      numeric: true,
      cell: (p) => format.bigInteger(p.conservation.records.right),
    },
    {
      title: "Stocks",
      cell: (p) => agreement(p.conservation.stocks?.agrees ?? null),
      key: (p) => String(p.conservation.stocks?.agrees),
    },
    {
      title: "Sum of stocks",
      numeric: true,
      cell: ({ conservation: { stocks } }) => stocks ? format.bigInteger(stocks.left) : "–",
    },
    {
      title: "Accepted quantities",
      numeric: true,
      cell: ({ conservation: { stocks } }) => stocks ? format.bigInteger(stocks.right) : "–",
    },
    {
      title: "Compared",
      cell: ({ conservation: { stocks } }) => stocks ? format.since(stocks.at, now) : "–",
    },
  ], "No partition is owned yet.");
  const recoveries = new Table<Recovery>("Recoveries", [
    { title: "When", cell: (r) => format.moment(r.at), key: (r) => String(r.at) },
    {
      title: "Who",
      cell: (r) => placed(r, r.worker === "queries" ? "queries" : `worker ${r.worker}`),
    },
    { title: "Cause", long: true, cell: (r) => r.cause },
  ], "No worker had to recover since the process started.");
  const stores = new Table<Store>("Disk and memory", [
    { title: "What", long: true, cell: (s) => s.name },
    {
      title: "Used",
      cell: (s) => meter(`${format.wholePercent(s.used)} used`, s.used),
      key: (s) => String(s.used),
    },
    { title: "", cell: (s) => s.text },
  ], "Nothing is known.");
  return {
    path: "health",
    title: "Health",
    element: h(
      "div",
      {},
      section("Conditions", conditions.element),
      section(
        "Conservation",
        h(
          "p",
          { class: "hint" },
          "Each pair is counted apart, and must be equal: outcomes by the core, consumed records by " +
            "the host; stocks while a checkpoint is encoded, accepted quantities as they are executed.",
        ),
        checks.element,
      ),
      section("Recoveries", recoveries.element),
      section("Disk and memory", stores.element),
    ),
    update: ({ status }) => {
      if (!status) return;
      now = status.at;
      conditions.show(status.conditions, ({ what, process }) => `${process} ${what}`);
      checks.show(status.partitions, ({ partition }) => String(partition));
      recoveries.show(status.recoveries, (r) => `${r.process} ${r.worker} ${r.at}`);
      stores.show(storesOf(status), ({ name }) => name);
    },
  };
}

function storesOf({ memory, disks }: JobStatus): Store[] {
  return [
    {
      name: "Memory of items and windows",
      used: memory.used / memory.max,
      text: `${format.bytes(memory.used)} of ${format.bytes(memory.max)}`,
    },
    ...disks.filter(({ freeBytes }) => freeBytes !== null).map((disk) => ({
      name: placed(disk, `disk of ${disk.path}`).replace(/^d/, "D"),
      // Of what is free, how much must stay free.
      used: Math.min(1, disk.bytesMin / Math.max(1, disk.freeBytes!)),
      text: `${format.bytes(disk.freeBytes)} free; writes are refused below ${
        format.bytes(disk.bytesMin)
      }`,
    })),
  ];
}
