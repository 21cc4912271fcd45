// Restoring: a new log begins with a savepoint of the store.

import { getLogger } from "@logtape/logtape";
import type { CommittedPosition, Log } from "../log/mod.ts";
import {
  CheckpointStore,
  DamagedCheckpointError,
  foldParametersHash,
  type Manifest,
  type Savepoint,
} from "../state/mod.ts";
import { NO_TIME } from "../wasm/mod.ts";
import { StopError } from "./errors.ts";
import type { Parameters } from "./parameters.ts";
import type { LogSource, LogUser } from "./streams.ts";

const log = getLogger(["stockflow", "job"]);

/**
 * Creates a log that begins with the savepoint that parameters name.
 *
 * @throws {StopError} when the savepoint is missing, damaged or of another number of partitions, or the
 * log is there already; nothing is created then
 */
export async function openRestored(
  source: LogSource,
  user: LogUser,
  store: CheckpointStore,
  params: Parameters,
): Promise<Log> {
  const savepoint = await findSavepoint(store, params);
  const manifests = await readWhole(store, savepoint);
  const { name, partitions } = savepoint;
  const restored = await source.open(user, {
    from: {
      savepoint: name,
      at: store.options.clock.now(),
      checkpoints: manifests.map((m) => m && { sequence: m.sequence, stateHash: m.stateHash }),
    },
    positions: manifests.map(committedAt),
  });
  if (restored.restoredFrom?.savepoint !== name) {
    throw new StopError(
      "The log of this kind of job cannot begin with a savepoint",
      "start without --restore",
    );
  }
  const items = partitions.reduce((n, member) => n + (member?.items ?? 0), 0);
  log.info("A new log begins with savepoint {name}: {items} items", { name, items });
  return restored;
}

async function findSavepoint(store: CheckpointStore, params: Parameters): Promise<Savepoint> {
  const name = params.get("restore");
  const partitions = params.get("log.partitions");
  const all = await store.savepoints.list();
  const savepoint = all.find((s) => s.name === name);
  if (!savepoint) {
    const there = all.length > 0 ? `it has ${all.map((s) => s.name).join(", ")}` : "it has none";
    throw new StopError(
      `There is no savepoint ${name} in ${params.get("state.kv")}; ${there}`,
      "bring it there by deno task state export and import",
    );
  }
  if (savepoint.partitions.length === partitions) return savepoint;
  throw new StopError(
    `Savepoint ${name} has ${savepoint.partitions.length} partitions, log.partitions is ${partitions}`,
    `start with --log.partitions=${savepoint.partitions.length}`,
  );
}

/** The manifests of a savepoint, after every chunk of them was read. */
async function readWhole(
  store: CheckpointStore,
  savepoint: Savepoint,
): Promise<(Manifest | null)[]> {
  try {
    const manifests = await store.savepoints.manifests(savepoint);
    for (const manifest of manifests) {
      if (manifest) { for await (const _ of store.segments(manifest)); }
    }
    return manifests;
  } catch (error) {
    if (!(error instanceof DamagedCheckpointError)) throw error;
    throw new StopError(
      `Savepoint ${savepoint.name} is damaged: ${error.message}`,
      "restore from a copy of the checkpoints' file, or from an exported one",
      { cause: error },
    );
  }
}

/** Where a partition stands that begins with a checkpoint; null = it begins empty. */
function committedAt(manifest: Manifest | null): CommittedPosition {
  if (!manifest) return { offset: 0, watermark: NO_TIME, start: 0, parameters: "" };
  return {
    offset: Number(manifest.scalars.position),
    watermark: manifest.scalars.watermark,
    start: null, // the state began in another log
    parameters: foldParametersHash(manifest.parameters),
  };
}

/** Where the newest checkpoints of a log stand, by partition. */
export async function newestCheckpoints(
  store: CheckpointStore,
  logId: string,
): Promise<Map<number, CommittedPosition>> {
  const positions = new Map<number, CommittedPosition>();
  for (const partition of await store.partitions()) {
    const listed = await store.list(partition);
    const newest = listed.find(({ manifest }) => manifest?.logId === logId)?.manifest;
    if (!newest) continue;
    const { scalars, start, parameters } = newest;
    positions.set(partition, {
      offset: Number(scalars.position),
      watermark: scalars.watermark,
      start,
      parameters: foldParametersHash(parameters),
    });
  }
  return positions;
}
