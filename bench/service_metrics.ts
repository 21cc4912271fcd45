// Figures that a service tells at /metrics.

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
