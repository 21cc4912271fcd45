import {
  EmbeddedLog,
  LogFormatError,
  type LogOpener,
  type Restoration,
  type RestoredFrom,
  StopError,
} from "../log/mod.ts";
import type { Parameters } from "../parameters/parameters.ts";
import { type FileDisk, MissingFileError, openWatchedKv } from "../kv/mod.ts";
import type { LogRequest, Surroundings } from "./surroundings.ts";

/** How long a new log remembers transactions, unless it is said. */
const NEW_LOG_WINDOW_MS = 600_000;

/** Opens the embedded log that parameters describe, with the topics of a job. */
export function embeddedLogOpener(request: LogRequest): LogOpener<EmbeddedLog> {
  const { params, topics, generated, surroundings } = request;
  let opened: Promise<EmbeddedLog> | null = null;
  const partitions = params.get("log.partitions");
  const window = params.get("idempotency.window.ms");
  const named = new Set(Object.values(topics).filter((topic) => topic !== null));
  const open = async (disk: FileDisk | null, restoration: Restoration | null) => {
    const { clock, chance } = surroundings;
    const path = params.get("log.kv");
    const timeoutMs = params.get("watchdog.timeout.ms");
    return await openWatchedKv(
      surroundings,
      { path, timeoutMs, disk },
      (kv) =>
        EmbeddedLog.open(kv, {
          topics: Object.fromEntries([...named].map((topic) => [topic, partitions])),
          inputs: [topics.transactions, topics.queries],
          idempotencyWindowMs: window === "auto" ? (generated ? 0 : NEW_LOG_WINDOW_MS) : window,
          ...(restoration ? { restore: { topic: topics.transactions, restoration } } : {}),
          computed: generated ? [topics.transactions] : [],
          refusal: () => disk?.refusal ?? null,
          tracing: surroundings.tracing ?? null,
          clock,
          chance,
        }),
    ).catch((error) => {
      if (!(error instanceof LogFormatError)) throw error;
      throw new StopError(error.message, `the log is ${path}`, { cause: error });
    });
  };
  // Several streams come from the one log.
  return {
    open: ({ logDisk }, restoration) => opened ??= open(logDisk, restoration),
    existing: () => restoredLog(params, surroundings),
    moveAway: async () => await surroundings.moveKv?.(params.get("log.kv")) ?? null,
    close: async () => {
      const log = await opened?.catch(() => null);
      opened = null;
      await log?.close();
    },
  };
}

/** What the log in the file was created from; null = there is none. */
/** What the log in the file was created from; null = there is none. */
export async function restoredLog(
  params: Parameters,
  surroundings: Surroundings,
): Promise<{ restoredFrom: RestoredFrom | null } | null> {
  const file = {
    path: params.get("log.kv"),
    timeoutMs: params.get("watchdog.timeout.ms"),
    mustExist: true,
  };
  try {
    let found: { restoredFrom: RestoredFrom | null } | null = null;
    const kv = await openWatchedKv(surroundings, file, async (kv) => {
      found = await EmbeddedLog.look(kv);
      return kv;
    });
    kv.close();
    return found;
  } catch (error) {
    if (error instanceof MissingFileError) return null;
    throw error;
  }
}
