import { type RunningJob, StopError } from "../job/mod.ts";
import { createApi } from "./api.ts";

export interface ServerOptions {
  readonly job: RunningJob;
  readonly hostname: string;
  readonly port: number;
  readonly bodyBytesMax: number;
}

/** The HTTP server of a job. */
export interface Server {
  /** Such as http://127.0.0.1:8080 */
  readonly url: string;
  /** Takes no new requests, and resolves when those under way are answered. */
  stop(): Promise<void>;
}

/** @throws {StopError} when the address cannot be listened on */
export function startServer({ job, hostname, port, bodyBytesMax }: ServerOptions): Server {
  const stopping = new AbortController();
  const app = createApi({ job, bodyBytesMax, stopping: stopping.signal });
  try {
    const server = Deno.serve({ hostname, port, onListen: () => {} }, app.fetch);
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    return {
      url: `http://${host}:${server.addr.port}`,
      stop: async () => {
        stopping.abort();
        await server.shutdown();
      },
    };
  } catch (error) {
    throw new StopError(
      `Cannot listen on ${hostname}:${port}: ${(error as Error).message}`,
      "stop what uses the port, or choose another by --http.port",
      { cause: error },
    );
  }
}
