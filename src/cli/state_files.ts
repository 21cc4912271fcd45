// Files of exported state, as the tool "state" writes and reads them.

import { ParameterError } from "../parameters/mod.ts";
import { StopError } from "../log/mod.ts";
import {
  backupOf,
  type CheckpointStore,
  DamagedCheckpointError,
  exportCheckpoints,
  type Exported,
  importCheckpoints,
  type Savepoint,
  withPinned,
} from "../state/mod.ts";
import { readExported } from "../state/read_exported.ts";
import { checkIsFile, knownTrouble, pathTrouble } from "../types/mod.ts";

/** What is exported: a savepoint, or a backup of the newest checkpoints with all savepoints. */
async function toExport(
  store: CheckpointStore,
  name: string | null,
): Promise<{ savepoints: readonly Savepoint[]; backup: Savepoint | null }> {
  const savepoints = await store.savepoints.list();
  if (name !== null) {
    const named = savepoints.filter((s) => s.name === name);
    if (named.length > 0) return { savepoints: named, backup: null };
    throw new ParameterError(
      `There is no savepoint ${JSON.stringify(name)}; list shows which there are`,
    );
  }
  const backup = await backupOf(store);
  if (!backup) {
    throw new ParameterError(
      "There is no checkpoint to export: wait for one (checkpoint.interval.millis), take a savepoint " +
        "(POST /savepoints), or stop the service, which takes one",
    );
  }
  const { savepoint } = backup;
  const same = savepoints.find((s) =>
    JSON.stringify(s.partitions) === JSON.stringify(savepoint.partitions)
  );
  return same
    ? { savepoints, backup: same }
    : { savepoints: [...savepoints, savepoint], backup: savepoint };
}

/**
 * Exports the savepoint of a name; without one a backup of the newest checkpoints, and all savepoints.
 *
 * @throws {ParameterError} when there is nothing to export
 * @throws {StopError} when the file is there already, or cannot be written
 * @throws {DamagedCheckpointError}
 */
export async function exportTo(
  store: CheckpointStore,
  path: string,
  name: string | null,
): Promise<void> {
  const { savepoints, backup } = await toExport(store, name);
  const manifests = await withPinned(store, [], savepoints);
  const file = await createFile(path);
  let bytes = 0;
  try {
    const writer = file.writable.getWriter();
    for await (const part of exportCheckpoints(store, manifests, savepoints)) {
      await writer.write(Uint8Array.from(part));
      bytes += part.length;
    }
    await writer.close();
  } catch (error) {
    await Deno.remove(path).catch(() => {}); // half a file is of no use to anyone
    const trouble = knownTrouble(error);
    if (!trouble) throw error;
    throw new StopError(`Cannot write ${path}: ${trouble.reason}`, trouble.remedy, {
      cause: error,
    });
  }
  const names = savepoints.map((s) => `, savepoint ${s.name}`).join("");
  console.log(`${path}: ${manifests.length} checkpoints${names}, ${bytes} bytes`);
  if (backup) explainBackup(path, backup);
}

/** What a backup holds, and how it is brought back. */
function explainBackup(path: string, { name, at, partitions }: Savepoint): void {
  const empty = partitions.flatMap((member, partition) => member === null ? [partition] : []);
  const without = empty.length === 0
    ? ""
    : ` Partitions without a checkpoint count as empty: ${empty.join(", ")}.`;
  console.log(
    `${name} is the state of the newest checkpoints, the last of ${
      new Date(at).toISOString()
    }; what came later is not in it ` +
      `(a savepoint holds all that was answered before it).${without}
Bring it back in a folder of its own: deno task state import ${path} --state.kv=<new>/state.kv
then start with --restore=${name} --state.kv=<new>/state.kv --log.kv=<new>/log.kv (not with Kafka or generated ` +
      "transactions: there the imported checkpoints serve the log that they come from).",
  );
}

/** Only its user may read what is exported. */
async function createFile(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    const { reason, remedy } = pathTrouble(error);
    throw new StopError(`Cannot create ${path}: ${reason}`, remedy, { cause: error });
  }
}

/** A file is read as a whole. */
const FILE_BYTES_MAX = 2 ** 32 - 1;

/**
 * Reads and verifies an exported file.
 *
 * @throws {ParameterError} when it is damaged or too large
 * @throws {StopError} when it cannot be read
 */
export async function readFile(path: string): Promise<Exported> {
  let bytes: Uint8Array;
  try {
    const info = await Deno.stat(path);
    checkIsFile(info);
    if (info.size > FILE_BYTES_MAX) {
      throw new ParameterError(
        `${path} has ${info.size} bytes; an exported file has at most ${FILE_BYTES_MAX}`,
      );
    }
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof ParameterError) throw error;
    const { reason, remedy } = pathTrouble(error);
    throw new StopError(`Cannot read ${path}: ${reason}`, remedy, { cause: error });
  }
  try {
    return readExported(bytes);
  } catch (error) {
    if (!(error instanceof DamagedCheckpointError)) throw error;
    throw new ParameterError(`${path} is not imported: ${error.message}`, { cause: error });
  }
}

/**
 * Brings what a file holds into a store without checkpoints.
 *
 * @throws {RangeError} when the store has some
 * @throws {DamagedCheckpointError}
 */
export async function importFrom(store: CheckpointStore, exported: Exported): Promise<void> {
  await importCheckpoints(store, exported);
  const names = exported.savepoints.map((s) => `, savepoint ${s.name}`).join("");
  console.log(`${exported.manifests.length} checkpoints${names} imported`);
  const other = exported.manifests.find(({ job }) => job !== store.job);
  if (other) explainOtherJob(other.job, store.job);
}

/** Each kind of job sees its own checkpoints alone, and generated transactions have theirs. */
function explainOtherJob(was: string, is: string): void {
  console.log(
    `In the file they are of ${JSON.stringify(was)}; they are imported for ${
      JSON.stringify(is)
    }, which alone sees ` +
      "them. Another --job=<kind>, or --generated for generated transactions, imports them for another, into a new file.",
  );
}
