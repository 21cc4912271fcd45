// How long from the start of the process until it is ready, with 1 M and 10 M items: after a stop in
// good order, and after kill -9 in the middle of the load (then records are folded again).
//
//   deno task bench:restart [--items=1000000,10000000]

import { commandLine } from "../tools/kit/command_line.ts";
import { type Service, startService, waitReady } from "../tools/kit/service.ts";
import { scrape, untilFolded } from "./service_metrics.ts";

const values = commandLine("bench:restart", {
  items: { type: "string", default: "1000000,10000000" },
});

/** So many generated records per item see nearly every item once with success, if all are as frequent. */
const RECORDS_PER_ITEM = 30;
const EVEN_SHAPE = "0.1";
const LIFE_MS = 3000;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Seconds from the start of the process until it is ready. */
async function restart(
  folder: string,
  flags: Record<string, string>,
): Promise<{ service: Service; seconds: number }> {
  const from = performance.now();
  const service = await startService({ folder, flags });
  await waitReady(service);
  return { service, seconds: (performance.now() - from) / 1000 };
}

for (const items of values.items.split(",").map(Number)) {
  const flags = {
    "generate.transactions": "true",
    "generate.rate": "0",
    "generate.count": String(items * RECORDS_PER_ITEM),
    "num.items": String(items),
    "pareto.shape": EVEN_SHAPE,
  };
  const folder = await Deno.makeTempDir({ prefix: "stockflow-restart-" });
  const { service } = await restart(folder, flags);
  await untilFolded(service, items * RECORDS_PER_ITEM);
  const seen = (await scrape(service)).sum("stockflow_items");
  service.signal("SIGTERM");
  await service.status;
  const more = { ...flags, "generate.count": "0" };
  const { service: second, seconds } = await restart(folder, more);
  console.log(`${seen} items: ready ${seconds.toFixed(2)} s after a stop in good order`);
  await sleep(LIFE_MS);
  await second.kill();
  const third = await restart(folder, more);
  const again = /(\d+) records folded again/.exec(third.service.log());
  console.log(
    `${seen} items: ready ${third.seconds.toFixed(2)} s after kill -9, ${
      again?.[1] ?? 0
    } records ` +
      "folded again by the first worker",
  );
  third.service.signal("SIGTERM");
  await third.service.status;
  await Deno.remove(folder, { recursive: true });
}
