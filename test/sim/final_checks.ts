// What must hold when everything is healed, drained and stopped.

import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import { EmbeddedLog } from "../../src/log/mod.ts";
import { CheckpointStore, type ListedCheckpoint, type Manifest } from "../../src/state/mod.ts";
import { batchInfo, decodeBatch, decodeUtf8, systemChance } from "../../src/types/mod.ts";
import { Code, Core } from "../../src/wasm/mod.ts";
import { hashOfCore } from "../model/state_hash.ts";
import { contents } from "../wasm/driver.ts";
import { countersOfCore, countersOfModel, type Firing } from "./auditor.ts";
import type { Clients } from "./clients.ts";
import { JOB, type Member, TOPICS, topicSizes } from "./member.ts";
import { SimProcess } from "./process.ts";
import type { World } from "./world.ts";

/** Holds the end of a run against the model: the log, the last checkpoints, all answers. */
export async function checkAll(world: World, clients: Clients, last: Member): Promise<void> {
  const reader = new SimProcess(world.sim, "reader");
  checkPositions(world);
  await checkCheckpoints(world, last, reader);
  if (world.archive) await checkReaders(world, last, reader);
  checkAcknowledged(world, clients);
  world.sinks.checkAll();
  world.auditor.checkAnswers();
}

/** Where the visible input ends. */
export function visibleEnd(world: World, partition: number): number {
  const batch = world.auditor.input.batches(partition, 0).at(-1);
  return batch ? batchInfo(batch).lastOffset + 1 : 0;
}

/** P1, P2: every record of the input was applied; what that put out was compared commit by commit. */
function checkPositions({ sim, auditor }: World): void {
  auditor.partitions.forEach(({ model, offset }, partition) => {
    const records = auditor.input.batches(partition, 0).reduce(
      (n, batch) => n + batchInfo(batch).records,
      0,
    );
    const applied = model.results.length + model.deadLetters.length;
    if (applied === records) return;
    sim.violate("P2", `partition ${partition}@${offset}: ${records} inputs, ${applied} results`);
  });
}

/** P3: the last checkpoint is the fold of the log, and holds what the model has. */
async function checkCheckpoints(world: World, last: Member, reader: SimProcess): Promise<void> {
  const { sim, auditor } = world;
  if (sim.plan.settings.checkpointIntervalMs === 0) return;
  const store = await CheckpointStore.open(last.kv(last.machine.state, reader), {
    job: JOB,
    clock: reader.clock,
    chance: reader.chance,
  });
  for (const [partition, audit] of auditor.partitions.entries()) {
    const { offset, watermark, model } = audit;
    if (offset === 0) continue;
    const listed = await store.list(partition);
    for (const checkpoint of listed) checkLastBatch(world, checkpoint);
    const manifest = listed[0]?.manifest;
    if (!manifest) {
      sim.violate("P3", `partition ${partition} has no checkpoint after a stop in good order`);
      continue;
    }
    const { scalars } = manifest;
    if (Number(scalars.position) !== offset || scalars.watermark !== watermark) {
      sim.violate(
        "P3",
        `partition ${partition} stopped at ${offset}/${watermark}, ` +
          `its checkpoint at ${scalars.position}/${scalars.watermark}`,
      );
      continue;
    }
    const core = foldAnew(
      world,
      partition,
      offset,
      audit.firings,
      manifest.remembered?.secret,
    );
    const found = countersOfCore(core);
    if (found !== countersOfModel(model)) {
      sim.violate("P3", `a fold of partition ${partition} has ${found}`);
    }
    // Raised where it stands, by a recovery behind which nothing was committed: no commit has said so.
    if (audit.raisedAt === null && manifest.raisedAt === offset) core.raise();
    if (hashOfCore(core) !== manifest.stateHash) {
      sim.violate("P3", `the checkpoint of partition ${partition} is not the fold of its log`);
    }
    await checkContents(world, store, manifest);
  }
}

/** P3: what a checkpoint names as folded last was folded; what lies beyond its position may come differently. */
function checkLastBatch({ sim }: World, { partition, sequence, manifest }: ListedCheckpoint): void {
  if (!manifest?.lastBatch) return;
  const { lastBatch, scalars } = manifest;
  if (lastBatch.baseOffset < Number(scalars.position)) return;
  sim.violate(
    "P3",
    `checkpoint ${sequence} of partition ${partition} at ${scalars.position} names the batch at ` +
      `${lastBatch.baseOffset} as folded`,
  );
}

