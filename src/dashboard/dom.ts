// Elements, made and changed without a framework. Text goes in as text: nothing that the service says is ever HTML.

type Child = Node | string | null;
type Attributes = Readonly<Record<string, string | number | boolean | null>>;

/** Makes an element. A boolean attribute is set or left away; null leaves any away. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function setAttribute(
  element: Element,
  name: string,
  value: string | number | boolean | null,
): void {
  if (value === null || value === false) element.removeAttribute(name);
  else {
    const text = value === true ? "" : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** Sets a text, only if it is another one: what did not change is not announced again. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function on<K extends keyof HTMLElementEventMap>(
  element: HTMLElement,
  type: K,
  handle: (event: HTMLElementEventMap[K]) => void,
): void {
  element.addEventListener(type, handle);
}

export function button(
  label: string,
  onClick: () => void,
  attributes: Attributes = {},
): HTMLButtonElement {
  const element = h("button", { type: "button", ...attributes }, label);
  on(element, "click", onClick);
  return element;
}

/** A column of a table. */
export interface Column<T> {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly numeric?: boolean;
  /** A text of any length: its lines are broken. */
  readonly long?: boolean;
  /** What a cell shows: a text, or nodes that are made anew. */
  readonly cell: (row: T) => string | Node;
  /** When it changes, the nodes of the cell are made anew; by default they always are. */
  readonly key?: (row: T) => string;
}

function classOf({ numeric, long }: Column<never>): string | null {
  return numeric ? "numeric" : long ? "long" : null;
}

/** A table whose rows stay where they are while their figures change. */
export class Table<T> {
  readonly element: HTMLElement;
  readonly #body = h("tbody", { role: "rowgroup" });
  /** What stands there in the place of rows, or beside them when there was an error. */
  readonly #said = h("p", { class: "empty" }, "Loading …");
  readonly #scroll: HTMLElement;
  readonly #rows = new Map<string, { row: HTMLTableRowElement; keys: string[] }>();

  /**
   * @param empty what is said when there are no rows; before they were shown first, that they are loaded
   * @param fits its rows fit a narrow window; others are laid out anew there, each value beside its title
   */
  constructor(
    caption: string,
    readonly columns: readonly Column<T>[],
    readonly empty: string | (() => string),
    { fits = false } = {},
  ) {
    // A region that scrolls can be reached by keyboard.
    this.#scroll = h(
      "div",
      {
        class: fits ? "table" : "table stacks",
        tabindex: 0,
        role: "region",
        "aria-label": caption,
      },
      // Roles are said, because a table that is laid out otherwise loses them in some browsers.
      h(
        "table",
        { role: "table" },
        h("caption", { class: "hidden" }, caption),
        h("thead", { role: "rowgroup" }, headOf(columns)),
        this.#body,
      ),
    );
    this.element = h("div", {}, this.#scroll, this.#said);
    this.#scroll.hidden = true;
  }

  /** Shows rows in their order. */
  show(rows: readonly T[], idOf: (row: T) => string): void {
    const ids = new Set(rows.map(idOf));
    for (const [id, { row }] of this.#rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    let before: Element | null = null;
    for (const row of rows) {
      const element = this.#rowOf(idOf(row), row);
      const place: Element | null = before
        ? before.nextElementSibling
        : this.#body.firstElementChild;
      if (place !== element) this.#body.insertBefore(element, place);
      before = element;
    }
    const { empty } = this;
    this.#say(rows.length > 0 ? "" : typeof empty === "string" ? empty : empty());
  }

  /** Says why there is nothing new; rows that were shown stay. */
  fail(error: Error): void {
    this.#say(error.message, true);
  }

  #say(text: string, isError = false): void {
    setText(this.#said, text);
    setAttribute(this.#said, "class", isError ? "empty error" : "empty");
    setAttribute(this.#said, "role", isError ? "alert" : null);
    this.#said.hidden = text === "";
    this.#scroll.hidden = this.#rows.size === 0;
  }

  #rowOf(id: string, row: T): HTMLTableRowElement {
    let shown = this.#rows.get(id);
    if (!shown) {
      const cells = this.columns.map((column) =>
        h("td", { role: "cell", class: classOf(column), "data-title": column.title || null })
      );
      shown = { row: h("tr", { role: "row" }, ...cells), keys: [] };
      this.#rows.set(id, shown);
    }
    for (const [i, { cell, key }] of this.columns.entries()) {
      const element = shown.row.cells[i]!;
      const now = key?.(row);
      if (now !== undefined && shown.keys[i] === now) continue;
      if (now !== undefined) shown.keys[i] = now;
      const value = cell(row);
      if (typeof value === "string") setText(element, value);
      else element.replaceChildren(value);
    }
    return shown.row;
  }
}

function headOf(columns: readonly Column<never>[]): HTMLElement {
  const titles = columns.map((column) =>
    h("th", { scope: "col", role: "columnheader", class: classOf(column) }, column.title)
  );
  return h("tr", { role: "row" }, ...titles);
}

/** What became of what somebody asked for. */
export class Said {
  readonly element: HTMLElement;

  constructor(text = "") {
    this.element = h("p", { class: "said", role: "status" }, text);
  }

  say(text: string): void {
    this.#show(text, "said");
  }

  fail(error: Error): void {
    this.#show(error.message, "said error");
  }

  #show(text: string, name: string): void {
    setText(this.element, text);
    setAttribute(this.element, "class", name);
  }
}

/** A part of a page; its heading may be that of the page alone. */
export function card(...children: Child[]): HTMLElement {
  return h("section", { class: "card" }, ...children);
}

/** A part of a page with a heading. */
export function section(title: string, ...children: Child[]): HTMLElement {
  return h("section", { class: "card" }, h("h2", {}, title), ...children);
}

/** A figure with its name. */
export class Figure {
  readonly element: HTMLElement;
  readonly #value = h("dd", {}, "–");
  readonly #note = h("dd", { class: "note" });

  constructor(name: string) {
    this.element = h("div", { class: "figure" }, h("dt", {}, name), this.#value, this.#note);
    this.#note.hidden = true;
  }

  show(value: string, note = ""): void {
    setText(this.#value, value);
    setText(this.#note, note);
    this.#note.hidden = note === "";
  }
}

/** A short text in a frame, by how good or bad it is. */
export function badge(text: string, level: "ok" | "warning" | "broken" | "plain"): HTMLElement {
  return h("span", { class: `badge ${level}` }, text);
}

/** A share of a whole as a bar, with its text for those who do not see it. */
export function meter(label: string, share: number): HTMLElement {
  const fill = h("span", { class: "fill" });
  fill.style.width = `${Math.min(100, Math.max(0, 100 * share))}%`;
  return h("span", { class: "meter", role: "img", "aria-label": label }, fill);
}
