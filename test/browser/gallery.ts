// deno task page:gallery --to=<folder>: every page in every look and in every state, to be looked at by a person.

import { parseArgs } from "node:util";
import type { Service } from "../../tools/kit/service.ts";
import {
  busyService,
  goTo,
  type Look,
  LOOKS,
  openBrowser,
  openTab,
  PAGES,
  type Tab,
  TOKEN,
  WHY_NOT,
} from "./browser.ts";

const USAGE = "deno task page:gallery --to=<folder> [--fill=65]";
const { values } = parseArgs({
  options: { to: { type: "string" }, fill: { type: "string", default: "65" } },
});
if (values.to === undefined || WHY_NOT) {
  console.error(WHY_NOT ?? `Usage: ${USAGE}`);
  Deno.exit(2);
}
const FOLDER = values.to;
const FILL_MS = 1000 * Number(values.fill);

const browser = await openBrowser();

async function shoot(tab: Tab, name: string, { width, scheme }: Look): Promise<void> {
  await tab.page.waitForTimeout(1500);
  const path = `${FOLDER}/${name}-${width}-${scheme}.png`;
  await tab.page.screenshot({ path, fullPage: true });
  console.log(path);
}

/** A state of a page, in each look. */
async function inAllLooks(
  name: string,
  show: (tab: Tab) => Promise<void>,
  looks: readonly Look[] = LOOKS,
): Promise<void> {
  for (const look of looks) {
    const tab = await openTab(browser, look);
    await show(tab);
    await shoot(tab, name, look);
    await tab.close();
  }
}

const nameOf = (path: string) => path === "" ? "overview" : path;

/** Every page of a service. */
async function pagesOf({ url }: Service, state: string, looks: readonly Look[] = LOOKS) {
  for (const { path, title } of PAGES) {
    await inAllLooks(`${nameOf(path)}-${state}`, (tab) => goTo(tab, url, path, title), looks);
  }
}

const NARROW_AND_WIDE = LOOKS.filter(({ width, scheme }) =>
  width === 390 ? scheme === "light" : scheme === "dark"
);

async function remove(service: Service): Promise<void> {
  await service.kill();
  await Deno.remove(service.folder, { recursive: true });
}

// ---- with nothing in it ----

const empty = await busyService({
  "generate.transactions": "false",
  "generate.queries": "false",
  "checkpoint.interval.millis": "600000",
});
await pagesOf(empty, "empty", NARROW_AND_WIDE);
await inAllLooks("loading", async ({ page }) => {
  await page.route(/\/status/, () => {}); // is never answered
  await page.goto(empty.url);
}, NARROW_AND_WIDE);
for (const { path, title } of PAGES.filter(({ path }) => path !== "")) {
  await inAllLooks(`${path}-error`, async (tab) => {
    const json = { error: { reason: "internal", message: "The store of checkpoints is away" } };
    const refuse = { status: 503, json };
    await tab.page.route(
      /\/(status\/(hot-items|configuration)|logs|savepoints|checkpoints|items)/,
      (route) => route.fulfill(refuse),
    );
    await goTo(tab, empty.url, path, title);
    if (path !== "items") return;
    await tab.page.getByLabel("Item", { exact: true }).fill("item_1");
    await tab.page.keyboard.press("Enter");
  }, NARROW_AND_WIDE);
}
await inAllLooks("refused", async ({ page }) => {
  const message = "There are 32 streams, which is the most (http.streams.max)";
  await page.route(
    /\/status\/stream/,
    (route) => route.fulfill({ status: 503, json: { error: { reason: "busy", message } } }),
  );
  await page.goto(empty.url);
  await page.locator(".notice").waitFor();
}, NARROW_AND_WIDE);
await remove(empty);

// ---- a token ----

const closed = await busyService({ "http.token": TOKEN, "generate.transactions": "false" });
await inAllLooks("token", async ({ page }) => {
  await page.goto(closed.url);
  await page.getByRole("dialog").waitFor();
  await page.getByRole("textbox", { name: "Token" }).fill("not-the-token-of-it");
  await page.keyboard.press("Enter");
  await page.getByText("The service does not take this token.").waitFor();
});
await remove(closed);

// ---- busy, paused, and gone ----

const busy = await busyService({ "generate.rate": "20000", "num.items": "20000" });
await fetch(`${busy.url}/savepoints`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ name: "before-sale" }),
}).then((response) => response.body?.cancel());
await new Promise((resolve) => setTimeout(resolve, FILL_MS));
await pagesOf(busy, "busy");
await inAllLooks("items-found", async (tab) => {
  await goTo(tab, busy.url, "items", "Items");
  await tab.page.getByLabel("Item", { exact: true }).fill("item_1");
  await tab.page.keyboard.press("Enter");
}, NARROW_AND_WIDE);
await inAllLooks("delete", async (tab) => {
  await goTo(tab, busy.url, "checkpoints", "Checkpoints");
  await tab.page.getByRole("button", { name: "Delete savepoint before-sale" }).click();
});
await inAllLooks("paused", async (tab) => {
  await goTo(tab, busy.url, "", "Overview");
  await tab.page.getByRole("button", { name: "Pause" }).click();
}, NARROW_AND_WIDE);
const open = await Promise.all(LOOKS.map(async (look) => {
  const tab = await openTab(browser, look);
  await goTo(tab, busy.url, "", "Overview");
  return { tab, look };
}));
await busy.kill();
for (const { tab, look } of open) {
  await tab.page.locator(".notice", { hasText: "does not answer" }).waitFor();
  await shoot(tab, "disconnected", look);
}
await browser.close();
await Deno.remove(busy.folder, { recursive: true });
