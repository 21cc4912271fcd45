import type { Conditions } from "../engine/mod.ts";
import type { ProcessLife, RunningJob } from "../service/mod.ts";
import { StopError } from "../log/mod.ts";
import { systemClock, type Tracing } from "../types/mod.ts";
import type { Access } from "./access.ts";
import { createApi } from "./api.ts";
import { Connections } from "./connections.ts";
import type { HttpLimits } from "./limits.ts";
import { createStartingApi } from "./starting.ts";

/** How long answers may take to be read once the job has stopped. */
const UNREAD_MS = 1000;
/** How long a stop waits for requests under way while the job is not ready, and how often it looks. */
const UNREADY_MS = 1000;
const READY_LOOK_MS = 50;

export interface ServerOptions {
  /** What is not as it should be; what a job waits for before it starts is among it. */
  readonly conditions: Conditions;
  readonly hostname: string;
  readonly port: number;
  readonly limits: HttpLimits;
  readonly access: Access;
  readonly life: ProcessLife;
  /** Null or left away: nothing is traced. */
  readonly tracing?: Tracing | null;
}

/** The HTTP server of a job, which listens before the job has started. */
export interface Server {
  /** The job has started: from now on it is asked. */
  serve(job: RunningJob): void;
  /** Such as http://127.0.0.1:8080 */
  readonly url: string;
  readonly port: number;
  /**
   * Takes no new requests but probes, and resolves when those under way are answered, or wait for partitions
   * that are being recovered: these the job answers when it ends.
   */
  drain(): Promise<void>;
  /**
   * Stops listening, by which other processes notice that this one is gone. An answer that its client does not
   * read ends with the process.
   */
  stop(): Promise<void>;
}

/** @throws {StopError} when the address cannot be listened on */
export function startServer(options: ServerOptions): Server {
  const { hostname, port, life, limits, access, conditions, tracing } = options;
  const stopping = new AbortController();
  const shared = { access, life: life.id, stopping: stopping.signal };
  let job: RunningJob | null = null;
  try {
    const { headTimeoutMs, idleTimeoutMs, connectionsMax } = limits;
    const connections = new Connections(
      { hostname, port, headTimeoutMs, idleTimeoutMs, connectionsMax, clock: systemClock },
      createStartingApi({ ...shared, conditions }).fetch,
    );
    const host = hostname.includes(":") ? `[${hostname}]` : hostname;
    return {
      url: `http://${host}:${connections.port}`,
      port: connections.port,
      serve: (started) => {
        job = started;
        connections.answer =
          createApi({ ...shared, connections, limits, job, tracing: tracing ?? null }).fetch;
      },
      drain: async () => {
        stopping.abort();
        const answered = new AbortController();
        void connections.allAnswered().then(() => answered.abort());
        const from = systemClock.monotonic();
        const isPatient = () =>
          (job?.isReady ?? false) || systemClock.monotonic() - from < UNREADY_MS;
        while (!answered.signal.aborted && isPatient()) {
          await systemClock.sleep(READY_LOOK_MS, answered.signal);
        }
      },
      stop: () => Promise.race([connections.stop(), systemClock.sleep(UNREAD_MS)]),
    };
  } catch (error) {
    throw new StopError(
      `Cannot listen on ${hostname}:${port}: ${(error as Error).message}`,
      error instanceof Deno.errors.NotCapable
        ? "start by deno task start, which allows all addresses, or add this one to --allow-net of the command"
        : "stop what uses the port, or choose another by --http.port",
      { cause: error },
    );
  }
}
