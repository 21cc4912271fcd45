import { ApiError, ask, askJson, type HotItemFigures } from "../api.ts";
import {
  button,
  type Column,
  h,
  meter,
  on,
  section,
  setAttribute,
  setText,
  Table,
} from "../dom.ts";
import * as format from "../format.ts";
import type { Page } from "../page.ts";

interface HotRow {
  readonly rank: number;
  readonly itemId: string;
  readonly share: number;
  readonly relative: number;
}

/** The stock of an item, as a sentence. */
async function stockOf(itemId: string): Promise<string> {
  try {
    const response = await ask(`/items?id=${encodeURIComponent(itemId)}`);
    // A stock may have more digits than a number of JavaScript holds.
    const stock = /"quantity":(-?\d+)/.exec(await response.text())?.[1] ?? "";
    return `${itemId}: ${format.bigInteger(stock)} in stock`;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return `${itemId} was never seen.`;
    throw error;
  }
}

/** The field in which an item is named, and the answer. */
class LookUp {
  readonly element: HTMLElement;
  readonly #id = h("input", {
    id: "item-id",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "none",
    placeholder: "item_2",
  });
  readonly #answer = h("p", { class: "answer", role: "status" });
  #asked = 0;

  constructor() {
    const form = h(
      "form",
      { class: "form" },
      h("label", { for: "item-id" }, "Item"),
      this.#id,
      h("button", { type: "submit", class: "primary" }, "Look up"),
    );
    on(form, "submit", (event) => {
      event.preventDefault();
      void this.#lookUp(this.#id.value);
    });
    this.element = section("Look up", form, this.#answer);
  }

  /** Looks an item up as if it had been typed. */
  of(itemId: string): void {
    this.#id.value = itemId;
    void this.#lookUp(itemId);
    this.#id.focus();
  }

  async #lookUp(itemId: string): Promise<void> {
    const own = ++this.#asked;
    const show = (text: string, isError = false) => {
      // An answer that comes late is not that of what stands in the field now.
      if (own !== this.#asked) return;
      setAttribute(this.#answer, "class", isError ? "answer error" : "answer");
      setText(this.#answer, text);
    };
    show("Looking up …");
    try {
      show(await stockOf(itemId));
    } catch (error) {
      show((error as Error).message, true);
    }
  }
}

function hotColumns(lookUp: (itemId: string) => void): Column<HotRow>[] {
  return [
    { title: "Rank", numeric: true, cell: (r) => String(r.rank) },
    {
      title: "Item",
      cell: (r) =>
        button(r.itemId, () => lookUp(r.itemId), {
          class: "link",
          "aria-label": `Look up ${r.itemId}`,
        }),
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
  ];
}

function hotRowsOf({ samples, items }: HotItemFigures): HotRow[] {
  const most = items[0]?.samples ?? 1;
  return items.map(({ itemId, samples: n }, i) => ({
    rank: i + 1,
    itemId,
    share: n / Math.max(1, samples),
    relative: n / most,
  }));
}

export function itemsPage(): Page {
  const lookUp = new LookUp();
  const table = new Table<HotRow>(
    "Hottest items",
    hotColumns((itemId) => lookUp.of(itemId)),
    "No record was sampled yet: one in 64 is.",
    { fits: true },
  );
  const refresh = async () => {
    try {
      const figures = await askJson<HotItemFigures>("/status/hot-items");
      table.show(hotRowsOf(figures), ({ itemId }) => itemId);
    } catch (error) {
      table.fail(error as Error);
    }
  };
  return {
    path: "items",
    title: "Items",
    element: h(
      "div",
      {},
      lookUp.element,
      section(
        "Hottest items",
        h(
          "p",
          { class: "hint" },
          "Of one record in 64, sampled since the process started; those of a minute ago count half.",
        ),
        table.element,
      ),
    ),
    update: () => {},
    open: () => void refresh(),
    refresh: () => void refresh(),
  };
}
