import { dirname } from "node:path";
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
    return toKv(await Deno.openKv(path));
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

/** A KV that is gone when it is closed. */
export async function openKvInMemory(): Promise<Kv> {
  return toKv(await Deno.openKv(":memory:"));
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
