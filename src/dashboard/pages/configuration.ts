import { askJson, type ConfigurationEntry } from "../api.ts";
import { badge, card, type Column, h, on, setText, Table } from "../dom.ts";
import type { Page } from "../page.ts";

const COLUMNS: readonly Column<ConfigurationEntry>[] = [
  { title: "Parameter", cell: (e) => h("code", {}, e.key), key: (e) => e.key },
  {
    title: "Value",
    long: true,
    cell: (e) =>
      e.value === null
        ? badge("secret, hidden", "plain")
        : h("code", { class: "value" }, e.value === "" ? "(empty)" : e.value),
    key: (e) => String(e.value),
  },
  {
    title: "Default",
    cell: (e) =>
      e.value === e.default ? "" : h("code", {}, e.default === "" ? "(empty)" : e.default),
    key: (e) => String(e.value),
  },
  { title: "Meaning", long: true, cell: (e) => `${e.help} (${e.allowed})` },
];

/** Whether a text stands in what is said of a parameter. */
function speaksOf({ key, help, value }: ConfigurationEntry, text: string): boolean {
  return `${key} ${help} ${value ?? ""}`.toLowerCase().includes(text);
}

export function configurationPage(): Page {
  let entries: readonly ConfigurationEntry[] = [];
  const attributes = { type: "search", id: "filter", autocomplete: "off", spellcheck: "false" };
  const filter = h("input", attributes);
  const changed = h("input", { type: "checkbox", id: "changed" });
  const count = h("p", { class: "hint", role: "status" });
  const table = new Table("Parameters", COLUMNS, "No parameter fits.");
  const show = () => {
    if (entries.length === 0) return;
    const text = filter.value.trim().toLowerCase();
    const found = entries.filter((e) =>
      speaksOf(e, text) && (!changed.checked || e.value !== e.default)
    );
    table.show(found, ({ key }) => key);
    setText(count, `${found.length} of ${entries.length}`);
  };
  const load = async () => {
    try {
      ({ parameters: entries } = await askJson<{ parameters: ConfigurationEntry[] }>(
        "/status/configuration",
      ));
      show();
    } catch (error) {
      table.fail(error as Error);
    }
  };
  on(filter, "input", show);
  on(changed, "change", show);
  return {
    path: "configuration",
    title: "Configuration",
    element: card(
      h(
        "div",
        { class: "form" },
        h("label", { for: "filter" }, "Search"),
        filter,
        h("span", { class: "check" }, changed, h("label", { for: "changed" }, "changed only")),
        count,
      ),
      table.element,
    ),
    update: () => {},
    open: () => void load(),
    // It changes with a restart alone, which may come while the page is open.
    refresh: () => void load(),
  };
}
