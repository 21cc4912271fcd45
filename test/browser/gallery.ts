// deno task page:gallery --to=<folder>: every page in every look and in every state, to be looked at by a person.

import { commandLine } from "../../tools/kit/command_line.ts";
import type { JobStatus } from "../../src/service/status.ts";
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
  takeSavepoint,
  TOKEN,
  WHY_NOT,
} from "./browser.ts";

/** What of a status is changed here. */
type Status = { -readonly [K in keyof JobStatus]: Mutable<JobStatus[K]> };
type Mutable<T> = T extends readonly (infer E)[] ? E[] : T;

const USAGE = "deno task page:gallery --to=<folder> [--only=<text in the names>] [--fill=65]";
const values = commandLine("page:gallery", {
  to: { type: "string" },
  only: { type: "string", default: "" },
  fill: { type: "string", default: "65" },
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
  if (!name.includes(values.only)) return;
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

/** Lets a page show another status than the one that the service has. */
async function showing(tab: Tab, change: (status: Status) => void): Promise<void> {
  await tab.page.addInitScript((change) => {
    const parse = JSON.parse;
    const make = new Function(`return (${change})`)();
    JSON.parse = (text: string) => {
      const value = parse(text);
      if (value?.status?.verdict) make(value.status);
      return value;
    };
  }, String(change));
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

// ---- what is not well; it is made up, as it comes and goes ----

const STATES: Readonly<Record<string, (status: Status) => void>> = {
  silent: (status) => {
    const process = { workers: 2, partitions: 2, isHere: false, isLeader: false, why: null };
    const why = "There is no answer within 2000 ms";
    status.cluster = {
      generation: 3,
      partitions: 4,
      processes: [
        { ...process, address: "10.0.0.1:8080", isHere: true, isLeader: true, state: "running" },
        { ...process, address: "10.0.0.2:8080", state: null, why },
      ],
    };
    const text = `The process at 10.0.0.2:8080 does not say how it is: ${why}`;
    const findings = [{ level: "warning", what: "process", text }] as const;
    status.verdict = { level: "warning", sentence: text, findings };
    status.partitions.splice(2);
  },
  broken: (status) => {
    const text = "Partition 1 does not add up: 120 records were consumed, 119 have an outcome; " +
      "keep its log and checkpoints, and report it";
    const disk = "New records are refused: 12 MB are free for state.kv, 67 MB must stay free";
    const cause = "A commit of transactions was lost";
    const recovered = `Worker 0 recovered within the last five minutes: ${cause}`;
    status.verdict = {
      level: "broken",
      sentence: text,
      findings: [
        { level: "broken", what: "conservation", text },
        { level: "broken", what: "disk", text: disk },
        { level: "warning", what: "recovery", text: recovered },
      ],
    };
    status.conditions = [
      { what: "disk", reason: disk, blocks: "writes", since: status.at - 90_000 },
      { what: "conservation", reason: text, blocks: "nothing", since: status.at - 30_000 },
    ];
    status.recoveries = [{ at: status.at - 60_000, cause, worker: "0" }];
    const { records } = status.partitions[1]!.conservation;
    Object.assign(records, { agrees: false, left: "119", right: "120" });
    status.flow = status.flow.map((step) => ({
      ...step,
      ...(step.step === "source" || step.step === "processor"
        ? { busy: 0.2, idle: 0.1, backPressured: 0.7, pressure: "HIGH" }
        : {}),
    }));
  },
};
for (const [state, change] of Object.entries(STATES)) {
  for (const { path, title } of PAGES.filter(({ path }) => /^(partitions|health)?$/.test(path))) {
    await inAllLooks(`${nameOf(path)}-${state}`, async (tab) => {
      await showing(tab, change);
      await goTo(tab, empty.url, path, title);
    });
  }
}
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
await takeSavepoint(busy);
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
const open = !"disconnected".includes(values.only)
  ? []
  : await Promise.all(LOOKS.map(async (look) => {
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
