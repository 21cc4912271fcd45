// The page in a real browser, before the real service with real data.
//
// Needs Debian's chromium (apt-get install chromium); without it the tests are skipped, in CI that is a failure.

import { assert, assertEquals, assertMatch, assertNotEquals } from "../std/assert.ts";
import type { Browser, Page } from "playwright-core";
import { stopInGoodOrder } from "../../tools/kit/service.ts";
import {
  assertNoErrors,
  busyService,
  goTo,
  LOOKS,
  openBrowser,
  openTab,
  PAGES,
  seriousFindings,
  TOKEN,
  WHY_NOT,
} from "./browser.ts";

/** A test with a browser and a service of its own. */
function test(
  name: string,
  run: (browser: Browser, service: Awaited<ReturnType<typeof busyService>>) => Promise<void>,
  flags: Readonly<Record<string, string>> = {},
): void {
  // playwright-core keeps a connection and timers until the browser is closed.
  const options = { sanitizeOps: false, sanitizeResources: false, ignore: WHY_NOT !== null };
  Deno.test({ name, ...options }, async () => {
    const service = await busyService(flags);
    const browser = await openBrowser();
    try {
      await run(browser, service);
    } finally {
      await browser.close();
      await service.kill();
      await Deno.remove(service.folder, { recursive: true });
    }
  });
}

/** What shows that a page has the service's own data on it. */
const FILLED: Readonly<Record<string, string>> = {
  "": ".step:nth-child(4) .main",
  partitions: "tbody tr:nth-child(4)",
  checkpoints: "tbody tr .badge.ok",
  items: "tbody tr:nth-child(20)",
  messages: "tbody tr:nth-child(50)",
  health: "tbody tr .badge.ok",
  configuration: "tbody tr:nth-child(50)",
};

/** Cells of tables that do not stand in the window: who looks does not know that they are there. */
async function cellsOutside(page: Page): Promise<string[]> {
  return await page.evaluate(() =>
    [...document.querySelectorAll("td")].filter((cell) => {
      const { left, right } = cell.getBoundingClientRect();
      return left < 0 || right > innerWidth;
    }).map((cell) => cell.textContent)
  );
}

test(
  "every page has data, no error in the console and no serious finding, wide and narrow, light and dark",
  async (browser, { url }) => {
    for (const look of LOOKS) {
      const tab = await openTab(browser, look);
      for (const { path, title } of PAGES) {
        await goTo(tab, url, path, title);
        await tab.page.locator(FILLED[path]!).first().waitFor();
        const where = `${title} at ${look.width} px, ${look.scheme}`;
        assertEquals(await seriousFindings(tab.page), [], where);
        const width = await tab.page.evaluate(() => document.documentElement.scrollWidth);
        assert(width <= look.width, `${where} is ${width} px wide`);
        assertEquals(await cellsOutside(tab.page), [], where);
      }
      assertNoErrors(tab);
      await tab.close();
    }
  },
);

test(
  "an item is looked up, a hot one by a click, and one that was never seen says so",
  async (browser, { url }) => {
    const tab = await openTab(browser);
    await goTo(tab, url, "items", "Items");
    await tab.page.getByLabel("Item", { exact: true }).fill("item_1");
    await tab.page.keyboard.press("Enter");
    await tab.page.locator(".answer", { hasText: /^item_1: [\d,]+ in stock$/ }).waitFor();
    await tab.page.getByLabel("Item", { exact: true }).fill("nobody has this");
    await tab.page.getByRole("button", { name: "Look up", exact: true }).click();
    await tab.page.locator(".answer", { hasText: "nobody has this was never seen." }).waitFor();
    const hot = tab.page.locator("tbody button").first();
    const itemId = await hot.textContent();
    await hot.click();
    await tab.page.locator(".answer", { hasText: `${itemId}: ` }).waitFor();
    // That an item was not found stands in the console of every browser.
    assertNoErrors(tab, /404/);
  },
);

test(
  "a savepoint is taken, refused under the same name, and deleted after a confirmation",
  async (browser, { url }) => {
    const tab = await openTab(browser);
    const { page } = tab;
    await goTo(tab, url, "checkpoints", "Checkpoints");
    const said = page.locator(".said");
    const take = async () => {
      await page.getByLabel("Name").fill("before-sale");
      await page.getByRole("button", { name: "Take a savepoint" }).click();
    };
    await take();
    await said.filter({ hasText: "Savepoint before-sale is taken." }).waitFor();
    const row = page.locator("tbody tr", { hasText: "before-sale" });
    await row.waitFor();
    await take();
    await said.filter({ hasText: "There is a savepoint before-sale already" }).waitFor();
    const remove = row.getByRole("button", { name: "Delete savepoint before-sale" });
    await remove.click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    assertEquals(await row.count(), 1);
    await remove.click();
    await page.keyboard.press("Escape");
    assertEquals(await row.count(), 1);
    await remove.click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await said.filter({ hasText: "Savepoint before-sale is deleted." }).waitFor();
    await row.waitFor({ state: "detached" });
    const { savepoints } = await (await fetch(`${url}/savepoints`)).json();
    assertEquals(savepoints, []);
    assertNoErrors(tab, /409/);
  },
);

