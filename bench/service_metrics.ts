// Figures that a service reports at /metrics.

export interface Metrics {
  /** Sum of a metric over its labels, or over those with certain values; 0 where there is none. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number;
}

/** @throws when the service does not answer */
export async function scrape({ url }: { readonly url: string }): Promise<Metrics> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return {
    sum: (name, labels = {}) => {
      const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
      return [...text.matchAll(new RegExp(`^${name}(?:\\{([^}]*)\\})? (\\S+)$`, "gm"))]
        .filter(([, of]) => wanted.every((w) => of?.split(",").includes(w)))
        .reduce((n, [, , value]) => n + Number(value), 0);
    },
  };
}

/** Records that a service has folded with outputs. */
export async function recordsIn(service: { readonly url: string }): Promise<number> {
  return (await scrape(service)).sum("stockflow_records_in_total");
}

const LOOK_MS = 250;

/** Waits until a service has folded so many records. */
export async function untilFolded(
  service: { readonly url: string },
  records: number,
): Promise<void> {
  while (await recordsIn(service) < records) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
