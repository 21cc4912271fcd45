import { dirname } from "node:path";
import { type Kv, toKv } from "./group_commit.ts";

/** A KV file that cannot be used, and why. */
export class KvFileError extends Error {
  override readonly name = "KvFileError";
}

/**
 * Opens a Deno KV file for this process alone: a lock beside the file keeps others out until it is
 * closed or the process is gone.
 *
 * @throws {KvFileError} when another process uses it, or it cannot be written
 */
export async function openKvFile(path: string): Promise<Kv> {
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
    throw new KvFileError(`Cannot open ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Opens a Deno KV file to look into it, also while another process uses it.
 *
 * @throws {KvFileError} when there is none
 */
export async function openKvFileToRead(path: string): Promise<Kv> {
  try {
    await Deno.stat(path);
    return toKv(await Deno.openKv(path));
  } catch (error) {
    throw new KvFileError(`Cannot open ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** A KV that is gone when it is closed. */
export async function openKvInMemory(): Promise<Kv> {
  return toKv(await Deno.openKv(":memory:"));
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
