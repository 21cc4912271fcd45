import { badge, card, type Column, h, meter, section, Table } from "../dom.ts";
import type { JobStatus } from "../api.ts";
import * as format from "../format.ts";
import type { Page } from "../page.ts";

type Partition = JobStatus["partitions"][number];
type Process = NonNullable<JobStatus["cluster"]>["processes"][number];

const PROCESSES: readonly Column<Process>[] = [
  { title: "Process", cell: (p) => p.address ?? "has no address" },
  {
    title: "State",
    long: true,
    cell: (p) =>
      p.state
        ? badge(p.state.replace("_", " "), p.state === "running" ? "ok" : "warning")
        : h("span", {}, badge("does not answer", "broken"), ` ${p.why ?? ""}`),
    key: (p) => `${p.state} ${p.why}`,
  },
  { title: "Partitions", numeric: true, cell: (p) => format.integer(p.partitions) },
  { title: "Workers", numeric: true, cell: (p) => format.integer(p.workers) },
  {
    title: "",
    cell: (p) => [p.isHere ? "this one" : "", p.isLeader ? "leads" : ""].filter(Boolean).join(", "),
  },
];

/** The processes of a group that share partitions. */
function processes() {
  const table = new Table(
    "Processes that share the partitions",
    PROCESSES,
    "No process is known.",
  );
  const element = section(
    "Processes",
    h(
      "p",
      { class: "hint" },
      "They share the partitions. This page is of all of them, but for those that do not answer.",
    ),
    table.element,
  );
  return {
    element,
    show(cluster: JobStatus["cluster"]) {
      element.hidden = cluster === null;
      if (cluster) {
        table.show(cluster.processes, (p) => `${p.address} ${cluster.processes.indexOf(p)}`);
      }
    },
  };
}

/** Of several processes each names its own things. */
export function placed({ process }: { readonly process?: string }, what: string): string {
  return process === undefined ? what : `${process}, ${what}`;
}

/**
 * @param now when the status is of, ms since the epoch
 * @param largest the largest skew of all
 */
function partitionColumns(now: () => number, largest: () => number): Column<Partition>[] {
  return [
    { title: "Partition", cell: (p) => String(p.partition) },
    {
      title: "State",
      cell: (p) => p.isReady ? badge("ready", "ok") : badge("recovering", "warning"),
      key: (p) => String(p.isReady),
    },
    {
      title: "Owner",
      cell: (p) => p.worker === null ? "none" : placed(p, `worker ${p.worker}`),
    },
    { title: "Offset", numeric: true, cell: (p) => format.integer(p.position) },
    { title: "Lag", numeric: true, cell: (p) => format.integer(p.lag) },
    {
      title: "Watermark",
      cell: (p) => format.moment(p.watermark),
      key: (p) => String(p.watermark),
    },
    { title: "Items", numeric: true, cell: (p) => format.integer(p.items) },
    { title: "Memory", numeric: true, cell: (p) => format.bytes(p.stateBytes) },
    { title: "Records/s", numeric: true, cell: (p) => format.rate(p.rate) },
    {
      title: "Skew",
      cell: (p) =>
        h(
          "span",
          { class: "with-meter" },
          meter(`${format.ratio(p.skew)} times the mean`, (p.skew ?? 0) / largest()),
          h("span", {}, p.skew === null ? "–" : `× ${format.ratio(p.skew)}`),
        ),
      key: (p) => `${p.skew} ${largest()}`,
    },
    { title: "Checkpoint", cell: (p) => format.since(p.checkpointAt, now()) },
  ];
}

export function partitionsPage(): Page {
  let largest = 1;
  let now = 0;
  const shared = processes();
  const table = new Table(
    "Partitions of the transaction topic",
    partitionColumns(() => now, () => largest),
    "No partition is owned yet.",
  );
  return {
    path: "partitions",
    title: "Partitions",
    element: h(
      "div",
      {},
      shared.element,
      card(
        h(
          "p",
          { class: "hint" },
          "Skew is a partition's rate divided by the mean of all: 1 is as much as the others.",
        ),
        table.element,
      ),
    ),
    update: ({ status }) => {
      if (!status) return;
      now = status.at;
      shared.show(status.cluster);
      largest = Math.max(1, ...status.partitions.map(({ skew }) => skew ?? 0));
      table.show(status.partitions, ({ partition }) => String(partition));
    },
  };
}
