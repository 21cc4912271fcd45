import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import process from "node:process";
import { getLogger } from "@logtape/logtape";
import {
  type FileDisk,
  HungError,
  isNoRoom,
  type Kv,
  KvFileError,
  lookAtKvFile,
  moveKvFile,
  NoRoomError,
  openKvFile,
  unusedBytes,
  watchKv,
} from "../kv/mod.ts";
import { type Chance, type Clock, systemChance, systemClock } from "../types/mod.ts";
import type { Conditions } from "../engine/conditions.ts";
import { StopError } from "../log/mod.ts";
import type { LogOptions } from "../engine/logging.ts";
import type { OnProgress } from "../engine/progress.ts";

const log = getLogger(["stockflow", "job"]);

/** What a job takes from the machine; tests and the simulator bring their own. */
export interface Surroundings {
  readonly clock: Clock;
  readonly chance: Chance;
  /** Opens the KV in a file; creates it unless it must exist. */
  readonly openKv: (path: string, mustExist?: boolean) => Promise<Kv>;
  /** Moves a KV's file away; answers where it is now. */
  readonly moveKv?: (path: string) => Promise<string>;
  /** Free bytes of the disk that a file is on, or will be; without it disks are not looked at. */
  readonly freeBytes?: (path: string) => Promise<number>;
  /** Bytes within a file that are free for what is written into it. */
  readonly unusedBytes?: (path: string) => number;
  /** Workers run in threads of their own. */
  readonly threads?: boolean;
  /** Is told how far works have come that can take long. */
  readonly onProgress?: OnProgress;
  /** Where it is reported what is not as it should be; by default the job makes its own. */
  readonly conditions?: Conditions;
  /** Memory that the machine, or the container in it, gives to this process; without bound if left away. */
  readonly memoryBytes?: number;
  /** How threads write logs; not at all if it is left away. */
  readonly logs?: LogOptions;
}

export interface KvFileOptions {
  readonly path: string;
  /** After which a call that was not answered fails, and is told. */
  readonly timeoutMs: number;
  /** Do not create it. */
  readonly mustExist?: boolean;
  /** Is told of writes for which there was no room; with it, a full disk is waited for when the file is opened. */
  readonly disk?: FileDisk | null;
}

/** How often it is tried again to open a file on a full disk. */
const OPEN_AGAIN_MS = 1000;

/**
 * Opens a KV whose calls fail, and are told, when they do not answer in time, and reads of it what is needed
 * first. The KV is closed again if that fails.
 *
 * @throws {StopError} when the file cannot be opened or read
 */
export async function openWatchedKv<T>(
  surroundings: Surroundings,
  file: KvFileOptions,
  read: (kv: Kv) => Promise<T>,
): Promise<T> {
  const { disk, path } = file;
  while (true) {
    try {
      return await openOnce(surroundings, file, read);
    } catch (error) {
      if (!disk || !(isNoRoom(error) || await noRoom(path, error, disk))) throw error;
      disk.onWrite(error as Error);
      await surroundings.clock.sleep(OPEN_AGAIN_MS);
    }
  }
}

async function openOnce<T>(
  { openKv, clock }: Surroundings,
  { path, timeoutMs, mustExist = false, disk }: KvFileOptions,
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
function damagedFile(path: string, error: unknown): StopError | null {
  const message = error instanceof Error ? error.message : "";
  if (!DAMAGED.test(message)) return null;
  return new StopError(`${path} is damaged: ${message}`, remedyOf(path), { cause: error });
}

/** On a full disk SQLite's other files cannot grow either, of which it says that there was an I/O error. */
async function noRoom(
  path: string,
  error: unknown,
  disk: FileDisk | null | undefined,
): Promise<NoRoomError | null> {
  const message = error instanceof Error ? error.message : "";
  if (!UNREADABLE.test(message) || !await disk?.isFull()) return null;
  return new NoRoomError(`The disk of ${path} is full: ${message}`, { cause: error });
}

/** The error of a file that cannot be read now: it names the file. Null for other errors. */
function unreadable(path: string, error: unknown): KvFileError | null {
  const message = error instanceof Error ? error.message : "";
  return UNREADABLE.test(message)
    ? new KvFileError(`Cannot read ${path}: ${message}`, null, { cause: error })
    : null;
}

/** The StopError for what is tried again later on, but not at the start; null for other errors. */
function cannotStart(path: string, error: unknown): StopError | null {
  if (!(error instanceof KvFileError) && !(error instanceof HungError)) return null;
  const remedy = `look at its disk; if the file is damaged, ${remedyOf(path)}`;
  return new StopError(error.message, remedy, { cause: error });
}

function remedyOf(path: string): string {
  return `move ${path} away, and bring back a copy; checkpoints come back by deno task state import too, and ` +
    "without them the log is folded again from its start if it is whole";
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

/** Free bytes for this process of the disk of a file, which need not be there yet. */
async function freeBytes(path: string): Promise<number> {
  for (let folder = dirname(path);; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    } catch (error) {
      const isThere = (error as { code?: string }).code !== "ENOENT";
      if (isThere || folder === dirname(folder)) throw error;
    }
  }
}

/** The machine itself. */
export const MACHINE: Surroundings = {
  clock: systemClock,
  chance: systemChance,
  threads: true,
  openKv: (path, mustExist) => explained(path, () => openKvFile(path, mustExist)),
  moveKv: (path) =>
    explained(path, () => moveKvFile(path, new Date(systemClock.now()).toISOString())),
  freeBytes,
  unusedBytes,
};

/**
 * Looks whether the files of a job can be opened or created, and does neither.
 *
 * @returns what was found, in a sentence
 * @throws {StopError} when the job would not start
 */
export async function lookAtFiles(paths: readonly string[]): Promise<string> {
  const found: string[] = [];
  for (const path of paths) {
    const isThere = await explained(path, () => lookAtKvFile(path));
    found.push(`${path} can be ${isThere ? "opened" : "created"}`);
  }
  return found.join(", ");
}

/** The memory that the machine, or the container in it, gives; unknown where that may not be asked. */
export function machineMemory(): Pick<Surroundings, "memoryBytes"> {
  try {
    const { total } = Deno.systemMemoryInfo();
    const constrained = process.constrainedMemory();
    return { memoryBytes: constrained > 0 ? Math.min(total, constrained) : total };
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return {};
    throw error;
  }
}
