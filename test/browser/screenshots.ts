// Takes the pictures that README shows: deno task page:screenshots. Look at them before they are committed.

import { busyService, goTo, openBrowser, openTab, takeSavepoint, WHY_NOT } from "./browser.ts";

const FOLDER = new URL("../../docs/images/", import.meta.url);

/** So long the charts have time to fill. */
const FILL_MS = 65_000;

const SHOTS = [
  { name: "overview-light", path: "", title: "Overview", width: 1440, scheme: "light" },
  { name: "overview-dark", path: "", title: "Overview", width: 1440, scheme: "dark" },
  { name: "overview-narrow", path: "", title: "Overview", width: 390, scheme: "dark" },
  { name: "partitions", path: "partitions", title: "Partitions", width: 1440, scheme: "light" },
  { name: "checkpoints", path: "checkpoints", title: "Checkpoints", width: 1440, scheme: "dark" },
  { name: "items", path: "items", title: "Items", width: 1440, scheme: "light" },
  { name: "messages", path: "messages", title: "Messages", width: 1440, scheme: "dark" },
  { name: "health", path: "health", title: "Health", width: 1440, scheme: "light" },
  {
    name: "configuration",
    path: "configuration",
    title: "Configuration",
    width: 1440,
    scheme: "dark",
  },
  {
    name: "messages-narrow",
    path: "messages",
    title: "Messages",
    width: 390,
    scheme: "light",
  },
] as const;

if (WHY_NOT) {
  console.error(WHY_NOT);
  Deno.exit(1);
}
await Deno.mkdir(FOLDER, { recursive: true });
const folder = await Deno.makeTempDir({ prefix: "stockflow-" });
const service = await busyService({ "generate.rate": "20000", "num.items": "20000" }, folder);
const browser = await openBrowser();
try {
  await takeSavepoint(service);
  await new Promise((resolve) => setTimeout(resolve, FILL_MS));
  for (const { name, path, title, width, scheme } of SHOTS) {
    const tab = await openTab(browser, { width, scheme });
    await goTo(tab, service.url, path, title);
    await tab.page.waitForTimeout(2000);
    const file = new URL(`${name}.png`, FOLDER).pathname;
    await tab.page.screenshot({ path: file, fullPage: path === "" || path === "health" });
    console.log(`docs/images/${name}.png`);
    await tab.close();
  }
} finally {
  await browser.close();
  await service.kill();
  await Deno.remove(folder, { recursive: true });
}
