import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Kv, toKv } from "./kv.ts";

/** A KV file that cannot be used, and why. */
export class KvFileError extends Error {
  override readonly name = "KvFileError";
}

/**
 * Opens a Deno KV file for this process alone: a lock beside the file keeps others out until it is
 * closed or the process is gone.
 *
 * @param mustExist do not create it
 * @throws {KvFileError} when another process uses it, it cannot be written, or it must exist and does not
 */
export async function openKvFile(path: string, mustExist = false): Promise<Kv> {
  if (mustExist) await checkExists(path);
  const lock = await lockFile(path);
  try {
    checkOwnTables(path);
    const kv = await Deno.openKv(path);
    return {
      ...toKv(kv),
      close: () => {
        kv.close();
        lock.close();
      },
    };
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
  await checkExists(path);
  try {
    checkOwnTables(path);
    return toKv(await Deno.openKv(path));
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

/** A KV that is gone when it is closed. */
export async function openKvInMemory(): Promise<Kv> {
  return toKv(await Deno.openKv(":memory:"));
}

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

async function checkExists(path: string): Promise<void> {
  try {
    await Deno.stat(path);
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

function cannotOpen(path: string, error: unknown): KvFileError {
  return new KvFileError(`Cannot open ${path}: ${(error as Error).message}`, { cause: error });
}

async function lockFile(path: string): Promise<Deno.FsFile> {
  const name = `${path}.lock`;
  let file: Deno.FsFile;
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    file = await Deno.open(name, { create: true, write: true });
  } catch (error) {
    throw new KvFileError(`Cannot write ${name}: ${(error as Error).message}`, { cause: error });
  }
  if (await file.tryLock(true)) return file;
  file.close();
  throw new KvFileError(`${path} is used by another process (it holds ${name})`);
}
