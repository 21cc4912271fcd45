// state: looks into checkpoints, exports and imports them.
//
//   deno task state list                            checkpoints of every partition
//   deno task state inspect <partition> <sequence>  one manifest
//   deno task state verify                          reads every checkpoint whole and restores it
//   deno task state export <file>                   the newest checkpoint of every partition
//   deno task state import <file>                   into a file without checkpoints
//
// --state.kv=<file> chooses the file of the checkpoints (data/state.kv), --job=<kind> whose checkpoints
// (embedded). All but import may run while a job uses the file.

import { JOB_KINDS, type JobKind, PARAMETERS, ProgressReporter } from "./job/mod.ts";
import { ProgressDisplay, showCount, showSeconds, stderrTerminal } from "./progress_display.ts";
import { KvFileError, openKvFile, openKvFileToRead } from "./log/mod.ts";
import {
  CheckpointStore,
  coreOptionsOf,
  DamagedCheckpointError,
  exportCheckpoints,
  type Exported,
  importCheckpoints,
  type ListedCheckpoint,
  type Manifest,
  readExported,
} from "./state/mod.ts";
import { systemChance, systemClock } from "./types/mod.ts";
import { Core, CoreError, NO_TIME } from "./wasm/mod.ts";

const USAGE =
  `Usage: deno task state list | inspect <partition> <sequence> | verify | export <file> | import <file>
                       [--state.kv=${
    PARAMETERS["state.kv"].default
  }] [--job=${PARAMETERS.job.default}]`;

class UsageError extends Error {}

async function openStore(kind: string, path: string, write: boolean): Promise<CheckpointStore> {
  if (!Object.hasOwn(JOB_KINDS, kind)) {
    throw new UsageError(`--job must be ${PARAMETERS.job.allowed}, not ${JSON.stringify(kind)}`);
  }
  const kv = write ? await openKvFile(path) : await openKvFileToRead(path);
  return await CheckpointStore.open(kv, {
    job: JOB_KINDS[kind as JobKind].name,
    clock: systemClock,
    chance: systemChance,
  });
}

async function listAll(store: CheckpointStore): Promise<ListedCheckpoint[]> {
  return (await Promise.all((await store.partitions()).map((p) => store.list(p)))).flat();
}

function time(ms: bigint | number): string {
  if (ms === NO_TIME) return "none";
  return new Date(Number(ms)).toISOString();
}

async function list(store: CheckpointStore): Promise<void> {
  console.log(
    "partition sequence       offset        items      bytes  taken                     watermark",
  );
  for (const { partition, sequence, manifest, damage } of await listAll(store)) {
    const head = `${String(partition).padStart(9)} ${String(sequence).padStart(8)}`;
    if (!manifest) {
      console.log(`${head} ${damage}`);
      continue;
    }
    const { scalars, totalBytes, cutAt } = manifest;
    const figures = [[scalars.position, 12], [scalars.items, 12], [totalBytes, 10]] as const;
    const columns = figures.map(([n, width]) => String(n).padStart(width)).join(" ");
    console.log(`${head} ${columns}  ${time(cutAt)}  ${time(scalars.watermark)}`);
  }
}

async function inspect(store: CheckpointStore, partition: number, sequence: number): Promise<void> {
  const found = (await store.list(partition)).find((c) => c.sequence === sequence);
  if (!found) throw new UsageError(`There is no checkpoint ${sequence} of partition ${partition}`);
  if (!found.manifest) throw new DamagedCheckpointError(found.damage!);
  console.log(JSON.stringify(found.manifest, (_k, v) => typeof v === "bigint" ? String(v) : v, 2));
}

