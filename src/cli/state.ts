// state: looks into checkpoints, exports and imports them.
//
//   deno task state list                            checkpoints of every partition
//   deno task state inspect <partition> <sequence>  one manifest
//   deno task state verify                          reads every checkpoint whole and restores it
//   deno task state export <file>                   a backup: the newest checkpoint of every partition, as a
//                                                   savepoint of its own, and all savepoints
//   deno task state export --savepoint=<name> <file>  that savepoint alone
//   deno task state import <file>                   into a file without checkpoints
//   deno task state cluster [--http=<host:port>]    who shares partitions (Kafka), asked of a process that runs
//
// --state.kv=<file> (STATE_KV) chooses the file of the checkpoints, by default that of the job's file of parameters
// (data/state.kv; for Kafka data/kafka-job.kv), --job=<kind or name> (JOB) whose checkpoints
// (embedded; a job of one's own by its name), --generated those of generated transactions. All but import may run while a job uses the file.
// --folder=<path> is where the user stands: deno task gives it.

import { parseArgs } from "node:util";
import { enterFolder, exitCodeOf } from "./arguments.ts";
import { isJobKind, jobName, ownJobName } from "../jobs/mod.ts";
import { ParameterError, PARAMETERS } from "../parameters/mod.ts";
import { VERSION } from "../service/mod.ts";
import { loadCore, ProgressReporter } from "../engine/mod.ts";
import { StopError } from "../log/mod.ts";
import { ProgressDisplay, showCount, showSeconds, stderrTerminal } from "./progress_display.ts";
import { KvFileError, openKvFile, openKvFileToRead } from "../kv/mod.ts";
import {
  CheckpointStore,
  DamagedCheckpointError,
  jobsIn,
  type ListedCheckpoint,
  type Manifest,
  pinnedBy,
  type Savepoint,
} from "../state/mod.ts";
import { shorten, systemChance, systemClock } from "../types/mod.ts";
import { clusterLines } from "./state_cluster.ts";
import { exportTo, importFrom, readFile } from "./state_files.ts";
import { statePlace } from "./state_place.ts";
import { CoreError, Format, NO_TIME, Partitioner } from "../wasm/mod.ts";

const USAGE = `Usage: deno task state list | inspect <partition> <sequence> | verify |
                       export [--savepoint=<name>] <file> | import <file> |
                       cluster [--http=<host:port>]
                       [--job=${PARAMETERS.job.default}] [--state.kv=<file of that job>] [--generated]
       deno task state --help | --version`;

async function openStore(
  { kind, generated, path, write }: {
    readonly kind: string;
    readonly generated: boolean;
    readonly path: string;
    readonly write: boolean;
  },
): Promise<CheckpointStore> {
  const kv = write ? await openKvFile(path) : await openKvFileToRead(path);
  const job = isJobKind(kind) ? jobName(kind, generated) : ownJobName(kind, generated);
  // A name that nobody has is a wrong one; of a kind that has none it is said that there are none.
  const others = isJobKind(kind) || write ? [] : await jobsIn(kv);
  if (others.length > 0 && !others.includes(job)) {
    kv.close();
    throw new ParameterError(
      `--job must be ${PARAMETERS.job.allowed}, or a job that has checkpoints in ${path} ` +
        `(${others.join(", ")}), not ${JSON.stringify(kind)}`,
    );
  }
  return await CheckpointStore.open(kv, { job, clock: systemClock, chance: systemChance });
}

async function listAll(store: CheckpointStore): Promise<ListedCheckpoint[]> {
  return (await Promise.all((await store.partitions()).map((p) => store.list(p)))).flat();
}

/** A time as people read it; what a date cannot be (earlier versions took such timestamps) as a number. */
function time(ms: bigint | number): string {
  if (ms === NO_TIME) return "none";
  const date = new Date(Number(ms));
  return isNaN(date.getTime()) ? String(ms) : date.toISOString();
}

const NONE =
  "There is no checkpoint yet: one is taken every checkpoint.interval.millis, and at a stop in good order";