/** A core that folds the whole log of a partition, with the idle firings that were committed. */
function foldAnew(
  { sim, auditor }: World,
  partition: number,
  end: number,
  firings: readonly (Firing | "raised")[],
  secret: string | undefined,
): Core {
  const { core: options } = sim.plan;
  const foldVersion = sim.retries.raisedAtMs === null ? undefined : 1;
  const remember = options.remember &&
    { ...options.remember, secret: Uint8Array.fromHex(secret!) };
  const core = new Core({ ...options, foldVersion, remember, partition }, systemChance);
  const drive = (step: () => Code) => {
    for (let code = step(); code !== Code.Done; code = step()) {
      if (code < 0) throw new Error(`The core refuses the log: ${code}`);
      if (code === Code.WindowsDue) { while (core.fire(false) !== Code.Done); }
      core.discard();
    }
  };
  const batches = auditor.input.batches(partition, 0);
  const foldTo = (until: number) => {
    for (const batch of batches) {
      if (batchInfo(batch).baseOffset >= until) break;
      if (batchInfo(batch).lastOffset < Number(core.position)) continue;
      core.begin(batch, { until: BigInt(until), emit: false });
      drive(() => core.run());
    }
  };
  for (const firing of firings) {
    if (firing === "raised") {
      foldTo(auditor.partitions[partition]!.raisedAt!);
      core.raise();
      continue;
    }
    foldTo(firing.position);
    core.idle();
    drive(() => core.fire(false));
  }
  foldTo(end);
  return core;
}

async function checkContents(
  { sim, auditor }: World,
  store: CheckpointStore,
  manifest: Manifest,
): Promise<void> {
  const { model } = auditor.partitions[manifest.partition]!;
  const segments = new Map<number, Uint8Array>();
  for await (const { segment, bytes } of store.segments(manifest)) segments.set(segment, bytes);
  const { stock, windows } = contents(segments);
  const length = BigInt(sim.plan.core.windowMs);
  try {
    assertEquals(stock, model.stock);
    assertEquals(
      new Map([...windows].map(([number, items]) => [Number(number * length), items])),
      model.windows,
    );
  } catch (error) {
    sim.violate("P3", `checkpoint of partition ${manifest.partition}: ${(error as Error).message}`);
  }
}

/** Readers of the embedded log see exactly what became visible, from the log's start on. */
async function checkReaders(world: World, last: Member, reader: SimProcess): Promise<void> {
  const { sim, archive } = world;
  const { partitions, sidePartitions } = sim.plan;
  const sizes = topicSizes(partitions, sidePartitions);
  const log = await EmbeddedLog.open(last.kv(world.logFile!, reader), {
    topics: sizes,
    inputs: [TOPICS.input],
    clock: reader.clock,
    chance: reader.chance,
  });
  for (const name of archive!.names) {
    const [topic, partition] = name.split("/") as [string, string];
    const { start, end } = log.bounds(topic, Number(partition));
    const expected = archive!.of(name).filter((b) => batchInfo(b).baseOffset >= start);
    const found: Uint8Array[] = [];
    for (let offset = start; offset < end;) {
      const options = { maxBytes: 2000, waitMs: 0 };
      const { batches } = await log.read(topic, Number(partition), offset, options);
      found.push(...batches);
      offset = batchInfo(batches.at(-1)!).lastOffset + 1;
    }
    const same = found.length === expected.length &&
      found.every((batch, i) => Buffer.compare(batch, expected[i]!) === 0);
    if (!same) sim.violate("P2", `readers of ${name} see another log than was committed`);
  }
}

function isSame(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : Buffer.compare(a, b) === 0;
}

/** What was acknowledged to a client stands in the log, where it was answered. */
function checkAcknowledged({ sim, auditor }: World, { acknowledged }: Clients): void {
  if (acknowledged.length === 0) return;
  const values = auditor.partitions.map((_, partition) => {
    const records = auditor.input.batches(partition, 0).flatMap((b) => decodeBatch(b));
    return records.map((record) => record.value);
  });
  for (const { partition, offset, records } of acknowledged) {
    for (const [i, { value }] of records.entries()) {
      const found = values[partition]![offset + i];
      if (found !== undefined && isSame(found, value)) continue;
      const text = value && decodeUtf8(value);
      sim.violate("P1", `${partition}@${offset + i} was acknowledged and is not there: ${text}`);
    }
  }
}
