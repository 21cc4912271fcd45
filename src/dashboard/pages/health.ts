import { badge, type Column, h, meter, section, setText, Table } from "../dom.ts";
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
  /** How near it is to where something is refused, from 0 to 1. */
  readonly used: number;
  readonly text: string;
}

function agreement(agrees: boolean | null): HTMLElement {
  if (agrees === null) return badge("after the first checkpoint", "plain");
  return agrees ? badge("agree", "ok") : badge("disagree", "broken");
}

/** Of records, whose counts may agree again after they did not: that stays. */
function agreementOf({ records, stocks, broken }: Partition["conservation"]): HTMLElement {
  const agreeNow = records.agrees && stocks?.agrees !== false;
  return broken && agreeNow ? badge("disagreed before", "broken") : agreement(records.agrees);
}

/** Counts that disagree block nothing, and are as bad as can be. */
function levelOf({ what, blocks }: Condition): "warning" | "broken" {
  return blocks === "nothing" && what !== "conservation" ? "warning" : "broken";
}

/** @param now when the status is of, ms since the epoch */
function conditionColumns(now: () => number): Column<Condition>[] {
  return [
    {
      title: "What",
      cell: (c) => badge(c.what, levelOf(c)),
      key: (c) => c.what + c.blocks,
    },
    {
      title: "Reason",
      long: true,
      cell: (c) => c.process === undefined ? c.reason : `${c.process}: ${c.reason}`,
    },
    { title: "Blocks", cell: (c) => c.blocks === "lookups" ? "look-ups" : c.blocks },
    { title: "Since", cell: (c) => format.since(c.since, now()) },
  ];
}

function checkColumns(now: () => number): Column<Partition>[] {
  return [
    { title: "Partition", cell: (p) => String(p.partition) },
    {
      title: "Records",
      cell: (p) => agreementOf(p.conservation),
      key: ({ conservation: { records, stocks, broken } }) =>
        `${records.agrees} ${stocks?.agrees} ${broken !== null}`,
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
      cell: ({ conservation: { stocks } }) => stocks ? format.since(stocks.at, now()) : "–",
    },
  ];
}

const RECOVERIES: readonly Column<Recovery>[] = [
  { title: "When", cell: (r) => format.moment(r.at), key: (r) => String(r.at) },
  {
    title: "Who",
    cell: (r) => placed(r, r.worker === "queries" ? "queries" : `worker ${r.worker}`),
  },
  { title: "Cause", long: true, cell: (r) => r.cause },
];

const STORES: readonly Column<Store>[] = [
  { title: "What", long: true, cell: (s) => s.name },
  {
    title: "Of its limit",
    cell: (s) =>
      h(
        "span",
        { class: "with-meter" },
        meter(`${format.wholePercent(s.used)} of its limit`, s.used),
        h("span", {}, format.wholePercent(s.used)),
      ),
    key: (s) => String(s.used),
  },
  { title: "", cell: (s) => s.text },
];

export function healthPage(): Page {
  let now = 0;
  const conditions = new Table(
    "Conditions",
    conditionColumns(() => now),
    "Everything is as it should be.",
  );
  const checks = new Table(
    "Conservation by partition",
    checkColumns(() => now),
    "No partition is owned yet.",
  );
  const recoveries = new Table(
    "Recoveries",
    RECOVERIES,
    "No worker had to recover since the process started.",
  );
  const repeats = h("p", { class: "empty" });
  const stores = new Table("Disk and memory", STORES, "Nothing is known.");
  const hint = h(
    "p",
    { class: "hint" },
    "Each pair is counted apart, and must be equal: outcomes by the core, consumed records by " +
      "the host; stocks while a checkpoint is encoded, accepted quantities as they are executed.",
  );
  return {
    path: "health",
    title: "Health",
    element: h(
      "div",
      {},
      section("Conditions", conditions.element),
      section("Conservation", hint, checks.element),
      section("Recoveries", recoveries.element),
      section("Repeated transactions", repeats),
      section("Disk and memory", stores.element),
    ),
    update: ({ status }) => {
      if (!status) return;
      now = status.at;
      conditions.show(status.conditions, ({ what, process }) => `${process} ${what}`);
      checks.show(status.partitions, ({ partition }) => String(partition));
      recoveries.show(status.recoveries, (r) => `${r.process} ${r.worker} ${r.at}`);
      setText(repeats, repeatsOf(status));
      stores.show(storesOf(status), ({ name }) => name);
    },
  };
}

/** What is remembered of transactions, and how far back. */
function repeatsOf({ idempotencyWindowMs, partitions, totals }: JobStatus): string {
  if (idempotencyWindowMs === 0) {
    return "Repetitions are not recognised: each record is a transaction of its own " +
      "(idempotency.window.ms=0).";
  }
  const remembered = partitions.flatMap((p) => p.remembered ?? []);
  const count = remembered.reduce((n, { transactions }) => n + transactions, 0);
  const shortest = Math.min(...remembered.map(({ guaranteedMs }) => guaranteedMs));
  const bound = shortest < idempotencyWindowMs
    ? ` There were more than are remembered: for sure it is those of the last ${
      format.duration(shortest)
    } (idempotency.transactions.max).`
    : "";
  return `Repetitions of the last ${
    format.duration(idempotencyWindowMs)
  } are recognised, and answered as the first: ${format.integer(totals.duplicates)} so far. ` +
    `${format.integer(count)} transactions are remembered.${bound}`;
}

function storesOf({ memory, disks }: JobStatus): Store[] {
  return [
    {
      name: "Memory of items and windows",
      used: memory.used / memory.max,
      text: `${format.bytes(memory.used)} of ${format.bytes(memory.max)}; new items are refused ` +
        "when it is full",
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
