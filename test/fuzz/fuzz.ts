// Fuzzing of the core: sessions of a few hundred mutated batches each, in a core of its own. The seed of a
// session decides everything in it.

import fc from "fast-check";
import { BATCH_HEADER_BYTES, Format } from "../../src/types/mod.ts";
import { Code, CoreError, type RememberOptions } from "../../src/wasm/mod.ts";
import { recordValue } from "../model/arbitraries.ts";
import { FastRandom } from "../../tools/kit/random.ts";
import { CanaryError, GUARDED_RECORDS_MAX, type GuardedOptions } from "./guarded_core.ts";
import { BatchMutator, type MutatedBatch } from "./mutated_batch.ts";
import { ModelSession } from "./model_session.ts";
import { PlainSession } from "./plain_session.ts";

const VALUES = 3000;
const BATCHES_PER_SESSION = 400;
/** Sessions of which one is followed by the reference model, and one by a second core. */
const MODEL_SESSIONS = 8;
const TWIN_SESSIONS = 4;
const TIGHT_SESSIONS = 16;

/** What became of the fuzzer's batches. */
export class Tally {
  batches = 0;
  comparedWithModel = 0;
  comparedWithTwin = 0;
  traps = 0;
  canaries = 0;
  /** Everything else that must not be: an outcome missing, a refusal that changed something, ... */
  broken = 0;
  readonly codes = new Map<string, number>();
  readonly outcomes = new Map<string, number>();

  count(map: "codes" | "outcomes", name: string, n = 1): void {
    this[map].set(name, (this[map].get(name) ?? 0) + n);
  }

  get good(): boolean {
    return this.batches > 0 && this.traps + this.canaries + this.broken === 0;
  }

  /** The last line of a run. */
  verdict(): string {
    return `${this.batches} batches, ${this.traps} traps, ${this.canaries} canaries touched, ` +
      `${this.broken} without an outcome or with a wrong one`;
  }
}

/** A session that folds batches and checks what comes out. */
export interface Session {
  /** Offset at which the next batch may stand. */
  readonly position: bigint;
  /** @throws what is wrong */
  fold(batch: MutatedBatch): Code;
  /** Something else than a batch: windows, checkpoints, look-ups. */
  between(): void;
  end(): void;
}

/** The values of transactions, valid and not, that records are given. */
export function valuePool(format: Format, seed: number): (Uint8Array | null)[] {
  return fc.sample(recordValue(format), { seed, numRuns: VALUES });
}

export interface FuzzOptions {
  readonly seed: number;
  readonly batches: number;
  readonly tally: Tally;
  /** Learns what was found: the seed of a session repeats it. */
  readonly log: (line: string) => void;
  readonly onProgress?: (tally: Tally) => void;
}

/** Runs sessions, whose seeds follow each other, until so many batches were folded. */
export function fuzz({ seed, batches, tally, log, onProgress = () => {} }: FuzzOptions): void {
  const pools = [Format.Text, Format.Json].map((format) => valuePool(format, 1));
  for (let session = seed; tally.batches < batches; session++) {
    fuzzSession(session, pools, tally, log);
    onProgress(tally);
  }
}

/** Runs the session of a seed. */
function fuzzSession(
  seed: number,
  pools: readonly (Uint8Array | null)[][],
  tally: Tally,
  log: (line: string) => void,
): void {
  const random = new FastRandom(seed);
  const model = random.oneIn(MODEL_SESSIONS);
  const options = optionsOf(random, !model && random.oneIn(TIGHT_SESSIONS));
  const mutator = new BatchMutator(random, pools[options.format]!);
  let batch: MutatedBatch | null = null;
  try {
    const session: Session = model
      ? new ModelSession(options, random, tally)
      : new PlainSession(options, random, tally, random.oneIn(TWIN_SESSIONS));
    for (let n = 20 + random.below(BATCHES_PER_SESSION); n > 0; n--) {
      batch = mutator.next({
        records: recordsOf(random),
        baseOffset: baseOffsetOf(random, session.position),
        mutations: random.oneIn(8) ? 0 : 1 + random.below(3),
        crcRight: !random.oneIn(16),
      });
      tally.batches++;
      const code = session.fold(batch);
      tally.count("codes", Code[code] ?? String(code));
      // Offsets at the end of their range, or a full memory: nothing more can be folded.
      if (session.position > 2n ** 62n || code === Code.OutOfMemory) break;
      if (random.oneIn(16)) session.between();
    }
    batch = null;
    session.end();
  } catch (error) {
    if (error instanceof CoreError && error.code === Code.OutOfMemory) {
      tally.count("codes", Code[error.code]!);
      return;
    }
    if (error instanceof WebAssembly.RuntimeError) tally.traps++;
    else if (error instanceof CanaryError) tally.canaries++;
    else tally.broken++;
    log(`session ${seed}, batch ${tally.batches}: ${(error as Error).stack}`);
    if (batch) log(`  mutations: ${batch.mutations.join(", ")}; ${batch.bytes.toHex()}`);
    log(`  again: deno task fuzz --seed=${seed} --batches=1`);
  }
}

function recordsOf(random: FastRandom): number {
  if (random.oneIn(40)) return 1 + random.below(GUARDED_RECORDS_MAX);
  return 1 + random.below(6);
}

/** Mostly where the last batch ended; also before that, as after a recovery, and behind a gap. */
function baseOffsetOf(random: FastRandom, position: bigint): bigint {
  if (random.oneIn(16)) return position + BigInt(random.below(1000));
  if (random.oneIn(16)) return position - BigInt(Math.min(Number(position), random.below(20)));
  return position;
}

/** Mostly few, so that many are forgotten. */
function rememberOf(random: FastRandom): RememberOptions {
  return {
    windowMs: random.pick([1, 1000, 60_000, 2 ** 40]),
    max: random.pick([1, 3, 50, 5000]),
    secret: Uint8Array.from({ length: 16 }, () => random.below(256)),
  };
}

function optionsOf(random: FastRandom, tight: boolean): GuardedOptions {
  const windowMs = random.pick([0, 60_000, 60_000, 3_600_000]);
  const batchBytesMax = random.pick([1085, 4000, 20_000]);
  const partitioner = random.pick([0, 0, 1, 2, 3]);
  return {
    format: random.below(2),
    partitioner,
    partition: partitioner === 0 ? 0 : 1,
    partitions: partitioner === 0 ? 1 : 3,
    windowMs,
    eventTime: random.oneIn(2),
    outOfOrderMs: random.pick([0, 30_000, 60_000, 300_000]),
    maxAheadMs: random.pick([0, 86_400_000]),
    alertTotalMin: random.pick([0, 1, 2]),
    alertRateMin: random.pick([0, 0.4]),
    inputBytes: BATCH_HEADER_BYTES + random.pick([64, 8192]),
    // Smaller areas would be full without a finished batch (areasOf in src/service/pipeline.ts).
    resultBytes: random.pick([138_880, 138_881]) + batchBytesMax,
    summaryBytes: 4096 + batchBytesMax,
    batchBytesMax,
    copyPagesMax: random.pick([192, 200, 4096]),
    memoryPagesMax: tight ? 36 + random.below(24) : 2000,
    ...(random.oneIn(3) ? { remember: rememberOf(random) } : {}),
  };
}
