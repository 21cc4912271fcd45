import { type Log, type LogOpener, StopError } from "../log/mod.ts";
import { isRemoteKv, type Kv, type KvFileOptions, openWatchedKv } from "../kv/mod.ts";
import { CheckpointStore } from "../state/mod.ts";
import type { Conditions } from "../engine/conditions.ts";
import type { PartitionLoads } from "../engine/partition_loads.ts";
import type { Parameters } from "../parameters/parameters.ts";
import { Disk } from "./disk.ts";
import { embeddedLogOpener } from "./embedded_opener.ts";
import { generatorOpener } from "./generated_stream.ts";
import { checkRemoteStore, groupStore, untilStoreAnswers } from "./remote_store.ts";
import {
  adoptBase,
  checkRestore,
  newestCheckpoints,
  openRestored,
  partitionerOfCheckpoints,
} from "./restore.ts";
import { storeAnswer } from "./store_answer.ts";
import { topicsOf, type Wiring } from "./streams.ts";
import type { LogRequest, Surroundings } from "./surroundings.ts";

/** What is opened of a job, and closed when it has ended. */
export interface OpenedFiles {
  readonly store: CheckpointStore;
  readonly transactionLog: Log;
  readonly queryLog: Log;
  readonly logDisk: Disk;
  readonly stateDisk: Disk;
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Of the job, under which the store keeps its checkpoints. */
  readonly name: string;
  readonly params: Parameters;
  readonly wiring: Wiring;
  readonly surroundings: Surroundings;
  readonly conditions: Conditions;
  readonly loads: Pick<PartitionLoads, "of">;
}

/**
 * Opens the store of checkpoints and the logs of a job.
 *
 * @throws {StopError} when one of them cannot be opened; the others are closed then
 */
export async function openFiles(options: OpenOptions): Promise<OpenedFiles> {
  const { params } = options;
  const stateDisk = diskOf("state", options);
  const logDisk = diskOf("log", options);
  const file = {
    path: params.get("state.kv"),
    timeoutMs: params.get("watchdog.timeout.ms"),
    mustExist: params.get("restore") !== "",
    disk: stateDisk,
  };
  checkRemoteStore(params, options.wiring);
  checkRestore(params, options.wiring);
  const store = await openStore(options, file);
  const openers = await openersOf(options).catch((error) => {
    store.close();
    throw error;
  });
  const close = async () => {
    try {
      await openers.transactions.close();
      if (openers.queries !== openers.transactions) await openers.queries.close();
    } finally {
      store.close();
    }
  };
  try {
    const logs = await openLogs(options, openers, store, logDisk);
    return { store, ...logs, logDisk, stateDisk, close };
  } catch (error) {
    await close().catch(() => {}); // why it could not be opened is the reason
    throw error;
  }
}

/** Opens the store of checkpoints; one on another machine is waited for. */
async function openStore(
  { name: job, params, surroundings, conditions }: OpenOptions,
  file: KvFileOptions,
): Promise<CheckpointStore> {
  const { clock, chance } = surroundings;
  const { path } = file;
  const isRemote = isRemoteKv(path);
  const groupId = params.get("kafka.group.id");
  const ofKv = (kv: Kv) =>
    CheckpointStore.open(isRemote ? groupStore(kv, groupId) : kv, { job, clock, chance });
  const open = () => openWatchedKv(surroundings, file, ofKv);
  return await (isRemote ? untilStoreAnswers(open, { path, conditions, clock }) : open());
}

/** The disk of one of our files: without room for the log nothing new is taken. */
function diskOf(file: "log" | "state", { params, surroundings, conditions }: OpenOptions): Disk {
  const { clock, freeBytes, unusedBytes } = surroundings;
  const path = params.get(`${file}.kv`);
  return new Disk({
    file,
    path,
    bytesMin: params.get("disk.free.bytes.min"),
    freeBytes: isRemoteKv(path) ? null : freeBytes ?? null,
    ...(unusedBytes ? { unusedBytes } : {}),
    blocks: file === "log" ? "writes" : "nothing",
    conditions,
    clock,
  });
}

interface Openers {
  readonly transactions: LogOpener;
  readonly queries: LogOpener;
}

/** The job's log, which both inputs share, unless an input brings one of its own. */
async function openersOf({ params, wiring, surroundings }: OpenOptions): Promise<Openers> {
  const { transactions, queries } = wiring;
  const generated = transactions.generated === true;
  const request: LogRequest = {
    kind: wiring.log,
    params,
    topics: topicsOf(wiring),
    generated,
    surroundings,
  };
  const { kafka } = surroundings;
  if (wiring.log === "kafka") {
    if (generated) {
      throw new StopError(
        "Generated transactions need a log of the job's own, which keeps their positions",
        "deno task generate fills a topic of Kafka; or start with log=embedded",
      );
    }
    if (!kafka) throw new StopError("The job's log is Kafka's", "start it by run");
    const own = await kafka(request);
    return { transactions: transactions.opener ?? own, queries: queries.opener ?? own };
  }
  const embedded = once(() => embeddedLogOpener(request));
  const computed = () => generatorOpener(params, embedded(), surroundings.clock);
  return {
    transactions: transactions.opener ?? (generated ? computed() : embedded()),
    queries: queries.opener ?? embedded(),
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}

/** The group is not to wait for a store on another machine that hangs, for so long at the most. */
const STORE_MS_MAX = 2000;

async function openLogs(
  { params, surroundings: { clock }, loads }: OpenOptions,
  { transactions, queries }: Openers,
  store: CheckpointStore,
  logDisk: Disk,
): Promise<{ transactionLog: Log; queryLog: Log }> {
  const user = {
    logDisk,
    hasCheckpoints: async () =>
      (await storeAnswer(clock, store.partitions(), STORE_MS_MAX)).length > 0,
    loadOf: (partition: number) => loads.of(partition),
    newestCheckpoints: (logId: string, topicId: string | null) =>
      newestCheckpoints(store, logId, topicId),
    partitionerOf: (logId: string) => partitionerOfCheckpoints(store, logId),
    readTopics: {
      idOf: (name: string) => storeAnswer(clock, store.readTopics.idOf(name), STORE_MS_MAX),
      keep: (name: string, id: string) =>
        storeAnswer(clock, store.readTopics.keep(name, id), STORE_MS_MAX),
    },
  };
  const transactionLog = params.get("restore") !== ""
    ? await openRestored(transactions, user, store, params)
    : await transactions.open(user, null);
  const { restoredFrom } = transactionLog;
  if (restoredFrom) await adoptBase(store, restoredFrom);
  const queryLog = queries === transactions ? transactionLog : await queries.open(user, null);
  return { transactionLog, queryLog };
}
