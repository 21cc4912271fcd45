import { getLogger } from "@logtape/logtape";
import { type Clock, StopError, systemClock } from "../types/mod.ts";
import { cannotStart, damagedFile, noRoom, remedyOf, unreadable } from "./damage.ts";
import type { FileDisk } from "./file_disk.ts";
import type { Kv } from "./kv.ts";
import { lookAtKvFile, moveKvFile, openKvFile } from "./kv_file.ts";
import { KvFileError } from "./kv_file_error.ts";
import { isRemoteKv, openRemoteKv } from "./remote_kv.ts";
import { HungError, watchKv } from "./watched_kv.ts";
import { isNoRoom } from "./write_errors.ts";

const log = getLogger(["stockflow", "job"]);

/** What opens files, and the time by which they are watched. */
export interface KvOpener {
  readonly clock: Clock;
  /** Opens the KV in a file; creates it unless it must exist. */
  readonly openKv: (path: string, mustExist?: boolean) => Promise<Kv>;
}

export interface KvFileOptions {
  readonly path: string;
  /** After which a call that was not answered fails, and is logged. */
  readonly timeoutMs: number;
  /** Do not create it. */
  readonly mustExist?: boolean;
  /** Learns of writes for which there was no room; with it, a full disk is waited for when the file is opened. */
  readonly disk?: FileDisk | null;
}

/** How often it is tried again to open a file on a full disk. */
const OPEN_AGAIN_MS = 1000;

/**
 * Opens a KV whose calls fail, and are logged, when they do not answer in time, and reads of it what is needed
 * first. The KV is closed again if that fails.
 *
 * @throws {StopError} when the file cannot be opened or read
 */
export async function openWatchedKv<T>(
  opener: KvOpener,
  file: KvFileOptions,
  read: (kv: Kv) => Promise<T>,
): Promise<T> {
  const { disk = null, path } = file;
  while (true) {
    try {
      return await openOnce(opener, file, read);
    } catch (error) {
      if (!disk || !(isNoRoom(error) || await noRoom(path, error, disk))) throw error;
      disk.onWrite(error as Error);
      await opener.clock.sleep(OPEN_AGAIN_MS);
    }
  }
}

async function openOnce<T>(
  { openKv, clock }: KvOpener,
  { path, timeoutMs, mustExist = false, disk = null }: KvFileOptions,
  read: (kv: Kv) => Promise<T>,
): Promise<T> {
  const onHung = (what: string, ms: number) =>
    log.error("{what} did not answer within {ms} ms (watchdog.timeout.ms)", { what, ms });
  const meaning = async (error: unknown) =>
    damagedFile(path, error) ?? await noRoom(path, error, disk) ?? unreadable(path, error);
  const onWrite = (error: Error | null) => disk?.onWrite(error);
  const options = { name: path, timeoutMs, clock, onHung, meaning, onWrite };
  const kv = watchKv(await openKv(path, mustExist), options);
  try {
    return await read(kv);
  } catch (error) {
    kv.close();
    throw cannotStart(path, error) ?? error;
  }
}

/** A file that must exist does not. */
export class MissingFileError extends StopError {}

/** Has the meaning of an error of a KV's file. */
async function explained<T>(path: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    if (!(error instanceof KvFileError)) throw error;
    if (error.cause instanceof Deno.errors.NotFound) {
      const remedy = "bring it there by deno task state import";
      throw new MissingFileError(error.message, remedy, { cause: error });
    }
    const damaged = damagedFile(path, error.cause);
    if (damaged) throw damaged;
    const look = `look at the file and its disk; if it is damaged, ${remedyOf(path)}`;
    throw new StopError(error.message, error.remedy ?? look, { cause: error });
  }
}

/**
 * Opens the KV in a file of this machine, or on another one.
 *
 * @throws {StopError} when that cannot be
 */
export function openMachineKv(path: string, mustExist?: boolean): Promise<Kv> {
  if (isRemoteKv(path)) return openRemoteKv(path);
  return explained(path, () => openKvFile(path, mustExist));
}

/**
 * Moves the file of a KV away, under a name with the time.
 *
 * @returns where it is now
 * @throws {StopError} when that cannot be
 */
export function moveMachineKv(path: string, clock: Clock): Promise<string> {
  return explained(path, () => moveKvFile(path, new Date(clock.now()).toISOString()));
}

/** How long a store on another machine is waited for when it is only looked at. */
const REMOTE_MS_MAX = 10_000;

async function lookAtRemoteKv(url: string): Promise<string> {
  const remedy = "see state.kv, and whether that server runs; a start would wait for it";
  const kv = await openRemoteKv(url).catch((error) => {
    throw error instanceof HungError ? new StopError(error.message, remedy) : error;
  });
  try {
    const late = systemClock.sleep(REMOTE_MS_MAX).then(() => "late" as const);
    const found = await Promise.race([kv.get(["stockflow"]), late]);
    if (found !== "late") return `${url} answers`;
    throw new StopError(`${url} does not answer`, remedy);
  } finally {
    kv.close();
  }
}

/**
 * Looks whether the files of a job can be opened or created, and does neither.
 *
 * @returns what was found, in a sentence
 * @throws {StopError} when the job would not start
 */
export async function lookAtFiles(paths: readonly string[]): Promise<string> {
  const found: string[] = [];
  for (const path of paths) {
    if (isRemoteKv(path)) {
      found.push(await lookAtRemoteKv(path));
      continue;
    }
    const isThere = await explained(path, () => lookAtKvFile(path));
    found.push(`${path} can be ${isThere ? "opened" : "created"}`);
  }
  return found.join(", ");
}
