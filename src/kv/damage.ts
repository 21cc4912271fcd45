// What errors of a KV's file mean: damage, a full disk, a file that cannot be read now.

import { StopError } from "../types/mod.ts";
import type { FileDisk } from "./file_disk.ts";
import { KvFileError } from "./kv_file_error.ts";
import { HungError } from "./watched_kv.ts";
import { NoRoomError } from "./write_errors.ts";

/**
 * What is said of a file whose pages are not as they were written: by SQLite (SQLITE_CORRUPT, SQLITE_NOTADB), and
 * by Deno KV of keys, values and tables in such pages. Found by altering bytes of such files at random.
 */
const DAMAGED = new RegExp(
  [
    "database disk image is malformed",
    "file is not a database",
    "malformed database schema",
    "unsupported file format",
    "table \\w+ already exists",
    "value encoding -?\\d+ is unknown",
    "could not deserialize value",
    "^unexpected end of file",
    "^invalid (tag|utf-?8)",
  ].join("|"),
);

/** What it says when the disk does not do as asked, or the file ends too early (SQLITE_IOERR, SQLITE_CANTOPEN). */
const UNREADABLE = /disk I\/O error|unable to open database file/;

/** The StopError for a damaged file, on which nothing may be built; null for other errors. */
export function damagedFile(path: string, error: unknown): StopError | null {
  const message = error instanceof Error ? error.message : "";
  if (!DAMAGED.test(message)) return null;
  return new StopError(`${path} is damaged: ${message}`, remedyOf(path), { cause: error });
}

/** On a full disk SQLite's other files cannot grow either, of which it says that there was an I/O error. */
export async function noRoom(
  path: string,
  error: unknown,
  disk: FileDisk | null,
): Promise<NoRoomError | null> {
  const message = error instanceof Error ? error.message : "";
  if (!UNREADABLE.test(message) || !await disk?.isFull()) return null;
  return new NoRoomError(`The disk of ${path} is full: ${message}`, { cause: error });
}

/** The error of a file that cannot be read now: it names the file. Null for other errors. */
export function unreadable(path: string, error: unknown): KvFileError | null {
  const message = error instanceof Error ? error.message : "";
  return UNREADABLE.test(message)
    ? new KvFileError(`Cannot read ${path}: ${message}`, null, { cause: error })
    : null;
}

/** The StopError for what is tried again later on, but not at the start; null for other errors. */
export function cannotStart(path: string, error: unknown): StopError | null {
  if (!(error instanceof KvFileError) && !(error instanceof HungError)) return null;
  const remedy = `look at its disk; if the file is damaged, ${remedyOf(path)}`;
  return new StopError(error.message, remedy, { cause: error });
}

export function remedyOf(path: string): string {
  return `move ${path} away, and bring back a copy; checkpoints come back by deno task state import too, and ` +
    "without them the log is folded again from its start if it is whole";
}
