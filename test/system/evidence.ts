// What a service left in its data folder, read by other means than its own: the tests' evidence.

import { embeddedTopics } from "../log/embedded_topics.ts";
import { JOB_NAME } from "../../src/service/mod.ts";
import { EmbeddedLog } from "../../src/log/mod.ts";
import { openKvFile } from "../../src/kv/mod.ts";
import { CheckpointStore, coreOptionsOf } from "../../src/state/mod.ts";
import {
  codecOf,
  decodeBatch,
  decodeUtf8,
  type LogRecord,
  systemChance,
  systemClock,
} from "../../src/types/mod.ts";
import { Code, Core, type CoreOptions } from "../../src/wasm/mod.ts";
import type { Model } from "../model/model.ts";
import { hashOfCore } from "../model/state_hash.ts";

/** Opens the embedded log of a service that has ended. */
export async function openLog(folder: string, partitions: number): Promise<EmbeddedLog> {
  return await EmbeddedLog.open(await openKvFile(`${folder}/log.kv`), {
    ...embeddedTopics(partitions),
    clock: systemClock,
    chance: systemChance,
  });
}

/** Opens the checkpoints of a service that has ended. */
export async function openStore(folder: string, job = JOB_NAME): Promise<CheckpointStore> {
  const kv = await openKvFile(`${folder}/state.kv`);
  return await CheckpointStore.open(kv, { job, clock: systemClock, chance: systemChance });
}

/** Whether the last thing that a partition's checkpoints did was to begin. */
export async function checkpointUnderWay(folder: string): Promise<boolean> {
  const store = await openStore(folder);
  const [last] = await store.history.list(1);
  store.close();
  return last?.kind === "triggered";
}

/** All batches of a topic's partition, in order. */
export async function batchesOf(
  log: EmbeddedLog,
  topic: string,
  partition: number,
): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  let { start: offset } = log.bounds(topic, partition);
  while (offset < log.bounds(topic, partition).end) {
    const { batches } = await log.read(topic, partition, offset, { maxBytes: 4e6, waitMs: 0 });
    all.push(...batches);
    offset = decodeBatch(batches.at(-1)!).at(-1)!.offset + 1;
  }
  return all;
}

/** All records of a topic's partition. */
export async function recordsOf(
  log: EmbeddedLog,
  topic: string,
  partition: number,
): Promise<LogRecord[]> {
  return (await batchesOf(log, topic, partition)).flatMap((batch) => decodeBatch(batch));
}

/** All values of a topic's partition, as text. */
export async function valuesOf(
  log: EmbeddedLog,
  topic: string,
  partition: number,
): Promise<string[]> {
  return (await recordsOf(log, topic, partition)).map((r) => decodeUtf8(r.value!)!);
}

/** State hash of the newest checkpoint of a partition, and how its log is folded. */
export async function newestCheckpoint(
  store: CheckpointStore,
  partition: number,
): Promise<{ options: CoreOptions; stateHash: string; offset: number }> {
  const [newest] = await store.list(partition);
  const { parameters, stateHash, scalars, remembered } = newest!.manifest!;
  const secret = remembered ? Uint8Array.fromHex(remembered.secret) : null;
  const options = {
    ...coreOptionsOf(parameters, secret),
    partition,
    alertTotalMin: 0,
    alertRateMin: 0,
  };
  return { options, stateHash, offset: Number(scalars.position) };
}

/** The state hash of a fresh core that folds batches from offset 0 on. */
export function stateHashOf(options: CoreOptions, batches: readonly Uint8Array[]): string {
  const core = new Core(options, systemChance);
  for (const batch of batches) {
    let code = core.begin(batch, { emit: false });
    if (code < 0) throw new Error(Code[code]);
    while ((code = core.run()) !== Code.Done) while (core.fire(false) !== Code.Done);
  }
  return hashOfCore(core);
}

/** Whether summaries are those of the model, in any order. */
export function sameSummaries(written: readonly string[], model: Model): boolean {
  const { formatSummary } = codecOf(model.options.format);
  const expected = model.summaries.map((s) => formatSummary(s.summary)).toSorted();
  const sorted = written.toSorted();
  return sorted.length === expected.length && sorted.every((line, i) => line === expected[i]);
}
