// deno task bench:page: how large the page is, how soon it shows its first figures, and how long its tasks take while
// charts move.

import { busyService, openBrowser, openTab, WHY_NOT } from "./browser.ts";

const RUNS = 5;
const WATCH_MS = 20_000;

if (WHY_NOT) {
  console.error(WHY_NOT);
  Deno.exit(1);
}
const service = await busyService();
const browser = await openBrowser();
let bytes = 0;
for (const path of ["/", "/page/app.js", "/page/app.css", "/page/icon.svg"]) {
  const { hostname, port } = new URL(service.url);
  // As it goes over the wire: fetch would unpack it.
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const request = `GET ${path} HTTP/1.1\r\nhost: ${hostname}:${port}\r\naccept: text/html\r\n` +
    "accept-encoding: gzip\r\nconnection: close\r\n\r\n";
  await connection.write(new TextEncoder().encode(request));
  bytes += (await new Response(connection.readable).bytes()).length;
}
const views: number[] = [];
let longest = 0;
let tasks = 0;
for (let run = 0; run < RUNS; run++) {
  const { page, close } = await openTab(browser);
  await page.addInitScript(() => {
    const found: number[] = [];
    Object.assign(globalThis, { longTasks: found });
    new PerformanceObserver((list) => found.push(...list.getEntries().map((e) => e.duration)))
      .observe({ type: "longtask", buffered: true });
  });
  const from = performance.now();
  await page.goto(service.url);
  await page.locator(".step .main", { hasText: "/s" }).first().waitFor();
  views.push(performance.now() - from);
  if (run === 0) {
    await page.evaluate(() =>
      (globalThis as unknown as { longTasks: number[] }).longTasks.length = 0
    );
    await page.waitForTimeout(WATCH_MS);
    const durations = await page.evaluate(() =>
      (globalThis as unknown as { longTasks: number[] }).longTasks
    );
    tasks = durations.length;
    longest = Math.max(0, ...durations);
  }
  await close();
}
console.log(`page: ${bytes} bytes on the wire, with their headers`);
console.log(
  `first figures after ${views.map((ms) => ms.toFixed(0)).join(", ")} ms, each in a new tab`,
);
console.log(
  `${tasks} tasks over 50 ms in ${WATCH_MS / 1000} s of moving charts` +
    (tasks > 0 ? `, the longest ${longest.toFixed(0)} ms` : ""),
);
await browser.close();
await service.kill();
await Deno.remove(service.folder, { recursive: true });
