// Waits that have an end: what a test waits for comes, or the test fails with what the services said.

import type { Service } from "../../tools/kit/service.ts";

const WAIT_MS_MAX = 300_000;
const LOOK_MS = 50;

/**
 * Looks again until it is so.
 *
 * @param services whose logs are shown if it does not come
 */
export async function until(
  what: string,
  found: () => boolean | Promise<boolean>,
  ...services: readonly Service[]
): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  while (performance.now() < deadline) {
    if (await within(what, Promise.resolve(found()), services)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  throw new Error(`It does not come to this: ${what}${logsOf(services)}`);
}

/** The exit code of a service that ends by itself. */
export async function exitCode(service: Service): Promise<number> {
  return (await within("the service ends", service.status, [service])).code;
}

/** Waits for something that may never come. */
export async function within<T>(
  what: string,
  result: Promise<T>,
  services: readonly Service[] = [],
): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`It does not come to this: ${what}${logsOf(services)}`)),
      WAIT_MS_MAX,
    );
  });
  return await Promise.race([result, late]).finally(() => clearTimeout(timer));
}

/** The stock of an item by HTTP; waits until the job can answer. */
export async function stockOf(service: Service, item: string): Promise<number> {
  const asked = fetch(`${service.url}/items/${item}`).then((response) => response.json());
  return (await within(`${item} is looked up`, asked, [service])).quantity;
}

/** Waits until an item has a stock. */
export function untilStock(service: Service, item: string, quantity: number): Promise<void> {
  const what = `the stock of ${item} is ${quantity}`;
  return until(what, async () => await stockOf(service, item) === quantity, service);
}

/** Waits until a service has answered so many queries; they may not be committed yet. */
export function untilAnswered(service: Service, count: number): Promise<void> {
  return until(`${count} queries are answered`, async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text();
    return Number(/^stockflow_queries_total (\d+)$/m.exec(text)?.[1] ?? 0) >= count;
  }, service);
}

function logsOf(services: readonly Service[]): string {
  return services.map(({ log }) => `\n${log()}`).join("");
}
