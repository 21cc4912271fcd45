// Files of Deno KV: opened for one process alone, readable by their user alone, looked into before Deno does.

import { dirname, resolve } from "node:path";
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { checkIsFile, knownTrouble, pathTrouble } from "../types/mod.ts";
import { type Kv, toKv } from "./kv.ts";
import { KvFileError } from "./kv_file_error.ts";

/** Stock, and who bought it: for their user alone. SQLite gives the files beside it the same mode. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/**
 * Opens a Deno KV file for this process alone: a lock beside the file keeps others out until it is
 * closed or the process is gone. A file or folder that is created can be read by its user alone; the mode
 * of one that is there stays.
 *
 * @param mustExist do not create it
 * @throws {KvFileError} when another process uses it, it cannot be written, or it must exist and does not
 */
export async function openKvFile(path: string, mustExist = false): Promise<Kv> {
  await checkFile(path, mustExist);
  const lock = await lockFile(path);
  try {
    (await Deno.open(path, { create: true, write: true, mode: FILE_MODE })).close();
    return withLock(await openChecked(path), lock);
  } catch (error) {
    lock.close();
    throw cannotOpen(path, error);
  }
}

/**
 * Opens a Deno KV file to look into it, also while another process uses it.
 *
 * @throws {KvFileError} when there is none
 */