/** Restores a checkpoint into a core of its own; throws if anything of it is wrong. */
async function restoreWhole(
  store: CheckpointStore,
  manifest: Manifest,
  restored: (items: number) => void,
): Promise<void> {
  const core = new Core({
    ...coreOptionsOf(manifest.parameters),
    partition: manifest.partition,
    alertTotalMin: 0,
    alertRateMin: 0,
  });
  core.restoreScalars(manifest.scalars);
  for await (const { segment, bytes } of store.segments(manifest)) {
    core.restoreSegment(segment, bytes);
    restored(Number(core.state.items));
  }
  if (core.state.items === manifest.scalars.items) return;
  throw new DamagedCheckpointError(
    `It holds ${core.state.items} items, not ${manifest.scalars.items}`,
  );
}

async function verify(store: CheckpointStore): Promise<boolean> {
  let whole = true;
  const listed = await listAll(store);
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
  return whole;
}

function displayOnStderr(): ProgressDisplay {
  return new ProgressDisplay({
    clock: systemClock,
    terminal: stderrTerminal(),
    tell: ({ title, unit, done, total, rate, left }) =>
      console.error(
        `${title}: ${done} of ${total} ${unit}, ${showCount(rate)}/s, ${showSeconds(left)}`,
      ),
  });
}

async function exportTo(store: CheckpointStore, path: string): Promise<void> {
  const newest = await Promise.all((await store.partitions()).map(async (partition) => {
    const [first] = await store.list(partition);
    if (!first?.manifest) {
      throw new DamagedCheckpointError(`Partition ${partition}: ${first?.damage}`);
    }
    return first.manifest;
  }));
  if (newest.length === 0) throw new UsageError("There is no checkpoint to export");
  const file = await Deno.open(path, { write: true, createNew: true });
  let bytes = 0;
  const writer = file.writable.getWriter();
  for await (const part of exportCheckpoints(store, newest)) {
    await writer.write(Uint8Array.from(part));
    bytes += part.length;
  }
  await writer.close();
  console.log(`${path}: ${newest.length} checkpoints, ${bytes} bytes`);
}

async function importFrom(store: CheckpointStore, exported: Exported): Promise<void> {
  await importCheckpoints(store, exported);
  console.log(`${exported.manifests.length} checkpoints imported`);
}

function toNumber(text: string | undefined): number {
  if (text !== undefined && /^[0-9]+$/.test(text)) return Number(text);
  throw new UsageError(`Expected a number, not ${JSON.stringify(text ?? "")}\n${USAGE}`);
}

function required(path: string | undefined): string {
  if (path) return path;
  throw new UsageError(`A file is missing\n${USAGE}`);
}

async function run(args: readonly string[]): Promise<boolean> {
  const flagOf = (key: "state.kv" | "job") =>
    args.find((a) => a.startsWith(`--${key}=`))?.slice(key.length + 3) ?? PARAMETERS[key].default;
  const [command, first, second, ...rest] = args.filter((a) => !/^--(state\.kv|job)=/.test(a));
  // The file is read before a store is created for it.
  const exported = command === "import" ? readExported(await Deno.readFile(required(first))) : null;
  const commands: Record<string, (store: CheckpointStore) => Promise<boolean | void>> = {
    list,
    verify,
    inspect: (store) => inspect(store, toNumber(first), toNumber(second)),
    export: (store) => exportTo(store, required(first)),
    import: (store) => importFrom(store, exported!),
  };
  const execute = commands[command ?? ""];
  if (!execute || rest.length > 0) throw new UsageError(USAGE);
  const store = await openStore(flagOf("job"), flagOf("state.kv"), command === "import");
  try {
    return await execute(store) ?? true;
  } finally {
    store.close();
  }
}

if (import.meta.main) {
  try {
    Deno.exit(await run(Deno.args) ? 0 : 1);
  } catch (error) {
    const expected = [
      UsageError,
      DamagedCheckpointError,
      KvFileError,
      RangeError,
      Deno.errors.NotFound,
      Deno.errors.AlreadyExists,
    ];
    if (!expected.some((type) => error instanceof type)) throw error;
    console.error(`stockflow: ${(error as Error).message}`);
    Deno.exit(2);
  }
}