test(
  "charts move, stand still while the page is paused, and go on",
  async (browser, { url }) => {
    const tab = await openTab(browser);
    const { page } = tab;
    await goTo(tab, url, "", "Overview");
    const plot = page.locator(".plot canvas").first();
    const picture = () => plot.evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());
    await plot.waitFor();
    const first = await picture();
    await page.waitForFunction(
      (before) =>
        (document.querySelector(".plot canvas") as HTMLCanvasElement).toDataURL() !== before,
      first,
    );
    await page.getByRole("button", { name: "1 h", exact: true }).click();
    const hour = page.getByRole("button", { name: "1 h", exact: true });
    assertEquals(await hour.getAttribute("aria-pressed"), "true");
    await page.getByRole("button", { name: "Pause" }).click();
    await page.locator(".notice", { hasText: "Paused" }).waitFor();
    const paused = await picture();
    await page.waitForTimeout(2500);
    assertEquals(await picture(), paused);
    // The stream is closed, not only not shown.
    const streams = async () => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(/^stockflow_http_status_streams (\d+)$/m.exec(text)![1]);
    };
    assertEquals(await streams(), 0);
    await page.getByRole("button", { name: "Go on" }).click();
    await page.locator(".connection", { hasText: "Live" }).waitFor();
    await page.waitForFunction(
      (before) =>
        (document.querySelector(".plot canvas") as HTMLCanvasElement).toDataURL() !== before,
      paused,
    );
    assertEquals(await streams(), 1);
    assertNoErrors(tab);
  },
);

test(
  "a new service says on each page what is not there yet, and what cannot be read; while its status is awaited, the page is a sketch",
  async (browser, { url }) => {
    const tab = await openTab(browser, { width: 390, scheme: "light" });
    const { page } = tab;
    const texts = {
      "": "which started at",
      checkpoints: "No checkpoint was taken yet.",
      items: "No record was sampled yet",
      messages: "The partition is empty.",
      health: "No worker had to recover",
    };
    /** Pages that ask for more than the status. */
    const asking: readonly string[] = ["checkpoints", "items", "messages", "configuration"];
    for (const { path, title } of PAGES) {
      await goTo(tab, url, path, title);
      const text = texts[path as keyof typeof texts];
      if (text !== undefined) await page.getByText(text).waitFor();
      const link = await page.locator("nav a[aria-current]").boundingBox();
      assert(link!.x >= 0 && link!.x + link!.width <= 390, `${title} is seen in the bar`);
    }
    const message = "The store of checkpoints is away";
    const json = { error: { reason: "internal", message } };
    await page.route(
      /\/(status\/(hot-items|configuration)|logs|savepoints|checkpoints)$/,
      (route) => route.fulfill({ status: 503, json }),
    );
    await page.reload();
    for (const { path, title } of PAGES.filter(({ path }) => asking.includes(path))) {
      await goTo(tab, url, path, title);
      await page.locator("p.error", { hasText: message }).first().waitFor();
      // That there is nothing is not known.
      assertEquals(await page.locator(".place .empty:not(.error):visible").allInnerTexts(), []);
    }
    await page.unroute(/\/(status\/(hot-items|configuration)|logs|savepoints|checkpoints)$/);
    await page.route(/\/status/, () => {}); // is never answered
    await page.reload();
    await page.locator(".loading:not([hidden])").waitFor();
    await page.locator(".connection", { hasText: "Connecting" }).waitFor();
    assertNoErrors(tab, /503/);
  },
  { "generate.transactions": "false", "generate.queries": "false" },
);

test(
  "a service that is gone is shown as such, with what was seen last; its restart is survived",
  async (browser, service) => {
    const tab = await openTab(browser);
    const { page } = tab;
    await goTo(tab, service.url, "", "Overview");
    const { port } = new URL(service.url);
    await stopInGoodOrder(service);
    await page.locator(".notice", { hasText: "The service does not answer" }).waitFor();
    await page.locator(".place.stale").waitFor();
    // That all was well says nothing of now.
    await page.locator(".verdict.plain", { hasText: "Not known" }).waitFor();
    assertMatch(await page.locator(".figure dd").first().innerText(), /\/s$/);
    const again = await busyService({ "http.port": port }, service.folder);
    try {
      await page.locator(".connection", { hasText: "Live" }).waitFor();
      await page.locator(".notice").waitFor({ state: "hidden" });
      await page.locator(".verdict.ok").waitFor();
      await page.goto(`${again.url}/#/checkpoints`);
      // The history is over restarts.
      await page.locator("tbody tr", { hasText: "restored" }).first().waitFor();
      await page.locator("tbody tr", { hasText: "stop" }).first().waitFor();
    } finally {
      await again.kill();
    }
  },
);

