// Debian's chromium, driven by playwright-core, and the real service before it.

import axe from "axe-core";
import { assertEquals } from "../std/assert.ts";
import { type Browser, chromium, type Page } from "playwright-core";
import { type Service, startService, waitReady } from "../../tools/kit/service.ts";

export const TOKEN = "token-of-the-browser-tests";

/** Where the browser may be, the first that is there is taken. */
const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

function findChromium(): string | null {
  return PLACES.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  }) ?? null;
}

const CHROMIUM = findChromium();

/** Why there are no browser tests here, and what helps; null = there are. */
export const WHY_NOT = CHROMIUM === null
  ? "no chromium: install it by apt-get install chromium"
  : null;

if (WHY_NOT) console.log(`Browser tests are skipped: ${WHY_NOT}`);

export async function openBrowser(): Promise<Browser> {
  // In a container its sandbox cannot be made; what it loads is our own page.
  return await chromium.launch({ executablePath: CHROMIUM!, args: ["--no-sandbox"] });
}

export interface Look {
  readonly width: number;
  readonly scheme: "light" | "dark";
}

/** Every page is looked at in each of these. */
export const LOOKS: readonly Look[] = [
  { width: 1440, scheme: "light" },
  { width: 1440, scheme: "dark" },
  { width: 390, scheme: "light" },
  { width: 390, scheme: "dark" },
];

export const PAGES = [
  { path: "", title: "Overview" },
  { path: "partitions", title: "Partitions" },
  { path: "checkpoints", title: "Checkpoints" },
  { path: "items", title: "Items" },
  { path: "messages", title: "Messages" },
  { path: "health", title: "Health" },
  { path: "configuration", title: "Configuration" },
] as const;

/** A tab, and what went wrong in it. */
export interface Tab {
  readonly page: Page;
  /** Messages of the console that are warnings or errors, and exceptions that nobody caught. */
  readonly errors: string[];
  close(): Promise<void>;
}

export async function openTab(
  browser: Browser,
  { width, scheme }: Look = LOOKS[0]!,
  locale = "en-GB",
): Promise<Tab> {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    locale,
    timezoneId: "UTC",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const errors: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(error.message));
  return { page, errors, close: () => context.close() };
}

/** Goes to a page of ours, and waits until it shows what the service says. */
export async function goTo(tab: Tab, url: string, path: string, title: string): Promise<void> {
  await tab.page.goto(`${url}/#/${path}`);
  await tab.page.getByRole("heading", { level: 1, name: title }).waitFor();
  await tab.page.locator(".connection", { hasText: "Live" }).waitFor();
  await tab.page.locator(".place:not([hidden])").waitFor();
}

/** Findings of axe-core that keep somebody from the page. */
export async function seriousFindings(page: Page): Promise<string[]> {
  // By the debugger, which the page's policy does not hold back.
  const { source } = axe as unknown as { source: string };
  await page.evaluate(source);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run(document, {
      resultTypes: ["violations"],
    })
  );
  return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) =>
      `${id}: ${help}: ${nodes.map((n) => n.html).join(" ").slice(0, 400)}`
    );
}

/** Flags of a job that has something on every page. */
const BUSY = {
  "generate.transactions": "true",
  "generate.rate": "3000",
  "generate.results": "true",
  "generate.queries": "true",
  "num.items": "500",
  "checkpoint.interval.millis": "2000",
  "transaction.num.min": "1",
  "transaction.failure.rate.min": "0",
} as const;

/** The real service with real data. */
export async function busyService(
  flags: Readonly<Record<string, string>> = {},
  folder?: string,
): Promise<Service> {
  const service = await startService({
    flags: { ...BUSY, ...flags },
    ...(folder === undefined ? {} : { folder }),
  });
  if (!("http.token" in flags)) await waitReady(service);
  return service;
}

/** A savepoint that the pictures show. */
export async function takeSavepoint({ url }: Service): Promise<void> {
  const response = await fetch(`${url}/savepoints`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "before-sale" }),
  });
  await response.body?.cancel();
}

/** Fails when something was said in the console that should not have been. */
export function assertNoErrors({ errors }: Tab, allowed: RegExp | null = null): void {
  assertEquals(errors.filter((error) => !allowed?.test(error)), []);
}
