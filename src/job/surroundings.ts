import { type Kv, KvFileError, openKvFile } from "../log/mod.ts";
import { type Chance, type Clock, systemChance, systemClock } from "../types/mod.ts";
import { StopError } from "./errors.ts";

/** What a job takes from the machine; tests and the simulator bring their own. */
export interface Surroundings {
  readonly clock: Clock;
  readonly chance: Chance;
  /** Opens the KV in a file; creates it unless it must exist. */
  readonly openKv: (path: string, mustExist?: boolean) => Promise<Kv>;
  /** Workers run in threads of their own. */
  readonly threads?: boolean;
  /** Threads write logs to standard error. */
  readonly logs?: boolean;
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
      throw new StopError(
        error.message,
        "stop the other process, or give this one files of its own by --state.kv and --log.kv; Deno must " +
          "be allowed to write there (deno.json, permissions)",
        { cause: error },
      );
    }
  },
};
