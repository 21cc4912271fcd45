import { type Instance, type RunningJob, StopError } from "../job/mod.ts";
import { systemClock } from "../types/mod.ts";
import { createApi } from "./api.ts";

/** How long answers may take to be read once the job has stopped. */
const UNREAD_MS = 1000;

export interface ServerOptions {
  readonly job: RunningJob;
  readonly hostname: string;
  readonly port: number;
  readonly bodyBytesMax: number;
  /** What clients must bring; empty = nothing. */
  readonly token?: string;
  readonly instance: Instance;
}

/** The HTTP server of a job. */
export interface Server {
  /** Such as http://127.0.0.1:8080 */
  readonly url: string;
  readonly port: number;
  /** Takes no new requests but probes, and resolves when those under way are answered. */
  drain(): Promise<void>;
  /**
   * Stops listening, which tells other processes that this one is gone. Who does not read what it is sent
   * waits for the end of the process.
   */
  stop(): Promise<void>;
}

/** @throws {StopError} when the address cannot be listened on */
export function startServer(options: ServerOptions): Server {
  const { hostname, port, instance, ...rest } = options;
  const stopping = new AbortController();
  const app = createApi({ ...rest, instanceId: instance.id, stopping: stopping.signal });
  const underWay = new Set<Promise<Response>>();
  const answer = (request: Request) => {
    const answered = Promise.resolve(app.fetch(request));
    underWay.add(answered);
    return answered.finally(() => underWay.delete(answered));
  };
  try {
    const server = Deno.serve({ hostname, port, onListen: () => {} }, answer);
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    return {
      url: `http://${host}:${server.addr.port}`,
      port: server.addr.port,
      drain: async () => {
        stopping.abort();
        await Promise.allSettled(underWay);
      },
      stop: () => Promise.race([server.shutdown(), systemClock.sleep(UNREAD_MS)]),
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