test(
  "a token is asked for, a wrong one refused; it stands in no address and is forgotten with the tab",
  async (browser, { url }) => {
    const tab = await openTab(browser);
    const { page } = tab;
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(`${url}/#/items`);
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    assertEquals(await seriousFindings(page), []);
    await page.getByRole("textbox", { name: "Token" }).fill("not-the-token-of-it");
    await page.keyboard.press("Enter");
    await dialog.getByText("The service does not take this token.").waitFor();
    await page.getByRole("textbox", { name: "Token" }).fill(TOKEN);
    await dialog.getByRole("button", { name: "Go on" }).click();
    await page.locator(".connection", { hasText: "Live" }).waitFor();
    await page.reload();
    await page.locator(".connection", { hasText: "Live" }).waitFor();
    assertEquals(await dialog.count() === 0 || !(await dialog.isVisible()), true);
    assertEquals(asked.filter((asked) => asked.includes(TOKEN)), []);
    assert(asked.every((asked) => asked.startsWith(url)), "something came from elsewhere");
    const other = await openTab(browser);
    await other.page.goto(url);
    await other.page.getByRole("dialog").waitFor();
    assertNoErrors(tab, /401/);
  },
  { "http.token": TOKEN },
);

test(
  "everything can be reached by keyboard, and a page that is opened is where the focus is",
  async (browser, { url }) => {
    const tab = await openTab(browser);
    const { page } = tab;
    await goTo(tab, url, "", "Overview");
    await page.keyboard.press("Tab");
    assertEquals(await page.locator(":focus").textContent(), "To the content");
    for (let i = 0; i < 4; i++) await page.keyboard.press("Tab");
    assertEquals(await page.locator(":focus").textContent(), "Items");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Items" }).waitFor();
    assertEquals(await page.locator(":focus").textContent(), "Items");
    assertEquals(await page.title(), "Items – stockflow");
    assertNoErrors(tab);
  },
);

test("messages are browsed by partition and offset", async (browser, { url }) => {
  const tab = await openTab(browser);
  const { page } = tab;
  await goTo(tab, url, "messages", "Messages");
  await page.locator(FILLED["messages"]!).waitFor();
  const offsets = () => page.locator("tbody tr td:first-child").allInnerTexts();
  await page.getByLabel("Offset").fill("7");
  await page.getByRole("button", { name: "Read" }).click();
  await page.locator("tbody tr:first-child td:first-child", { hasText: /^7$/ }).waitFor();
  assertEquals((await offsets()).length, 50);
  await page.getByRole("button", { name: "Newer" }).click();
  await page.locator("tbody tr:first-child td:first-child", { hasText: /^57$/ }).waitFor();
  await page.getByLabel("Partition").selectOption("3");
  await page.getByRole("button", { name: "Oldest" }).click();
  await page.locator("tbody tr:first-child td:first-child", { hasText: /^0$/ }).waitFor();
  await page.getByLabel("Offset").fill("999999999");
  await page.getByRole("button", { name: "Read" }).click();
  await page.locator(".said.error", { hasText: "is outside" }).waitFor();
  // A message may have a megabyte: its beginning is shown, and all of it on demand.
  const records = [{ offset: 0, timestamp: 1, key: null, value: "y".repeat(60_000), headers: [] }];
  await page.route(
    "**/logs/*/*",
    (route) => route.fulfill({ json: { start: 0, end: 1, next: 1, records } }),
  );
  await page.getByRole("button", { name: "Oldest" }).click();
  const value = page.locator("tbody td.long code");
  const all = page.getByRole("button", { name: "Show all 60,000 characters" });
  await all.waitFor();
  assertEquals((await value.innerText()).length, 1001);
  await all.click();
  await all.waitFor({ state: "detached" });
  assertEquals((await value.innerText()).length, 60_000);
  assertNoErrors(tab, /416/);
});

test("numbers are in the reader's locale", async (browser, { url }) => {
  const texts = await Promise.all(["en-GB", "de-DE"].map(async (locale) => {
    const tab = await openTab(browser, LOOKS[0]!, locale);
    await goTo(tab, url, "", "Overview");
    const figure = tab.page.locator(".figure dd", { hasText: /^\d[.,]\d{3}\/s$/ }).first();
    await figure.waitFor();
    return await figure.innerText();
  }));
  assertMatch(texts[0]!, /^\d,\d{3}\/s$/);
  assertMatch(texts[1]!, /^\d\.\d{3}\/s$/);
  assertNotEquals(texts[0], texts[1]);
});
