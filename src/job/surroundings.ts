import { getLogger } from "@logtape/logtape";
import { type Kv, KvFileError, openKvFile, watchKv } from "../log/mod.ts";
import { type Chance, type Clock, systemChance, systemClock } from "../types/mod.ts";
import { StopError } from "./errors.ts";
import type { LogOptions } from "./logging.ts";
import type { OnProgress } from "./progress.ts";

const log = getLogger(["stockflow", "job"]);

/** What a job takes from the machine; tests and the simulator bring their own. */
export interface Surroundings {
  readonly clock: Clock;
  readonly chance: Chance;
  /** Opens the KV in a file; creates it unless it must exist. */
  readonly openKv: (path: string, mustExist?: boolean) => Promise<Kv>;
  /** Workers run in threads of their own. */
  readonly threads?: boolean;
  /** Is told how far works have come that can take long. */
  readonly onProgress?: OnProgress;
  /** How threads write logs; not at all if it is left away. */
  readonly logs?: LogOptions;
}

/** Opens a KV whose calls fail, and are told, when they do not answer in time. */
export async function openWatchedKv(
  { openKv, clock }: Surroundings,
  path: string,
  timeoutMs: number,
  mustExist = false,
): Promise<Kv> {
  const onHung = (what: string, ms: number) =>
    log.error("{what} did not answer within {ms} ms (watchdog.timeout.ms)", { what, ms });
  const meaning = (error: unknown) => damagedFile(path, error);
  return watchKv(await openKv(path, mustExist), { name: path, timeoutMs, clock, onHung, meaning });
}

/** What SQLite says of a file whose pages are not as it wrote them (SQLITE_CORRUPT, SQLITE_NOTADB). */
const DAMAGED = /database disk image is malformed|file is not a database/;

/** The StopError for a damaged file, on which nothing may be built; null for other errors. */
function damagedFile(path: string, error: unknown): StopError | null {
  const message = error instanceof Error ? error.message : "";
  if (!DAMAGED.test(message)) return null;
  return new StopError(
    `${path} is damaged: ${message}`,
    `move ${path} away, and bring back a copy; checkpoints come back by deno task state import too, ` +
      "and without them the log is folded again from its start if it is whole",
    { cause: error },
  );
}

/** The machine itself. */
export const MACHINE: Surroundings = {
  clock: systemClock,
  chance: systemChance,
  threads: true,
  openKv: async (path, mustExist) => {
    try {
      return await openKvFile(path, mustExist);
    } catch (error) {
      if (!(error instanceof KvFileError)) throw error;
      if (error.cause instanceof Deno.errors.NotFound) {
        throw new StopError(error.message, "bring it there by deno task state import", {
          cause: error,
        });
      }
      const damaged = damagedFile(path, error.cause);
      if (damaged) throw damaged;
      throw new StopError(
        error.message,
        "stop the other process, or give this one files of its own by --state.kv and --log.kv; Deno must " +
          "be allowed to write there (deno.json, permissions)",
        { cause: error },
      );
    }
  },
};
