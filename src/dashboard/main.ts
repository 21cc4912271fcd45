// dashboard: the page, as a browser runs it. This file is its frame: navigation, and what it says about the connection.
//
// What lives here: elements, charts, forms, the stream of the status, and how figures are written for people.
// What may not: code of the service (types of its leaves alone), resources from elsewhere, HTML made of text.
//
// The status comes in once a second and goes to the page that is shown; src/http/page has what is built of it.

import "./style.css";
import { token, whenTokenIsNeeded } from "./api.ts";
import { Connection } from "./connection.ts";
import { TokenDialog } from "./dialogs.ts";
import { button, h, setAttribute, setText } from "./dom.ts";
import * as format from "./format.ts";
import { checkpointsPage } from "./pages/checkpoints.ts";
import { configurationPage } from "./pages/configuration.ts";
import { healthPage } from "./pages/health.ts";
import { itemsPage } from "./pages/items.ts";
import { messagesPage } from "./pages/messages.ts";
import { overviewPage } from "./pages/overview.ts";
import { partitionsPage } from "./pages/partitions.ts";
import type { Page } from "./page.ts";

const REFRESH_MS = 5000;

const connection = new Connection();
const pages: readonly Page[] = [
  overviewPage(connection),
  partitionsPage(),
  checkpointsPage(),
  itemsPage(),
  messagesPage(),
  healthPage(),
  configurationPage(),
];
let shown: Page | null = null;

// ---- the frame ----

const links = pages.map(({ path, title }) => h("a", { href: `#/${path}` }, title));
const dot = h("span", { class: "dot" });
const live = h("span", { class: "live" });
const pause = button("Pause", () => {
  connection.isPaused = !connection.isPaused;
});
const job = h("span", { class: "job" });
const notice = h("div", { class: "notice", role: "status" });
notice.hidden = true;
const title = h("h1", { tabindex: -1 });
const place = h("div", { class: "place" });
const loading = h(
  "div",
  { class: "loading", "aria-hidden": "true" },
  ...Array.from({ length: 4 }, () => h("div", { class: "card bone" })),
);

document.body.append(
  h("a", { href: "#content", class: "skip" }, "To the content"),
  h(
    "header",
    { class: "top" },
    h(
      "span",
      { class: "brand" },
      h("img", { src: "/page/icon.svg", alt: "", width: 28, height: 28 }),
      h("strong", {}, "stockflow"),
      job,
    ),
    h("nav", { "aria-label": "Pages" }, h("ul", {}, ...links.map((link) => h("li", {}, link)))),
    h("span", { class: "connection" }, dot, live, pause),
  ),
  h("main", { id: "content" }, notice, title, loading, place),
);

// ---- navigation ----

function navigate(): void {
  const path = location.hash.replace(/^#\/?/, "");
  const page = pages.find((p) => p.path === path) ?? (path === "content" ? shown : null) ??
    pages[0]!;
  if (page === shown) return;
  const isFirst = shown === null;
  shown = page;
  document.title = `${page.title} – stockflow`;
  setText(title, page.title);
  links.forEach((link, i) => setAttribute(link, "aria-current", pages[i] === page ? "page" : null));
  // Where the bar is wider than the window, the page that is shown stands in it.
  links[pages.indexOf(page)]!.scrollIntoView({ block: "nearest", inline: "center" });
  place.replaceChildren(page.element);
  if (connection.status) page.open?.();
  update();
  // Whoever reads by ear hears where they are; at the first time the browser says it.
  if (!isFirst) title.focus({ preventScroll: true });
  scrollTo(0, 0);
}
addEventListener("hashchange", navigate);

// ---- what the connection says ----

interface Said {
  readonly short: string;
  readonly level: "ok" | "warning" | "broken" | "plain";
  readonly notice: string;
}

function sayOf({ state, status }: Connection): Said {
  switch (state.kind) {
    case "live":
      return { short: "Live", level: status?.verdict.level ?? "plain", notice: "" };
    case "connecting":
      return { short: "Connecting", level: "plain", notice: "" };
    case "paused":
      return {
        short: "Paused",
        level: "plain",
        notice: status ? `Paused. What you see is of ${format.time(status.at)}.` : "",
      };
    case "token":
      return { short: "Token needed", level: "warning", notice: "" };
    case "refused":
      return {
        short: state.reason === "starting" ? "Starting" : "Waiting",
        level: "warning",
        notice: `${state.message}. The page goes on by itself.`,
      };
    case "disconnected":
      return {
        short: "Disconnected",
        level: "broken",
        notice: "The service does not answer. " +
          (status ? `What you see is of ${format.time(status.at)}. ` : "") +
          "The page goes on by itself once it does.",
      };
  }
}

function update(): void {
  const { short, level, notice: text } = sayOf(connection);
  setText(live, short);
  setAttribute(dot, "class", `dot ${level}`);
  setText(notice, text);
  setAttribute(notice, "class", `notice ${level}`);
  notice.hidden = text === "";
  setText(pause, connection.isPaused ? "Go on" : "Pause");
  setAttribute(pause, "aria-pressed", String(connection.isPaused));
  const { status } = connection;
  loading.hidden = status !== null;
  place.hidden = status === null;
  setAttribute(place, "class", connection.state.kind === "disconnected" ? "place stale" : "place");
  if (!status) return;
  setText(job, status.job);
  shown?.update(connection);
}

let hadStatus = false;
connection.onChange(() => {
  update();
  if (!hadStatus && connection.status) {
    hadStatus = true;
    shown?.open?.();
  }
});

const dialog = new TokenDialog((given) => {
  token.set(given);
  connection.tokenGiven();
});
whenTokenIsNeeded((isWrong) => {
  connection.needToken(isWrong);
  dialog.ask(isWrong);
});

setInterval(() => {
  if (document.hidden || connection.isPaused || connection.state.kind !== "live") return;
  shown?.refresh?.();
}, REFRESH_MS);

navigate();
connection.start();
