import { askJson, type LogPage, type LogRecord, type LogTopic, type Text } from "../api.ts";
import { button, card, type Column, h, on, Said, setText, Table } from "../dom.ts";
import * as format from "../format.ts";
import type { Page } from "../page.ts";

const LIMIT = 50;

function textOf(text: Text): string {
  if (text === null) return "null";
  return typeof text === "string" ? text : `base64: ${text.base64}`;
}

/** Characters of a text that are shown at first: a message may have a megabyte. */
const SHOWN = 1000;

/** A text as it stands in a topic; of a long one its beginning, and all of it on demand. */
function shown(text: string, isNull = false): HTMLElement {
  const code = h("code", { class: isNull ? "null" : null }, text);
  if (text.length <= SHOWN) return code;
  setText(code, `${text.slice(0, SHOWN)}…`);
  const all = button(`Show all ${format.integer(text.length)} characters`, () => {
    setText(code, text);
    all.remove();
  });
  return h("div", {}, code, " ", all);
}

const COLUMNS: readonly Column<LogRecord>[] = [
  { title: "Offset", numeric: true, cell: (r) => format.integer(r.offset) },
  {
    title: "Time",
    cell: (r) => r.timestamp < 0 ? "–" : format.moment(r.timestamp),
    key: (r) => String(r.timestamp),
  },
  { title: "Key", cell: (r) => h("code", {}, textOf(r.key)), key: (r) => textOf(r.key) },
  {
    title: "Value",
    long: true,
    cell: (r) => {
      const headers = r.headers.map(({ key, value }) =>
        h("li", {}, shown(`${key}: ${textOf(value)}`))
      );
      return h(
        "div",
        {},
        shown(textOf(r.value), r.value === null),
        headers.length > 0 ? h("ul", { class: "headers" }, ...headers) : null,
      );
    },
    key: (r) => JSON.stringify([r.value, r.headers]),
  },
];

/** Goes through the messages of a partition, so many at a time. */
class MessageBrowser {
  readonly element: HTMLElement;
  readonly #topic = h("select", { id: "topic" });
  readonly #partition = h("select", { id: "partition" });
  readonly #offset = h("input", {
    id: "offset",
    inputmode: "numeric",
    pattern: "[0-9]*",
    autocomplete: "off",
  });
  readonly #older = button("Older", () => void this.#readOlder());
  readonly #newer = button("Newer", () => void this.#read(this.#page?.next ?? null));
  readonly #form: HTMLFormElement;
  readonly #said = new Said();
  readonly #table = new Table(
    "Messages",
    COLUMNS,
    () =>
      this.#page?.start === this.#page?.end
        ? "The partition is empty."
        : "No message stands at this offset or behind it.",
  );
  #topics: readonly LogTopic[] = [];
  #page: LogPage | null = null;
  #asked = 0;

  constructor() {
    this.#form = this.#makeForm();
    this.#form.hidden = true;
    on(this.#form, "submit", (event) => {
      event.preventDefault();
      void this.#read(this.#offset.value === "" ? null : Number(this.#offset.value));
    });
    on(this.#topic, "change", () => {
      this.#choosePartitions();
      void this.#readLatest();
    });
    on(this.#partition, "change", () => void this.#readLatest());
    this.element = card(this.#form, this.#said.element, this.#table.element);
  }

  #makeForm(): HTMLFormElement {
    return h(
      "form",
      { class: "form" },
      h("span", { class: "field" }, h("label", { for: "topic" }, "Topic"), this.#topic),
      h("span", { class: "field" }, h("label", { for: "partition" }, "Partition"), this.#partition),
      h("span", { class: "field" }, h("label", { for: "offset" }, "Offset"), this.#offset),
      h("button", { type: "submit", class: "primary" }, "Read"),
      h(
        "div",
        { class: "segments", role: "group", "aria-label": "Go to" },
        button("Oldest", () => void this.#read(null)),
        this.#older,
        this.#newer,
        button("Latest", () => void this.load()),
      ),
    );
  }

  /** Asks for the bounds of the topics, and reads what is newest. */
  async load(): Promise<void> {
    try {
      ({ topics: this.#topics } = await askJson<{ topics: LogTopic[] }>("/logs"));
      this.#chooseTopics(this.#topics.map((t) => t.topic));
      this.#form.hidden = this.#topics.length === 0;
      if (this.#topics.length > 0) return await this.#readLatest();
      this.#table.fail(new Error("There is no topic yet."));
    } catch (error) {
      this.#table.fail(error as Error);
    }
  }

  #chooseTopics(names: readonly string[]): void {
    if ([...this.#topic.options].map(({ value }) => value).join() === names.join()) return;
    this.#topic.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    const results = names.find((name) => name.includes("results"));
    if (results) this.#topic.value = results;
    this.#choosePartitions();
  }

  #choosePartitions(): void {
    const count = this.#topics.find((t) => t.topic === this.#topic.value)?.partitions.length ?? 0;
    const before = this.#partition.value;
    this.#partition.replaceChildren(
      ...Array.from({ length: count }, (_, i) => h("option", { value: i }, String(i))),
    );
    if (Number(before) < count && before !== "") this.#partition.value = before;
  }

  #readLatest(): Promise<void> {
    const topic = this.#topics.find((t) => t.topic === this.#topic.value);
    const bounds = topic?.partitions[Number(this.#partition.value)];
    return this.#read(bounds ? Math.max(bounds.start, bounds.end - LIMIT) : null);
  }

  #readOlder(): Promise<void> {
    const first = this.#page?.records[0]?.offset ?? Number(this.#offset.value);
    return this.#read(Math.max(this.#page?.start ?? 0, first - LIMIT));
  }

  /** @param from the offset to begin at; null = the oldest that is there */
  async #read(from: number | null): Promise<void> {
    const own = ++this.#asked;
    const partition = `${encodeURIComponent(this.#topic.value)}/${this.#partition.value}`;
    const query = from === null ? "" : `&offset=${from}`;
    try {
      const found = await askJson<LogPage>(`/logs/${partition}?limit=${LIMIT}${query}`);
      if (own === this.#asked) this.#show(found, from);
    } catch (error) {
      if (own !== this.#asked) return;
      // What was read before stays, and is not what was asked for now.
      if (this.#page) this.#said.fail(error as Error);
      else this.#table.fail(error as Error);
    }
  }

  #show(found: LogPage, from: number | null): void {
    const { start, end, next, records } = found;
    this.#page = found;
    this.#table.show(records, (r) => String(r.offset));
    const first = records[0]?.offset ?? from ?? start;
    this.#offset.value = String(first);
    this.#older.disabled = first <= start;
    this.#newer.disabled = next >= end;
    this.#said.say(
      start === end
        ? ""
        : `Offsets ${format.integer(start)} to ${format.integer(end - 1)} are there.`,
    );
  }
}

export function messagesPage(): Page {
  const browser = new MessageBrowser();
  return {
    path: "messages",
    title: "Messages",
    element: browser.element,
    update: () => {},
    open: () => void browser.load(),
  };
}
