// Restoring: a new log begins with a savepoint of the store.

import { getLogger } from "@logtape/logtape";
import {
  type CommittedPosition,
  firstPosition,
  type Log,
  type LogOpener,
  type LogUser,
  type RestoredFrom,
} from "../log/mod.ts";
import {
  CheckpointStore,
  chunksOfParts,
  DamagedCheckpointError,
  foldParametersHash,
  importCheckpoints,
  indexChunksOf,
  type Manifest,
  type PartitionerName,
  type Savepoint,
  sha256,
} from "../state/mod.ts";
import { StopError } from "../log/mod.ts";
import { openWatchedKv } from "../kv/mod.ts";
import { restoredLog } from "./embedded_opener.ts";
import { JOB_NAME } from "./job_names.ts";
import { checkTopicId } from "../engine/recovery_plan.ts";
import type { Parameters } from "../parameters/parameters.ts";
import type { Wiring } from "./streams.ts";
import type { Surroundings } from "./surroundings.ts";

const log = getLogger(["stockflow", "job"]);

/**
 * What can be said of --restore before a file is opened.
 *
 * @throws {StopError} when the kind of log cannot begin with a savepoint
 */
export function checkRestore(params: Parameters, { log }: Pick<Wiring, "log">): void {
  if (params.get("restore") === "" || log !== "kafka") return;
  throw new StopError(
    "A savepoint cannot be restored into Kafka's log (restore)",
    "start without --restore: checkpoints that were imported serve the log that they were made from, and the group's " +
      "offsets say where the job goes on",
  );
}

/**
 * What a start with --restore would find in the files, which stay as they are.
 *
 * @param job under whose name the store keeps its checkpoints
 * @throws {StopError} when it would not start, for the same reason
 */
export async function checkSavepoint(
  params: Parameters,
  job: string,
  surroundings: Surroundings,
): Promise<void> {
  const existing = await restoredLog(params, surroundings);
  if (existing?.restoredFrom?.savepoint === params.get("restore")) return;
  const { clock, chance } = surroundings;
  const file = {
    path: params.get("state.kv"),
    timeoutMs: params.get("watchdog.timeout.ms"),
    mustExist: true,
  };
  const store = await openWatchedKv(
    surroundings,
    file,
    (kv) => CheckpointStore.open(kv, { job, clock, chance }),
  );
  try {
    await readWhole(store, await findSavepoint(store, params));
  } finally {
    store.close();
  }
  if (existing && !params.get("replace.log")) throw logIsThere(existing.restoredFrom, params);
}

/**
 * A log that begins with the savepoint that parameters name: the one that was created from it before, else a new one.
 *
 * @throws {StopError} when the savepoint is missing, damaged or of another number of partitions, or there is
 * another log, which is not to be replaced; nothing is created or moved then
 */
export async function openRestored(
  opener: LogOpener,
  user: LogUser,
  store: CheckpointStore,
  params: Parameters,
): Promise<Log> {
  const name = params.get("restore");
  const existing = await opener.existing();
  if (existing?.restoredFrom?.savepoint === name) {
    await reportGoingOn(store, existing.restoredFrom, params);
    return await opener.open(user, null);
  }
  const savepoint = await findSavepoint(store, params);
  const manifests = await readWhole(store, savepoint);
  if (existing) await makeRoom(opener, existing.restoredFrom, params);
  const restored = await opener.open(user, {
    from: {
      savepoint: name,
      job: store.job,
      at: store.options.clock.now(),
      checkpoints: manifests.map((m) => m && { sequence: m.sequence, stateHash: m.stateHash }),
    },
    positions: manifests.map(committedAt),
    idempotencyWindowMs: Math.max(0, ...manifests.map((m) => m?.parameters.rememberMs ?? 0)),
  });
  if (restored.restoredFrom?.savepoint !== name) {
    throw new StopError(
      "The log of this kind of job cannot begin with a savepoint",
      "start without --restore",
    );
  }
  const items = savepoint.partitions.reduce((n, member) => n + (member?.items ?? 0), 0);
  log.info("A new log begins with savepoint {name}: {items} items", { name, items });
  return restored;
}

/** A service that is started again with the same flags goes on; only who reads this may have meant another thing. */
async function reportGoingOn(
  store: CheckpointStore,
  { savepoint: name, checkpoints }: RestoredFrom,
  params: Parameters,
): Promise<void> {
  log.info("The log began with savepoint {name}, and goes on", { name });
  const now = await store.savepoints.get(name);
  const sequences = (members: readonly ({ readonly sequence: number } | null)[]) =>
    JSON.stringify(members.map((member) => member?.sequence ?? null));
  if (!now || sequences(now.partitions) === sequences(checkpoints)) return;
  log.warn(
    "There is another savepoint {name} by now, which is not restored: to go back to it, move {path} away",
    { name, path: params.get("log.kv") },
  );
}

