import { ask, askJson, type CheckpointEvent, type Savepoint } from "../api.ts";
import { badge, button, h, on, section, setAttribute, setText, Table } from "../dom.ts";
import { confirm } from "../dialogs.ts";
import * as format from "../format.ts";
import type { Page } from "../page.ts";

/** What became of one checkpoint, put together from its events. */
interface Row {
  readonly id: string;
  readonly event: CheckpointEvent;
  readonly state: "under way" | "completed" | "failed" | "restored" | "damaged";
}

const LEVELS = {
  "under way": "plain",
  completed: "ok",
  failed: "broken",
  restored: "plain",
  damaged: "broken",
} as const;

/** The newest first; of a checkpoint only its end is shown, if it has one. */
function rowsOf(events: readonly CheckpointEvent[]): Row[] {
  const rows: Row[] = [];
  const ended = new Set<string>();
  for (const event of events) {
    const id = `${event.partition}-${event.sequence}`;
    const isBegin = event.kind === "triggered";
    if (event.kind === "completed" || event.kind === "failed") ended.add(id);
    if (isBegin && ended.has(id)) continue;
    const state = event.kind === "triggered" ? "under way" : event.kind;
    rows.push({ id: `${id} ${event.kind} ${event.at}`, event, state });
  }
  return rows;
}

function partsOf({ encodeMs, commitMs, publishMs }: CheckpointEvent): string {
  if (encodeMs === undefined || commitMs === undefined || publishMs === undefined) return "";
  return `encode ${format.duration(encodeMs)}, commit ${format.duration(commitMs)}, ` +
    `publish ${format.duration(publishMs)}`;
}

const HISTORY = [
  {
    title: "When",
    cell: (r: Row) => format.moment(r.event.at),
    key: (r: Row) => String(r.event.at),
  },
  {
    title: "State",
    cell: (r: Row) => badge(r.state, LEVELS[r.state]),
    key: (r: Row) => r.state,
  },
  { title: "Partition", numeric: true, cell: (r: Row) => String(r.event.partition) },
  { title: "Number", numeric: true, cell: (r: Row) => String(r.event.sequence) },
  { title: "Trigger", cell: (r: Row) => r.event.trigger ?? "–" },
  { title: "Offset", numeric: true, cell: (r: Row) => format.integer(r.event.offset) },
  { title: "New", numeric: true, cell: (r: Row) => format.bytes(r.event.newBytes ?? null) },
  { title: "Full", numeric: true, cell: (r: Row) => format.bytes(r.event.totalBytes ?? null) },
  {
    title: "Duration, or cause",
    long: true,
    cell: ({ event }: Row) =>
      event.reason === undefined
        ? h(
          "span",
          {},
          format.duration(event.durationMs ?? null),
          h("span", { class: "note" }, ` ${partsOf(event)}`),
        )
        : h("span", { class: "error" }, event.reason),
    key: ({ event }: Row) => `${event.durationMs} ${event.reason}`,
  },
] as const;

export function checkpointsPage(): Page {
  const name = h("input", {
    id: "savepoint-name",
    required: true,
    pattern: "[A-Za-z0-9._\\-]{1,100}",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "before-sale",
  });
  const take = h("button", { type: "submit", class: "primary" }, "Take a savepoint");
  const said = h("p", { class: "said", role: "status" });
  const say = (text: string, isError = false) => {
    setText(said, text);
    setAttribute(said, "class", isError ? "said error" : "said");
  };
  const form = h(
    "form",
    { class: "form" },
    h("label", { for: "savepoint-name" }, "Name"),
    name,
    take,
    said,
  );
  const history = new Table<Row>("History of checkpoints", HISTORY, "No checkpoint was taken yet.");
  const savepoints = new Table<Savepoint>("Savepoints", [
    { title: "Name", cell: (s) => h("code", {}, s.name), key: (s) => s.name },
    { title: "Taken", cell: (s) => format.moment(s.at), key: (s) => String(s.at) },
    {
      title: "Items",
      numeric: true,
      cell: (s) => format.integer(s.partitions.reduce((n, p) => n + (p?.items ?? 0), 0)),
    },
    { title: "Partitions", numeric: true, cell: (s) => format.integer(s.partitions.length) },
    {
      title: "",
      cell: (s) =>
        button("Delete", () => void remove(s.name), { "aria-label": `Delete savepoint ${s.name}` }),
      key: (s) => s.name,
    },
  ], "There is no savepoint yet. One that is taken stays until it is deleted.");
  const refresh = async () => {
    try {
      const [listed, { events }] = await Promise.all([
        askJson<{ savepoints: Savepoint[] }>("/savepoints"),
        askJson<{ events: CheckpointEvent[] }>("/checkpoints"),
      ]);
      savepoints.show(listed.savepoints, (s) => s.name);
      history.show(rowsOf(events), ({ id }) => id);
    } catch (error) {
      say((error as Error).message, true);
    }
  };
  const remove = async (savepoint: string) => {
    const isSure = await confirm({
      title: `Delete savepoint ${savepoint}?`,
      text: "The service can no longer start from it. Its checkpoints go when the next ones come.",
      action: "Delete",
    });
    if (!isSure) return;
    try {
      await askDelete(savepoint);
      say(`Savepoint ${savepoint} is deleted.`);
    } catch (error) {
      say((error as Error).message, true);
    }
    await refresh();
  };
  on(form, "submit", async (event) => {
    event.preventDefault();
    take.disabled = true;
    say("Checkpoints of all partitions are being taken …");
    try {
      const body = JSON.stringify({ name: name.value });
      const headers = { "content-type": "application/json" };
      const taken = await askJson<Savepoint>("/savepoints", { method: "POST", body, headers });
      say(`Savepoint ${taken.name} is taken.`);
      name.value = "";
    } catch (error) {
      say((error as Error).message, true);
    }
    take.disabled = false;
    await refresh();
  });
  return {
    path: "checkpoints",
    title: "Checkpoints",
    element: h(
      "div",
      {},
      section("Savepoints", form, savepoints.element),
      section(
        "History",
        h("p", { class: "hint" }, "The last 100 events, over restarts of the service."),
        history.element,
      ),
    ),
    update: () => {},
    open: () => void refresh(),
    refresh: () => void refresh(),
  };
}

async function askDelete(name: string): Promise<void> {
  await ask(`/savepoints/${encodeURIComponent(name)}`, { method: "DELETE" });
}