async function list(store: CheckpointStore): Promise<void> {
  const savepoints = await store.savepoints.list();
  const checkpoints = await listAll(store);
  if (checkpoints.length === 0) console.error(NONE);
  console.log(
    "partition sequence       offset        items      bytes  taken                     " +
      "watermark                 retained by",
  );
  for (const { partition, sequence, manifest, damage } of checkpoints) {
    const head = `${String(partition).padStart(9)} ${String(sequence).padStart(8)}`;
    const by = pinnedBy(savepoints, partition).get(sequence)?.join(", ") ?? "age";
    if (!manifest) {
      console.log(`${head} ${damage}  ${by}`);
      continue;
    }
    const { scalars, totalBytes, cutAt } = manifest;
    const figures = [[scalars.position, 12], [scalars.items, 12], [totalBytes, 10]] as const;
    const columns = figures.map(([n, width]) => String(n).padStart(width)).join(" ");
    const times = `${time(cutAt)}  ${time(scalars.watermark).padEnd(24)}`;
    console.log(`${head} ${columns}  ${times}  ${by}`);
  }
  for (const { name, at, partitions } of savepoints) {
    const items = partitions.reduce((n, member) => n + (member?.items ?? 0), 0);
    const sequences = partitions.map((member) => member?.sequence ?? "empty").join(", ");
    console.log(`savepoint ${name}: ${time(at)}, ${items} items, checkpoints ${sequences}`);
  }
}

async function inspect(store: CheckpointStore, partition: number, sequence: number): Promise<void> {
  const found = (await store.list(partition)).find((c) => c.sequence === sequence);
  if (!found) {
    throw new ParameterError(`There is no checkpoint ${sequence} of partition ${partition}`);
  }
  if (!found.manifest) throw new DamagedCheckpointError(found.damage!);
  console.log(JSON.stringify(found.manifest, (_k, v) => typeof v === "bigint" ? String(v) : v, 2));
}

/** Restores a checkpoint into a core of its own; throws if anything of it is wrong. */
async function restoreWhole(
  store: CheckpointStore,
  manifest: Manifest,
  restored: (items: number) => void,
): Promise<void> {
  const context = {
    store,
    clock: systemClock,
    chance: systemChance,
    coreOptions: (partition: number) => ({
      ...PLAIN_CORE,
      partition,
      partitions: manifest.parameters.partitions,
    }),
  };
  const progress = new ProgressReporter("", 1, systemClock, ({ done }) => restored(done));
  await loadCore({ context, progress, signal: new AbortController().signal }, manifest);
  progress.end();
}

/** What a checkpoint does not say of its core. */
const PLAIN_CORE = {
  format: Format.Text,
  partitioner: Partitioner.None,
  windowMs: 0,
  eventTime: false,
  outOfOrderMs: 0,
  maxAheadMs: 0,
  alertTotalMin: 0,
  alertRateMin: 0,
};

async function verify(store: CheckpointStore): Promise<boolean> {
  let whole = true;
  const listed = await listAll(store);
  if (listed.length === 0) console.error(NONE);
  const display = displayOnStderr();
  const progress = new ProgressReporter("", 1, systemClock, display.onProgress);
  const itemsOf = (manifest: Manifest | null) => Number(manifest?.scalars.items ?? 0);
  const total = listed.reduce((n, { manifest }) => n + itemsOf(manifest), 0);
  const verified = progress.begin("verify", total);
  let before = 0;
  for (const { partition, sequence, manifest, damage } of listed) {
    let problem = damage;
    if (manifest) {
      try {
        await restoreWhole(store, manifest, (items) => verified(before + items));
      } catch (error) {
        if (!(error instanceof DamagedCheckpointError) && !(error instanceof CoreError)) {
          throw error;
        }
        problem = error.message;
      }
    }
    before += itemsOf(manifest);
    if (problem !== null) whole = false;
    display.hide();
    console.log(`checkpoint ${sequence} of partition ${partition}: ${problem ?? "whole"}`);
  }
  progress.end();
  for (const savepoint of await store.savepoints.list()) {
    const problem = await problemOf(store, savepoint);
    if (problem !== null) whole = false;
    console.log(`savepoint ${savepoint.name}: ${problem ?? "has all of its checkpoints"}`);
  }
  return whole;
}

