import { encodeBatch, encodeUtf8, systemChance } from "../types/mod.ts";
import { codecOf } from "../types/format.ts";
import { Code, Core } from "./core_instance.ts";
import type { CoreOptions } from "./core_types.ts";

const RECORDS = 512;
const ROUNDS = 24;
const CHECKPOINTS = 8;

/** What this thread's core was warmed up for. */
const warm = new Set<string>();

/**
 * Runs synthetic batches and checkpoints through throw-away instances, so that the engine has compiled
 * the core for speed before it takes traffic. All instances share the compiled code, so that once for each
 * way through it is enough.
 */
export function warmUp(options: CoreOptions): void {
  for (const _ of warmUpInSteps(options));
}

/** The same in steps of some milliseconds, between which a thread does what it has to do. */
export function* warmUpInSteps(options: CoreOptions): Generator<void> {
  const { format, windowMs, eventTime, remember } = options;
  const way = [format, windowMs > 0, eventTime, remember !== undefined].join();
  if (warm.has(way)) return;
  warm.add(way);
  const throwAway = {
    ...options,
    partitioner: 0,
    remember: remember && { ...remember, secret: new Uint8Array(16) },
  };
  const core = new Core(throwAway, systemChance);
  for (let round = 0; round < ROUNDS; round++) {
    core.position = 0n;
    core.begin(syntheticBatch(options, round));
    for (let code = core.run(); code > Code.Done; code = core.run()) {
      core.discard();
      while (core.fire(true) > Code.Done) core.discard();
    }
    core.take();
    yield;
  }
  for (let i = 0; i < CHECKPOINTS; i++) {
    copyThroughCheckpoint(core, throwAway);
    yield;
  }
}

function syntheticBatch({ format }: CoreOptions, round: number): Uint8Array {
  const codec = codecOf(format);
  return encodeBatch(Array.from({ length: RECORDS }, (_, i) => {
    const itemId = i % 16 === 0 ? `unusual-item-${i}-${round}` : `item_${i * round}`;
    const ts = 1000 * round;
    const value = codec.formatTransaction({
      transactionId: 2n ** 62n + BigInt(i),
      ts,
      itemId,
      quantity: 99 - i,
    });
    return { timestamp: ts, key: encodeUtf8(itemId), value: encodeUtf8(value) };
  }));
}

function copyThroughCheckpoint(core: Core, options: CoreOptions): void {
  const copy = new Core(options, systemChance);
  if (core.cut() !== Code.Done) return;
  for (let next = core.encodeNext(); next; next = core.encodeNext()) {
    copy.restoreSegment(next.segment, next.bytes);
  }
  core.endCut(false); // the next round encodes the same segments again
}
