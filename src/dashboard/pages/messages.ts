import { askJson, type LogPage, type LogRecord, type LogTopic, type Text } from "../api.ts";
import { button, card, h, on, setAttribute, setText, Table } from "../dom.ts";
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

export function messagesPage(): Page {
  let topics: readonly LogTopic[] = [];
  let page: LogPage | null = null;
  let asked = 0;
  const topic = h("select", { id: "topic" });
  const partition = h("select", { id: "partition" });
  const offset = h("input", {
    id: "offset",
    inputmode: "numeric",
    pattern: "[0-9]*",
    autocomplete: "off",
  });
  const said = h("p", { class: "said", role: "status" }, "Loading …");
  const say = (text: string, isError = false) => {
    setText(said, text);
    setAttribute(said, "class", isError ? "said error" : "said");
  };
  const table = new Table<LogRecord>("Messages", [
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
  ], "No message stands at this offset or behind it.");
  const boundsOf = () =>
    topics.find((t) => t.topic === topic.value)?.partitions[Number(partition.value)];
  const read = async (from: number | null) => {
    const own = ++asked;
    const query = from === null ? "" : `&offset=${from}`;
    const path = `/logs/${
      encodeURIComponent(topic.value)
    }/${partition.value}?limit=${LIMIT}${query}`;
    try {
      const found = await askJson<LogPage>(path);
      if (own !== asked) return;
      page = found;
      table.show(found.records, (r) => String(r.offset));
      const first = found.records[0]?.offset ?? from ?? found.start;
      offset.value = String(first);
      const { start, end } = found;
      say(
        start === end
          ? "The partition is empty."
          : `Offsets ${format.integer(start)} to ${format.integer(end - 1)} are there.`,
      );
      older.disabled = first <= start;
      newer.disabled = found.next >= end;
    } catch (error) {
      if (own === asked) say((error as Error).message, true);
    }
  };
  const latest = () => {
    const bounds = boundsOf();
    return read(bounds ? Math.max(bounds.start, bounds.end - LIMIT) : null);
  };
  const older = button("Older", () => {
    const first = page?.records[0]?.offset ?? Number(offset.value);
    void read(Math.max(page?.start ?? 0, first - LIMIT));
  });
  const newer = button("Newer", () => void read(page?.next ?? null));
  const form = h(
    "form",
    { class: "form" },
    h("span", { class: "field" }, h("label", { for: "topic" }, "Topic"), topic),
    h("span", { class: "field" }, h("label", { for: "partition" }, "Partition"), partition),
    h("span", { class: "field" }, h("label", { for: "offset" }, "Offset"), offset),
    h("button", { type: "submit", class: "primary" }, "Read"),
    h(
      "div",
      { class: "segments", role: "group", "aria-label": "Go to" },
      button("Oldest", () => void read(null)),
      older,
      newer,
      button("Latest", () => void load(latest)),
    ),
  );
  on(form, "submit", (event) => {
    event.preventDefault();
    void read(offset.value === "" ? null : Number(offset.value));
  });
  const choosePartitions = () => {
    const count = topics.find((t) => t.topic === topic.value)?.partitions.length ?? 0;
    const before = partition.value;
    partition.replaceChildren(
      ...Array.from({ length: count }, (_, i) => h("option", { value: i }, String(i))),
    );
    if (Number(before) < count && before !== "") partition.value = before;
  };
  on(topic, "change", () => {
    choosePartitions();
    void latest();
  });
  on(partition, "change", () => void latest());
  /** Asks for the bounds of the topics first. */
  const load = async (then: () => Promise<void>) => {
    try {
      ({ topics } = await askJson<{ topics: LogTopic[] }>("/logs"));
      const names = topics.map((t) => t.topic);
      if ([...topic.options].map(({ value }) => value).join() !== names.join()) {
        topic.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
        const results = names.find((name) => name.includes("results"));
        if (results) topic.value = results;
        choosePartitions();
      }
      form.hidden = names.length === 0;
      if (names.length === 0) say("There is no topic yet.");
      else await then();
    } catch (error) {
      form.hidden = true;
      say((error as Error).message, true);
    }
  };
  return {
    path: "messages",
    title: "Messages",
    element: card(form, said, table.element),
    update: () => {},
    open: () => void load(latest),
  };
}