/** Moves a log away, if it is to be replaced. */
async function makeRoom(
  opener: LogOpener,
  restoredFrom: RestoredFrom | null,
  params: Parameters,
): Promise<void> {
  const path = params.get("log.kv");
  const to = params.get("replace.log") ? await opener.moveAway() : null;
  if (to !== null) {
    log.warn("The log {path} was moved to {to}, for a new one begins with savepoint {name}", {
      path,
      to,
      name: params.get("restore"),
    });
    return;
  }
  throw logIsThere(restoredFrom, params);
}

function logIsThere(restoredFrom: RestoredFrom | null, params: Parameters): StopError {
  const began = restoredFrom
    ? `, which began with savepoint ${restoredFrom.savepoint} at ${
      new Date(restoredFrom.at).toISOString()
    }`
    : "";
  return new StopError(
    `There is a log in ${params.get("log.kv")} already${began}; savepoint ${
      params.get("restore")
    } would be restored into a new ` +
      "one, and what this one holds would be lost",
    "start without --restore to go on with this log; start with --replace-log to have it moved away, or choose " +
      "another by --log.kv",
  );
}

/**
 * Brings what a log began with to a job that has no checkpoint of its own yet: another kind of job may go on with a
 * log that one began, as long as both keep their checkpoints in one file.
 */
export async function adoptBase(
  store: CheckpointStore,
  { job = JOB_NAME, checkpoints }: RestoredFrom,
): Promise<void> {
  if (job === store.job || (await store.partitions()).length > 0) return;
  const other = await CheckpointStore.open(store.kv, { ...store.options, job });
  const manifests: Manifest[] = [];
  const chunks = new Map<string, Uint8Array>();
  for (const [partition, base] of checkpoints.entries()) {
    if (!base) continue;
    const found = (await other.list(partition)).find(({ manifest }) =>
      manifest?.sequence === base.sequence && manifest.stateHash === base.stateHash
    )?.manifest;
    if (!found) return; // the recovery says that nothing leads to the committed offset
    manifests.push(found);
    const names = [...indexChunksOf(found), ...chunksOfParts(await other.parts(found))];
    for (const chunk of await other.chunks(partition, names)) chunks.set(sha256(chunk), chunk);
  }
  await importCheckpoints(store, { manifests, chunks, savepoints: [] });
  if (manifests.length > 0) log.info("The job begins with the savepoint of {job}", { job });
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
      if (!manifest) continue;
      for await (const _ of store.segments(manifest));
      for await (const _ of store.pieces(manifest));
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
  if (!manifest) return firstPosition(0);
  return {
    offset: Number(manifest.scalars.position),
    watermark: manifest.scalars.watermark,
    start: null, // the state began in another log
    parametersHash: foldParametersHash(manifest.parameters),
    secret: manifest.remembered?.secret ?? null,
    raisedAt: null,
  };
}

/**
 * Where the newest checkpoints of a log stand, by partition.
 *
 * @param topicId what the topic's id is now, where topics have one
 * @throws {StopError} when they were made from another topic of the name
 */
export async function newestCheckpoints(
  store: CheckpointStore,
  logId: string,
  topicId: string | null,
): Promise<Map<number, CommittedPosition>> {
  const positions = new Map<number, CommittedPosition>();
  for (const partition of await store.partitions()) {
    const listed = await store.list(partition);
    const newest = listed.find(({ manifest }) => manifest?.logId === logId)?.manifest;
    if (!newest) continue;
    checkTopicId(newest, topicId);
    const { scalars, start, parameters, remembered, raisedAt } = newest;
    positions.set(partition, {
      offset: Number(scalars.position),
      watermark: scalars.watermark,
      start,
      parametersHash: foldParametersHash(parameters),
      secret: remembered?.secret ?? null,
      raisedAt: raisedAt ?? null,
    });
  }
  return positions;
}

/** Which partitioner the checkpoints of a log were made with; null if there are none. */
export async function partitionerOfCheckpoints(
  store: CheckpointStore,
  logId: string,
): Promise<PartitionerName | null> {
  for (const partition of await store.partitions()) {
    const found = (await store.list(partition)).find(({ manifest }) => manifest?.logId === logId);
    const name = found?.manifest?.parameters.partitioner;
    if (name !== undefined && name !== "none") return name as PartitionerName;
  }
  return null;
}
