// What the real service does when the memory of its state is full: a small bound makes that quick.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Service, startService, waitReady } from "../../tools/kit/service.ts";

async function post(
  service: Service,
  lines: readonly string[],
): Promise<{ status: number; lines: string[] }> {
  const answer = await fetch(`${service.url}/transactions`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: lines.join("\n") + "\n",
  });
  const text = await answer.text();
  return { status: answer.status, lines: text.trimEnd().split("\n") };
}

async function textOf(service: Service, path: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(service.url + path);
  return { status: answer.status, text: await answer.text() };
}

const adds = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `${from + i}\t1\titem_${from + i}\t5`);

Deno.test("new items are refused when memory is full; known ones go on, also after a start; a raised bound lets new ones in", async () => {
  const flags = { "log.partitions": "2", "state.bytes.max": String(2 * 2 ** 20) };
  const first = await startService({ flags });
  let items = 0;
  let refused: string[] = [];
  // Until there is no room for a single one.
  for (let size = 1000; size >= 1 && items < 1_000_000;) {
    const { lines } = await post(first, adds(items, items + size));
    refused = lines.filter((line) => line.includes("memory_full"));
    items += size - refused.length;
    if (refused.length === size) size = Math.floor(size / 2);
  }
  assert(items > 10_000, `${items}`);
  assertStringIncludes(refused[0]!, "state.bytes.max");
  const known = await post(first, ["1\t1\titem_7\t-2", "2\t1\tnever-seen\t5"]);
  assertEquals(known.status, 200);
  assertEquals(known.lines[0], "1\t1\titem_7\t-2\ttrue");
  assertStringIncludes(known.lines[1]!, "memory_full");
  assertEquals((await textOf(first, "/readyz")).status, 200);
  assertStringIncludes((await textOf(first, "/readyz")).text, "state.bytes.max");
  assertStringIncludes((await textOf(first, "/items/item_7")).text, "3");
  await first.kill();

  // What is in the log is folded, however small the bound is now.
  const smaller = { ...flags, "state.bytes.max": "1000000" };
  const second = await startService({ folder: first.folder, flags: smaller });
  assertStringIncludes((await textOf(second, `/items/item_${items - 1}`)).text, "5");
  assertEquals((await post(second, ["3\t1\titem_7\t-1"])).lines, ["3\t1\titem_7\t-1\ttrue"]);
  await second.kill();

  const raised = { ...flags, "state.bytes.max": String(2 ** 30) };
  const third = await startService({ folder: first.folder, flags: raised });
  assertEquals((await post(third, ["4\t1\tnever-seen\t5"])).lines, ["4\t1\tnever-seen\t5\ttrue"]);
  await third.kill();
  await Deno.remove(first.folder, { recursive: true });
});

Deno.test("generated transactions stop before a new item when memory is full; look-ups go on, and a raised bound goes on", async () => {
  const flags = {
    "generate.transactions": "true",
    "generate.rate": "0",
    "num.items": "1000000",
    "log.partitions": "2",
    "state.bytes.max": String(2 * 2 ** 20),
  };
  const first = await startService({ flags });
  while (!(await textOf(first, "/readyz?for=writes")).text.includes("stands still")) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  // One partition may stand still before the other one is ready.
  await waitReady(first);
  assertEquals((await textOf(first, "/readyz?for=writes")).status, 503);
  const { status, text } = await textOf(first, "/readyz");
  assertEquals(status, 200);
  assertStringIncludes(text, "stands still");
  // Threads report their figures four times a second.
  let before = 0;
  for (let i = 0; i < 300 && before === 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const metrics = (await textOf(first, "/metrics")).text;
    before = Number(/stockflow_records_in_total (\d+)/.exec(metrics)![1]);
  }
  assert(before > 0);
  assertEquals((await textOf(first, "/items/never-seen")).status, 404);
  await first.kill();

  const raised = { ...flags, "state.bytes.max": String(2 ** 30) };
  const second = await startService({ folder: first.folder, flags: raised });
  let records = 0;
  while (records < 2_000_000) {
    const { text } = await textOf(second, "/metrics");
    records = Number(/stockflow_records_in_total (\d+)/.exec(text)?.[1] ?? 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assertEquals((await textOf(second, "/readyz?for=writes")).status, 200);
  await second.kill();
  await Deno.remove(first.folder, { recursive: true });
});