export async function openKvFileToRead(path: string): Promise<Kv> {
  const { size } = (await checkFile(path, true))!;
  if (size === 0) throw new KvFileError(`${path} is empty: nothing was ever written into it`);
  try {
    return await openChecked(path);
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

/**
 * Looks whether a Deno KV file can be opened, or created where it is not; it is neither changed nor created.
 *
 * @returns whether it is there
 * @throws {KvFileError} as openKvFile would
 */
export async function lookAtKvFile(path: string): Promise<boolean> {
  const isThere = await checkFile(path, false) !== null;
  try {
    if (!isThere) {
      if (Deno.permissions.querySync({ name: "write", path }).state !== "granted") {
        throw new Deno.errors.NotCapable(`Requires write access to ${path}`);
      }
      // Only the operating system knows whether a file can be created: one is, for a moment.
      const dir = existingFolder(dirname(resolve(path)));
      await Deno.remove(await Deno.makeTempFile({ dir, prefix: ".stockflow-check-" }));
      return false;
    }
    (await Deno.open(path, { read: true, write: true })).close();
    if (existsSync(lockOf(path))) await checkLock(path);
    checkOwnTables(path);
    return true;
  } catch (error) {
    throw error instanceof KvFileError ? error : cannotOpen(path, error);
  }
}

/** The innermost folder of a path that exists. */
function existingFolder(folder: string): string {
  return existsSync(folder) || folder === dirname(folder)
    ? folder
    : existingFolder(dirname(folder));
}

/** @throws {KvFileError} when another process holds the lock, which exists */
async function checkLock(path: string): Promise<void> {
  const file = await Deno.open(lockOf(path), { write: true });
  const isFree = await file.tryLock(true);
  file.close();
  if (!isFree) throw usedByAnother(path);
}

/**
 * Moves a Deno KV file that no process uses away, beside where it was.
 *
 * @param when becomes a part of its new name
 * @returns its new path
 * @throws {KvFileError} when another process uses it, or it cannot be moved
 */
export async function moveKvFile(path: string, when: string): Promise<string> {
  await checkFile(path, true);
  const lock = await lockFile(path);
  const to = `${path}.replaced-${when.replaceAll(/[-:.]/g, "")}`;
  try {
    // What is written ahead goes into the file, so that one rename moves all of it.
    const db = new DatabaseSync(path, { timeout: BUSY_MS });
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    db.close();
    if (existsSync(to)) throw new Deno.errors.AlreadyExists(`${to} exists already`);
    // What SQLite may have left of it all the same goes first: a new file would take it for its own.
    for (const suffix of ["-wal", "-shm"]) {
      if (existsSync(path + suffix)) await Deno.rename(path + suffix, to + suffix);
    }
    await Deno.rename(path, to);
    return to;
  } catch (error) {
    const trouble = knownTrouble(error);
    throw new KvFileError(
      `Cannot move ${path} to ${to}: ${trouble?.reason ?? (error as Error).message}`,
      trouble?.remedy ?? null,
      { cause: error },
    );
  } finally {
    lock.close();
  }
}

/** The absolute path: some relative ones mean something else to Deno, such as ":memory:". */
async function openChecked(path: string): Promise<Kv> {
  checkOwnTables(path);
  return toKv(await Deno.openKv(resolve(path)));
}

function withLock(kv: Kv, lock: Deno.FsFile): Kv {
  return {
    ...kv,
    close: () => {
      kv.close();
      lock.close();
    },
  };
}

/**
 * Bytes of a file's pages that hold nothing any more, as old records were removed: SQLite does not give them back to
 * the disk, but uses them first. 0 where it cannot be seen.
 */
export function unusedBytes(path: string): number {
  try {
    const db = new DatabaseSync(path, { readOnly: true });
    try {
      const { pages } = db.prepare("SELECT freelist_count AS pages FROM pragma_freelist_count")
        .get()!;
      const { bytes } = db.prepare("SELECT page_size AS bytes FROM pragma_page_size").get()!;
      return Number(pages) * Number(bytes);
    } finally {
      db.close();
    }
  } catch {
    return 0;
  }
}

/** A KV that is gone when it is closed. */
export async function openKvInMemory(): Promise<Kv> {
  return toKv(await Deno.openKv(":memory:"));
}

/** A file that is being created has some of them. */
const DENO_KV_TABLES = new Set(["migration_state", "data_version", "kv", "queue", "queue_running"]);

/** How long another process may keep a file from being looked into. */
const BUSY_MS = 5000;

/**
 * Looks at the tables that Deno KV has for itself (queues, migrations, expirations), which are small. Its threads
 * look at them too, and end the process when they find them damaged, without a word whose they are
 * (denokv_sqlite 0.14.0, lib.rs).
 *
 * @throws {Error} what SQLite finds wrong
 */
function checkOwnTables(path: string): void {
  if (!exists(path)) return;
  const db = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
  try {
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    if (tables.length > 0 && !tables.some(({ name }) => DENO_KV_TABLES.has(String(name)))) {
      throw new Error("it is a database of another program");
    }
    for (const { name } of tables) {
      const check = name === "kv"
        ? "SELECT 'ok' AS found, max(expiration_ms) FROM kv"
        : `SELECT quick_check AS found FROM pragma_quick_check('${name}')`;
      for (const { found } of db.prepare(check).all()) {
        if (found !== "ok") throw new Error(`database disk image is malformed: ${found}`);
      }
    }
  } finally {
    db.close();
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).size > 0;
  } catch {
    return false;
  }
}

/** Answers what is there; null when there is nothing, and need not be. */
async function checkFile(path: string, mustExist: boolean): Promise<Deno.FileInfo | null> {
  try {
    const info = await Deno.stat(path);
    checkIsFile(info);
    return info;
  } catch (error) {
    if (!mustExist && error instanceof Deno.errors.NotFound) return null;
    throw cannotOpen(path, error);
  }
}

/** What SQLite says of a file or a folder that may not be written. */
const NOT_WRITABLE = /unable to open database file|attempt to write a readonly database/;

function cannotOpen(path: string, error: unknown): KvFileError {
  const { message } = error as Error;
  if (NOT_WRITABLE.test(message)) {
    const remedy =
      `let the user that runs this write ${path}, the files beside it and their folder`;
    return new KvFileError(`Cannot open ${path}: ${message}`, remedy, { cause: error });
  }
  const trouble = knownTrouble(error);
  return new KvFileError(
    `Cannot open ${path}: ${trouble?.reason ?? message}`,
    trouble?.remedy ?? null,
    { cause: error },
  );
}

/** The lock of a file, beside the file itself: a symbolic link to it has none of its own. */
function lockOf(path: string): string {
  return `${fileOf(path)}.lock`;
}

/** Links that are followed one after the other, as by the system. */
const LINKS_MAX = 40;

/** The file that a path leads to, also by a link to what is not there yet. */
function fileOf(path: string, links = 0): string {
  try {
    if (links === LINKS_MAX || !Deno.lstatSync(path).isSymlink) return path;
  } catch {
    return path; // there is nothing yet
  }
  try {
    return Deno.realPathSync(path);
  } catch {
    return fileOf(resolve(dirname(path), Deno.readLinkSync(path)), links + 1);
  }
}

async function lockFile(path: string): Promise<Deno.FsFile> {
  const name = lockOf(path);
  let file: Deno.FsFile;
  try {
    await Deno.mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
    file = await Deno.open(name, { create: true, write: true, mode: FILE_MODE });
  } catch (error) {
    const { reason, remedy } = pathTrouble(error);
    throw new KvFileError(`Cannot write ${name}: ${reason}`, remedy, { cause: error });
  }
  if (await file.tryLock(true)) return file;
  file.close();
  throw usedByAnother(path);
}

function usedByAnother(path: string): KvFileError {
  return new KvFileError(
    `${path} is used by another process (it holds ${lockOf(path)})`,
    "stop the other process, or give this one files of its own by --state.kv and --log.kv",
  );
}
