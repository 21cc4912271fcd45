import { type RunningJob, StopError } from "../job/mod.ts";
import { createApi } from "./api.ts";

export interface ServerOptions {
  readonly job: RunningJob;
  readonly hostname: string;
  readonly port: number;
  readonly bodyBytesMax: number;
  /** What clients must bring; empty = nothing. */
  readonly token?: string;
}

/** The HTTP server of a job. */
export interface Server {
  /** Such as http://127.0.0.1:8080 */
  readonly url: string;
  /** Takes no new requests, and resolves when those under way are answered. */
  stop(): Promise<void>;
}

/** @throws {StopError} when the address cannot be listened on */
export function startServer(options: ServerOptions): Server {
  const { hostname, port, ...rest } = options;
  const stopping = new AbortController();
  const app = createApi({ ...rest, stopping: stopping.signal });
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
      error instanceof Deno.errors.NotCapable
        ? "add the address to permissions.start.net in deno.json"
        : "stop what uses the port, or choose another by --http.port",
      { cause: error },
    );
  }
}
