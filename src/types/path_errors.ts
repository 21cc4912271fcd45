/** Why a path cannot be used, and what to do about it. */
export interface PathTrouble {
  /** Half a sentence, such as "it is a folder". */
  readonly reason: string;
  /** What the user may do, a sentence without full stop. */
  readonly remedy: string;
}

/** A path that is there, and of another kind than the one that is needed. */
export class NotAFileError extends Error {
  override readonly name = "NotAFileError";
}

const ANOTHER_PATH = "look at the path, or choose another one";

/** By the codes of the operating system. */
const TROUBLES: Readonly<Record<string, PathTrouble>> = {
  ENOENT: { reason: "it does not exist", remedy: ANOTHER_PATH },
  EEXIST: { reason: "it exists already", remedy: "choose a name that is not there yet" },
  ENOTDIR: { reason: "a part of the path is a file, not a folder", remedy: ANOTHER_PATH },
  EISDIR: { reason: "it is a folder, not a file", remedy: "name a file in it" },
  EROFS: {
    reason: "the file system is read-only",
    remedy: "choose a path on a file system that can be written, or mount this one for writing",
  },
  ENOSPC: { reason: "the disk is full", remedy: "free space there, or choose another disk" },
  EDQUOT: { reason: "the quota of the disk is used up", remedy: "free space, or raise the quota" },
  ENAMETOOLONG: { reason: "the name is too long", remedy: "choose a shorter one" },
  ELOOP: { reason: "its symbolic links lead in a circle", remedy: ANOTHER_PATH },
  EMFILE: {
    reason: "the process has too many files open",
    remedy: "raise its limit of open files (ulimit -n)",
  },
  EINVAL: { reason: "this cannot be the name of a file", remedy: ANOTHER_PATH },
};

const NOT_PERMITTED: PathTrouble = {
  reason: "the operating system does not permit it",
  remedy:
    "give the user that runs this the right to (chown, chmod, or the mount), or choose another path",
};

const NOT_ALLOWED: PathTrouble = {
  reason: "Deno does not allow it",
  remedy: "start by deno task start, which allows all paths, or add it to --allow-read and " +
    "--allow-write of the command",
};

/**
 * What an error of the file system means.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const error = Object.assign(new Error("Read-only file system (os error 30)"), { code: "EROFS" });
 * assertEquals(pathTrouble(error).reason, "the file system is read-only");
 * ```
 */
export function pathTrouble(error: unknown): PathTrouble {
  return knownTrouble(error) ??
    { reason: error instanceof Error ? error.message : String(error), remedy: ANOTHER_PATH };
}

/** The same; null for an error that is not of the file system. */
export function knownTrouble(error: unknown): PathTrouble | null {
  if (error instanceof NotAFileError) return { reason: error.message, remedy: "name a file" };
  const { name, code } = error as { name?: string; code?: string };
  if (name === "NotCapable") return NOT_ALLOWED;
  if (name === "PermissionDenied" || code === "EACCES" || code === "EPERM") return NOT_PERMITTED;
  return TROUBLES[code ?? ""] ?? null;
}

/** Throws unless what a path leads to is a file: reading a pipe would wait, a device may have no end. */
export function checkIsFile(info: Deno.FileInfo): void {
  if (info.isFile) return;
  throw new NotAFileError(info.isDirectory ? "it is a folder, not a file" : "it is not a file");
}
