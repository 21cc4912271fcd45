import { ask, askJson, type CheckpointEvent, type Savepoint } from "../api.ts";
import { badge, button, type Column, h, on, Said, section, Table } from "../dom.ts";
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

const HISTORY: readonly Column<Row>[] = [
  {
    title: "When",
    cell: (r) => format.moment(r.event.at),
    key: (r) => String(r.event.at),
  },
  {
    title: "State",
    cell: (r) => badge(r.state, LEVELS[r.state]),
    key: (r) => r.state,
  },
  { title: "Partition", numeric: true, cell: (r) => String(r.event.partition) },
  { title: "Number", numeric: true, cell: (r) => String(r.event.sequence) },
  { title: "Trigger", cell: (r) => r.event.trigger ?? "–" },
  { title: "Offset", numeric: true, cell: (r) => format.integer(r.event.offset) },
  { title: "New", numeric: true, cell: (r) => format.bytes(r.event.newBytes ?? null) },
  { title: "Full", numeric: true, cell: (r) => format.bytes(r.event.totalBytes ?? null) },
  {
    title: "Duration, or cause",
    long: true,
    cell: ({ event }) =>
      event.reason === undefined
        ? h(
          "span",
          {},
          format.duration(event.durationMs ?? null),
          h("span", { class: "note" }, ` ${partsOf(event)}`),
        )
        : h("span", { class: "error" }, event.reason),
    key: ({ event }) => `${event.durationMs} ${event.reason}`,
  },
];

function savepointColumns(remove: (name: string) => void): Column<Savepoint>[] {
  return [
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
        button("Delete", () => remove(s.name), { "aria-label": `Delete savepoint ${s.name}` }),
      key: (s) => s.name,
    },
  ];
}

/** Savepoints: takes them, lists them, and deletes them after a confirmation. */
class SavepointSection {
  readonly element: HTMLElement;
  readonly #name = h("input", {
    id: "savepoint-name",
    required: true,
    pattern: "[A-Za-z0-9._\\-]{1,100}",
    title: "1 to 100 of A-Z a-z 0-9 . _ -",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "before-sale",
  });
  readonly #take = h("button", { type: "submit", class: "primary" }, "Take a savepoint");
  readonly #said = new Said();
  readonly #table = new Table<Savepoint>(
    "Savepoints",
    savepointColumns((name) => void this.#remove(name)),
    "There is no savepoint yet. One that is taken stays until it is deleted.",
  );

  /** @param onChange is called when something was taken or deleted */
  constructor(readonly onChange: () => Promise<void>) {
    const form = h(
      "form",
      { class: "form" },
      h("label", { for: "savepoint-name" }, "Name"),
      this.#name,
      this.#take,
      this.#said.element,
    );
    on(form, "submit", (event) => {
      event.preventDefault();
      void this.#takeOne();
    });
    this.element = section("Savepoints", form, this.#table.element);
  }

  async refresh(): Promise<void> {
    try {
      const { savepoints } = await askJson<{ savepoints: Savepoint[] }>("/savepoints");
      this.#table.show(savepoints, (s) => s.name);
    } catch (error) {
      this.#table.fail(error as Error);
    }
  }

  async #takeOne(): Promise<void> {
    this.#take.disabled = true;
    this.#said.say("Checkpoints of all partitions are being taken …");
    await this.#try(async () => {
      const body = JSON.stringify({ name: this.#name.value });
      const headers = { "content-type": "application/json" };
      const taken = await askJson<Savepoint>("/savepoints", { method: "POST", body, headers });
      this.#name.value = "";
      return `Savepoint ${taken.name} is taken.`;
    });
    this.#take.disabled = false;
  }

  async #remove(name: string): Promise<void> {
    const isSure = await confirm({
      title: `Delete savepoint ${name}?`,
      text: "The service can no longer start from it. Its checkpoints go when the next ones come.",
      action: "Delete",
    });
    if (!isSure) return;
    await this.#try(async () => {
      await ask(`/savepoints/${encodeURIComponent(name)}`, { method: "DELETE" });
      return `Savepoint ${name} is deleted.`;
    });
  }

  /** Says what became of something, and shows what there is then. */
  async #try(work: () => Promise<string>): Promise<void> {
    try {
      this.#said.say(await work());
    } catch (error) {
      this.#said.fail(error as Error);
    }
    await this.onChange();
  }
}

export function checkpointsPage(): Page {
  const history = new Table("History of checkpoints", HISTORY, "No checkpoint was taken yet.");
  const refresh = async () => {
    await Promise.all([savepoints.refresh(), refreshHistory()]);
  };
  const refreshHistory = async () => {
    try {
      const { events } = await askJson<{ events: CheckpointEvent[] }>("/checkpoints");
      history.show(rowsOf(events), ({ id }) => id);
    } catch (error) {
      history.fail(error as Error);
    }
  };
  const savepoints = new SavepointSection(refresh);
  return {
    path: "checkpoints",
    title: "Checkpoints",
    element: h(
      "div",
      {},
      savepoints.element,
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
