import { type Service, startService } from "../tools/kit/service.ts";
import { scrape } from "./service_metrics.ts";

/** A service under a load that goes on. */
export interface Soaked {
  readonly service: Service;
  /** What waits, by its unit. */
  readonly waits: string;
  /** How much waits now. */
  waiting(): Promise<number>;
  /** More than this, from the third quarter to the last, is growth without bound; null = not judged. */
  readonly growthMax: number | null;
  /** What else there is to print from time to time. */
  furtherFigures?(): Promise<string>;
  /** Ends what is left when the service has ended. */
  close(): Promise<void>;
}

/** The embedded service with its generator flat out. */
export async function soakEmbedded({ items }: { readonly items: number }): Promise<Soaked> {
  const service = await startService({
    flags: {
      "generate.transactions": "true",
      "generate.rate": "0",
      "generate.queries": "true",
      "num.items": String(items),
    },
  });
  return {
    service,
    waits: "bytes wait for the log",
    waiting: async () => (await scrape(service)).sum("stockflow_log_waiting_bytes"),
    // A queue with a bound of its own.
    growthMax: null,
    close: async () => {
      await service.kill();
      await Deno.remove(service.folder, { recursive: true });
    },
  };
}
