// A worker thread: folds its partitions. Its store is calls to the control plane; an entry module says
// where its log is.

import type { Caller, Log, Methods } from "../../log/mod.ts";
import type { ControlCalls, ThreadCalls } from "./contract.ts";
import { type CheckpointEvent, CheckpointStore, foldParametersOf } from "../../state/mod.ts";
import { machineTracing, systemChance, systemClock } from "../../types/mod.ts";
import { BufferPool, type CoreOptions, warmUpInSteps } from "../../wasm/mod.ts";
import { LostError } from "../../log/mod.ts";
import { standardError } from "../line_output.ts";
import { closeLogs, configureLogs } from "../logging.ts";
import type { Partition } from "../partition.ts";
import { StateMemory } from "../state_memory.ts";
import { TransactionWorker } from "../worker.ts";
import { Activity, type Step } from "./activity.ts";
import { remoteConditions } from "./remote_conditions.ts";
import { RemoteKv } from "./remote_kv.ts";
import { Rpc } from "./rpc.ts";
import type { WorkerSpec } from "./worker_spec.ts";

/** How often figures are reported; the control plane takes their absence for a thread that hangs. */
const FIGURES_MS = 250;
/** Buffers for results that a thread keeps, at the most. */
const BUFFER_BYTES_MAX = 32 * 1024 * 1024;

/** The start of a process is over by then. */
const WARM_UP_AFTER_MS = 3000;
const WARM_UP_PAUSE_MS = 5;

const scope = self as unknown as {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent) => void) | null;
};

const stop = new AbortController();
const owners = new Map<number, Partition>();
let worker: TransactionWorker | null = null;
/** What it is busy with. */
let step: Step = "starting";
/** Assignments may be asked for before it is built. */
const built = Promise.withResolvers<TransactionWorker>();

const methods: Methods<ThreadCalls> = {
  prepare: ([core]) => void warmUpLater(core),
  run: ([spec]) => run(spec),
  stop: () => stop.abort(),
  assign: async ([partition], signal) => await (await built.promise).assign(partition, signal),
  revoke: async ([partition], signal) => await (await built.promise).revoke(partition, signal),
  lookUp: ([partition, ids]) => {
    const owner = owners.get(partition);
    if (!owner) throw new LostError(`Partition ${partition} is being recovered`);
    return owner.lookUp(ids);
  },
  hotItems: ([count]) => worker?.hotItems(count) ?? { samples: 0, items: [] },
  checkpoint: ([partition]) => {
    if (!worker) throw new LostError(`Partition ${partition} is being recovered`);
    return worker.checkpointNow(partition);
  },
};

const rpc = new Rpc<ControlCalls>(scope, methods);

/** Opens the log that a worker's facts describe; C are the calls that are answered for such a log alone. */
export type OpenLog<C = unknown> = (facts: unknown, rpc: Caller<ControlCalls & C>) => Log;

let openLog: OpenLog;

/** Begins to answer calls; what the entry module of a thread does. */
export function serve<C>(open: OpenLog<C>): void {
  openLog = open as OpenLog; // the control plane answers what the log that it has opened needs
  rpc.listen(scope);
}

/**
 * Warms the core up once the start of the process is over, which needs the processors for itself: what is folded by
 * then compiles the core as well. One that stands by is warm before it takes over.
 */
async function warmUpLater(core: CoreOptions): Promise<void> {
  do await systemClock.sleep(WARM_UP_AFTER_MS, stop.signal); while (
    step === "recovering" && !stop.signal.aborted
  );
  try {
    for (const _ of warmUpInSteps(core)) {
      await systemClock.sleep(WARM_UP_PAUSE_MS, stop.signal);
      if (stop.signal.aborted) return;
    }
  } catch {
    // It is for speed alone: what there is no memory for now is compiled when it is used.
  }
}

async function run(spec: WorkerSpec): Promise<void> {
  if (spec.logs) await configureLogs(spec.logs);
  const log = openLog(spec.log, rpc);
  const store = await CheckpointStore.open(new RemoteKv(rpc), {
    job: spec.job,
    clock: systemClock,
    chance: systemChance,
    addEvent: (event: CheckpointEvent) => rpc.call("addEvent", [event]),
  });
  const activity = new Activity(spec.activity);
  void warmUpLater(spec.core);
  const buffers = new BufferPool(BUFFER_BYTES_MAX);
  worker = new TransactionWorker({
    settings: spec.settings,
    log,
    store,
    parameters: foldParametersOf(spec.core),
    coreOptions: (partition) => ({ ...spec.core, partition, buffers }),
    buffers,
    topics: { ...spec.topics, partitionsOf: (topic) => log.partitionsOf(topic) },
    partitions: spec.partitions,
    partitionsAreGiven: spec.partitionsAreGiven,
    worker: spec.worker,
    conditions: remoteConditions(rpc),
    memory: new StateMemory(spec.memory, spec.memoryBytesMax),
    holdsBack: spec.holdsBack,
    clock: systemClock,
    chance: systemChance,
    tracing: machineTracing(),
    onStep: (now, partition) => {
      step = now;
      activity.set(now, partition);
    },
    onProgress: (progress) => rpc.notify("progress", [progress]),
    onOwner,
    onOffline: (partition, reason) => rpc.notify("offline", [partition, reason]),
  });
  built.resolve(worker);
  const ended = new AbortController();
  void reportAgainAndAgain(worker, ended.signal);
  try {
    await worker.run(stop.signal);
  } finally {
    ended.abort();
    await closeLogs();
    reportFigures(worker);
  }
}

function onOwner(partition: number, owner: Partition | null): void {
  if (owner) owners.set(partition, owner);
  else owners.delete(partition);
  rpc.notify("owner", [partition, owner !== null]);
  void owner?.ready.then(() => {
    if (owners.get(partition) === owner) rpc.notify("ready", [partition]);
  });
}

function reportFigures(of: TransactionWorker): void {
  rpc.notify("figures", [{ ...of.figures(), linesDropped: standardError.dropped }]);
}

async function reportAgainAndAgain(of: TransactionWorker, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    reportFigures(of);
    await systemClock.sleep(FIGURES_MS, ended);
  }
}
