import { askJson, type ConfigurationEntry } from "../api.ts";
import { badge, card, h, on, setText, Table } from "../dom.ts";
import type { Page } from "../page.ts";

export function configurationPage(): Page {
  let entries: readonly ConfigurationEntry[] = [];
  const filter = h("input", {
    type: "search",
    id: "filter",
    autocomplete: "off",
    spellcheck: "false",
  });
  const changed = h("input", { type: "checkbox", id: "changed" });
  const count = h("p", { class: "hint", role: "status" });
  const table = new Table<ConfigurationEntry>("Parameters", [
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
  ], "No parameter fits.");
  const show = () => {
    const text = filter.value.trim().toLowerCase();
    const found = entries.filter((e) =>
      (text === "" || `${e.key} ${e.help}`.toLowerCase().includes(text)) &&
      (!changed.checked || e.value !== e.default)
    );
    table.show(found, ({ key }) => key);
    setText(count, entries.length === 0 ? "Loading …" : `${found.length} of ${entries.length}`);
  };
  on(filter, "input", show);
  on(changed, "change", show);
  show();
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
    open: () => {
      askJson<{ parameters: ConfigurationEntry[] }>("/status/configuration").then(
        ({ parameters }) => {
          entries = parameters;
          show();
        },
        (error) => setText(count, (error as Error).message),
      );
    },
  };
}
