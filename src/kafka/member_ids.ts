// Where a process keeps its id in the group, so that the group knows it at once after a restart.

import { isRemoteKv } from "../kv/mod.ts";
import { StopError } from "../log/mod.ts";
import type { Parameters } from "../parameters/mod.ts";
import { pathTrouble } from "../types/mod.ts";
import type { MemberIds } from "./membership.ts";

/**
 * Keeps others out of the folder that is a process's own: two that have one id in the group take turns at putting each
 * other out of it, without end.
 *
 * @returns the locked file, which keeps others out until it is closed; null when the process has no folder of its own
 * @throws {StopError} when another process has it, or it cannot be written
 */
export async function lockOwnFolder(folder: string): Promise<Deno.FsFile | null> {
  if (folder === "") return null;
  const path = `${folder}/kafka.member.lock`;
  let file: Deno.FsFile;
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    file = await Deno.open(path, { create: true, write: true, mode: 0o600 });
  } catch (error) {
    const { reason, remedy } = pathTrouble(error);
    throw new StopError(`Cannot write ${path}: ${reason}`, remedy ?? "see state.dir", {
      cause: error,
    });
  }
  if (await file.tryLock(true)) return file;
  file.close();
  throw new StopError(
    `state.dir=${folder} is used by another process (it holds ${path})`,
    "give each process a folder of its own by --state.dir, or stop the other one",
  );
}

/** Where a process keeps its member id: on its own machine. Without a place for it, none is kept. */
export function memberIdsOf(params: Parameters, group: string): MemberIds {
  const folder = params.get("state.dir");
  if (folder !== "") return memberFile(`${folder}/kafka.member`, group);
  const path = params.get("state.kv");
  if (!isRemoteKv(path)) return memberFile(`${path}.member`, group);
  return { load: () => Promise.resolve(""), save: () => Promise.resolve() };
}

/** Keeps the member id of one group beside the state, so that a restart is known to the group at once. */
function memberFile(path: string, group: string): MemberIds {
  return {
    load: async () => {
      try {
        const [of, memberId] = (await Deno.readTextFile(path)).split("\n");
        return of === group ? memberId ?? "" : "";
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return "";
        throw error;
      }
    },
    save: (memberId) => Deno.writeTextFile(path, `${group}\n${memberId}`, { mode: 0o600 }),
  };
}
