import { ApiError, ask, askJson, type HotItemFigures } from "../api.ts";
import { button, h, meter, on, section, setAttribute, setText, Table } from "../dom.ts";
import * as format from "../format.ts";
import type { Page } from "../page.ts";

interface HotRow {
  readonly rank: number;
  readonly itemId: string;
  readonly share: number;
  readonly relative: number;
}

export function itemsPage(): Page {
  const id = h("input", {
    id: "item-id",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "none",
    placeholder: "item_2",
  });
  const answer = h("p", { class: "answer", role: "status" });
  const form = h(
    "form",
    { class: "form" },
    h("label", { for: "item-id" }, "Item"),
    id,
    h("button", { type: "submit", class: "primary" }, "Look up"),
  );
  let asked = 0;
  const lookUp = async (itemId: string) => {
    const own = ++asked;
    const show = (text: string, isError = false) => {
      // An answer that comes late is not that of what stands in the field now.
      if (own !== asked) return;
      setAttribute(answer, "class", isError ? "answer error" : "answer");
      setText(answer, text);
    };
    show("Looking up …");
    try {
      const response = await ask(`/items?id=${encodeURIComponent(itemId)}`);
      // A stock may have more digits than a number of JavaScript holds.
      const stock = /"quantity":(-?\d+)/.exec(await response.text())?.[1] ?? "";
      show(`${itemId}: ${format.bigInteger(stock)} in stock`);
    } catch (error) {
      const isUnknown = error instanceof ApiError && error.status === 404;
      if (isUnknown) show(`${itemId} was never seen.`);
      else show((error as Error).message, true);
    }
  };
  on(form, "submit", (event) => {
    event.preventDefault();
    void lookUp(id.value);
  });
  const table = new Table<HotRow>("Hottest items", [
    { title: "Rank", numeric: true, cell: (r) => String(r.rank) },
    {
      title: "Item",
      cell: (r) =>
        button(r.itemId, () => {
          id.value = r.itemId;
          void lookUp(r.itemId);
          id.focus();
        }, { class: "link", "aria-label": `Look up ${r.itemId}` }),
      key: (r) => r.itemId,
    },
    {
      title: "Share of records",
      cell: (r) =>
        h(
          "span",
          { class: "with-meter wide" },
          meter(`${format.percent(r.share)} of the records`, r.relative),
          h("span", {}, format.percent(r.share)),
        ),
      key: (r) => `${r.share} ${r.relative}`,
    },
  ], "No record was sampled yet: one in 64 is.");
  const said = h("p", { class: "said error", role: "status" });
  const refresh = async () => {
    try {
      const { samples, items } = await askJson<HotItemFigures>("/status/hot-items");
      const most = items[0]?.samples ?? 1;
      const rows = items.map(({ itemId, samples: n }, i) => ({
        rank: i + 1,
        itemId,
        share: n / Math.max(1, samples),
        relative: n / most,
      }));
      table.show(rows, ({ itemId }) => itemId);
      setText(said, "");
    } catch (error) {
      setText(said, (error as Error).message);
    }
  };
  return {
    path: "items",
    title: "Items",
    element: h(
      "div",
      {},
      section("Look up", form, answer),
      section(
        "Hottest items",
        h(
          "p",
          { class: "hint" },
          "Of one record in 64, sampled since the process started; those of a minute ago count half.",
        ),
        said,
        table.element,
      ),
    ),
    update: () => {},
    open: () => void refresh(),
    refresh: () => void refresh(),
  };
}