function displayOnStderr(): ProgressDisplay {
  return new ProgressDisplay({
    clock: systemClock,
    terminal: stderrTerminal(),
    report: ({ title, unit, done, total, rate, left }) =>
      console.error(
        `${title}: ${done} of ${total} ${unit}, ${showCount(rate)}/s, ${showSeconds(left)}`,
      ),
  });
}

async function problemOf(store: CheckpointStore, savepoint: Savepoint): Promise<string | null> {
  try {
    await store.savepoints.manifests(savepoint);
    return null;
  } catch (error) {
    if (error instanceof DamagedCheckpointError) return error.message;
    throw error;
  }
}

function toNumber(text: string | undefined): number {
  if (text !== undefined && /^[0-9]+$/.test(text)) return Number(text);
  throw new ParameterError(`Expected a number, not ${JSON.stringify(text ?? "")}\n${USAGE}`);
}

function required(path: string | undefined): string {
  if (path) return path;
  throw new ParameterError(`A file is missing\n${USAGE}`);
}

/** The command and what it works on, and flags. @throws {ParameterError} for a flag that is not known, or of another form */
function parse(args: readonly string[]) {
  const value = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        "state.kv": value,
        job: value,
        folder: value,
        savepoint: value,
        http: value,
        generated: flag,
        help: { ...flag, short: "h" },
        version: flag,
      },
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new ParameterError(`${shorten(error.message.split(". ")[0]!)}\n${USAGE}`);
  }
}

async function run(args: readonly string[]): Promise<boolean> {
  const { values, positionals: [command, first, second, ...rest] } = parse(args);
  if (values.help) return console.log(USAGE), true;
  if (values.version) return console.log(`stockflow ${VERSION}`), true;
  enterFolder(values.folder ?? null);
  const { savepoint = null } = values;
  if (savepoint !== null && command !== "export") {
    throw new ParameterError(`--savepoint=<name> goes with export alone\n${USAGE}`);
  }
  if (command === "cluster" && first === undefined) {
    const { default: port } = PARAMETERS["http.port"];
    const lines = await clusterLines(
      values.http ?? `127.0.0.1:${port}`,
      Deno.env.get("HTTP_TOKEN") ?? "",
    );
    return console.log(lines.join("\n")), true;
  }
  if (values.http !== undefined) {
    throw new ParameterError(`--http=<host:port> goes with cluster alone\n${USAGE}`);
  }
  // The file is read before a store is created for it.
  const exported = command === "import" ? await readFile(required(first)) : null;
  const commands: Record<string, (store: CheckpointStore) => Promise<boolean | void>> = {
    list,
    verify,
    inspect: (store) => inspect(store, toNumber(first), toNumber(second)),
    export: (store) => exportTo(store, required(first), savepoint),
    import: (store) => importFrom(store, exported!),
  };
  const execute = Object.hasOwn(commands, command ?? "") ? commands[command!] : undefined;
  if (!execute || rest.length > 0) throw new ParameterError(USAGE);
  const { job, "state.kv": path } = values;
  const store = await openStore({
    ...statePlace({
      ...(job === undefined ? {} : { job }),
      ...(path === undefined ? {} : { path }),
    }),
    generated: values.generated ?? false,
    write: command === "import",
  });
  try {
    return await execute(store) ?? true;
  } finally {
    store.close();
  }
}

/** Errors that the user can mend, in the words of exitCodeOf. */
function expected(error: unknown): unknown {
  if (error instanceof KvFileError) {
    return new StopError(error.message, error.remedy ?? "look at the file and its disk");
  }
  const mends = [DamagedCheckpointError, RangeError];
  return mends.some((type) => error instanceof type)
    ? new ParameterError((error as Error).message)
    : error;
}

if (import.meta.main) {
  let whole = true;
  const code = await exitCodeOf(async () => {
    whole = await run(Deno.args).catch((error) => {
      throw expected(error);
    });
  });
  Deno.exit(code || (whole ? 0 : 1));
}
