// A session that checks by counting: every record of what was folded has an outcome, and a refused batch
// has changed nothing. A twin with other bytes around its areas must do the same.

import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { isIntact } from "../../src/types/mod.ts";
import {
  Code,
  type Core,
  OUTCOME_ACCEPTED,
  OUTCOME_DUPLICATE,
  OUTCOME_INVALID,
  OUTCOME_REJECTED,
  type OutputBatch,
  Reason,
} from "../../src/wasm/mod.ts";
import type { FastRandom } from "../../tools/kit/random.ts";
import type { Session, Tally } from "./fuzz.ts";
import { GuardedCore, type GuardedOptions, noise, plausible } from "./guarded_core.ts";
import type { MutatedBatch } from "./mutated_batch.ts";

/** Refused batches of which one is held against the whole memory of before. */
const WHOLE_MEMORY = 1024;
const LOOKUPS = ["item_1", "", "never seen", "n".repeat(300), "é\u0000"]
  .map((id) => new TextEncoder().encode(id));

/** All that a core put out for a batch. */
interface Written {
  readonly results: OutputBatch[];
  readonly summaries: OutputBatch[];
  readonly reasons: number[];
  readonly outcomes: number[];
}

export class PlainSession implements Session {
  readonly #guarded: GuardedCore;
  readonly #twin: GuardedCore | null;
  #cutting = false;

  constructor(
    readonly options: GuardedOptions,
    readonly random: FastRandom,
    readonly tally: Tally,
    twin: boolean,
  ) {
    this.#guarded = new GuardedCore(options, noise(random), () => random.fraction());
    this.#twin = twin ? new GuardedCore(options, plausible(random), () => random.fraction()) : null;
  }

  get position(): bigint {
    return this.#guarded.core.position;
  }

  fold(batch: MutatedBatch): Code {
    const guarded = this.#guarded;
    const state = guarded.state();
    const before = guarded.core.state;
    guarded.expect(batch.bytes);
    const whole = this.random.oneIn(WHOLE_MEMORY) ? guarded.snapshot() : null;
    const { code, refused, written } = this.#foldIn(guarded, batch.bytes);
    if (refused) {
      assertEquals(Buffer.compare(guarded.state(), state), 0, "a refused batch changed the state");
      const empty = written.outcomes.length + written.results.length + written.reasons.length === 0;
      assert(empty, "a refused batch has outputs");
      if (whole) {
        assertEquals(
          Buffer.compare(guarded.snapshot(), whole),
          0,
          "a refused batch changed memory",
        );
      }
    } else this.#account(batch.bytes, code, before, written);
    if (!batch.crcRight) assert(refused || isIntact(batch.bytes), "a wrong CRC was taken");
    if (this.#twin) this.#compareTwin(this.#twin, batch.bytes, code, written);
    return code;
  }

  #foldIn(guarded: GuardedCore, bytes: Uint8Array) {
    const { core } = guarded;
    const written: Written = { results: [], summaries: [], reasons: [], outcomes: [] };
    let code = core.begin(bytes, { outcomes: true });
    const refused = code < 0;
    if (!refused) {
      while ((code = core.run()) > Code.Done) {
        if (code === Code.WindowsDue) this.#fire(core, written);
        else if (code === Code.CheckpointFirst) this.#encode(core, Infinity);
        collect(core, written, false);
      }
    }
    collect(core, written, true);
    guarded.check();
    return { code, refused, written };
  }

  /** Every record that was folded is accepted, rejected, or a dead letter with its reason. */
  #account(batch: Uint8Array, code: Code, before: Core["state"], written: Written): void {
    const { core } = this.#guarded;
    const after = core.state;
    const counts = new Map<number, number>();
    for (const outcome of written.outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    const accepted = counts.get(OUTCOME_ACCEPTED) ?? 0;
    const rejected = counts.get(OUTCOME_REJECTED) ?? 0;
    assertEquals(after.accepted - before.accepted, BigInt(accepted), "accepted");
    assertEquals(after.rejected - before.rejected, BigInt(rejected), "rejected");
    const reasons = written.outcomes.filter((o) => o & OUTCOME_INVALID).map((o) => o & 0x7f);
    assertEquals(written.reasons, reasons, "dead letters are those of the outcomes");
    for (let reason = 0; reason < before.invalid.length; reason++) {
      const n = counts.get(OUTCOME_INVALID | reason) ?? 0;
      assertEquals(after.invalid[reason]! - before.invalid[reason]!, BigInt(n), Reason[reason]!);
      if (n > 0) {
        assert(reason > 0 && Reason[reason] !== undefined, `reason ${reason}`);
        this.tally.count("outcomes", `dead letter: ${Reason[reason]}`, n);
      }
    }
    const results = written.results.reduce((n, b) => n + b.records, 0);
    const repeated = [OUTCOME_ACCEPTED, OUTCOME_REJECTED].reduce(
      (n, outcome) => n + (counts.get(OUTCOME_DUPLICATE | outcome) ?? 0),
      0,
    );
    this.tally.count("outcomes", "repetitions", repeated);
    assertEquals(results, accepted + rejected + repeated, "one result per valid record");
    for (const { bytes } of [...written.results, ...written.summaries]) assert(isIntact(bytes));
    assert(after.position >= before.position, "the position went back");
    const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
    const records = view.getUint32(57);
    const outcomes = written.outcomes.length;
    if (code === Code.Done && view.getBigInt64(0) >= before.position) {
      assertEquals(outcomes, records, "one outcome per record");
    } else assert(outcomes <= records);
    this.tally.count("outcomes", "accepted", accepted);
    this.tally.count("outcomes", "rejected", rejected);
    this.tally.count("outcomes", "summaries", written.summaries.reduce((n, b) => n + b.records, 0));
  }

  #compareTwin(twin: GuardedCore, batch: Uint8Array, code: Code, written: Written): void {
    twin.expect(batch);
    const other = this.#foldIn(twin, batch);
    assertEquals(other.code, code, "what stands around an area decides the code");
    assertEquals(other.written, written, "what stands around an area decides the outputs");
    assertEquals(Buffer.compare(twin.state(), this.#guarded.state()), 0, "... and the state");
    this.tally.comparedWithTwin++;
  }

  get #cores(): GuardedCore[] {
    return this.#twin ? [this.#guarded, this.#twin] : [this.#guarded];
  }

  between(): void {
    const kind = this.random.below(4);
    const segments = this.random.below(300);
    const published = this.random.oneIn(2);
    const wasCutting = this.#cutting;
    for (const guarded of this.#cores) {
      const { core } = guarded;
      this.#cutting = wasCutting;
      if (kind === 0) {
        core.idle();
        this.#fire(core, { results: [], summaries: [], reasons: [], outcomes: [] });
      } else if (kind === 1 && !wasCutting) {
        this.#cutting = core.cut() === Code.Done;
      } else if (kind === 2 && wasCutting) {
        this.#encode(core, segments, published);
      } else {
        core.lookUp(LOOKUPS);
      }
      guarded.check();
    }
  }

  /** Encodes some segments of the cut; when none is left, it ends. */
  #encode(core: Core, segments: number, published = true): void {
    for (let n = 0; n < segments; n++) {
      if (core.encodeNext() !== null) continue;
      core.endCut(published);
      this.#cutting = false;
      return;
    }
  }

  #fire(core: Core, written: Written): void {
    let code: Code;
    while ((code = core.fire(true)) !== Code.Done) {
      // Windows wait until a cut is encoded.
      if (code === Code.State) this.#encode(core, Infinity);
      collect(core, written, false);
    }
    // Nothing stays open that a refused batch would be blamed for.
    collect(core, written, true);
  }

  end(): void {
    for (const { core } of this.#cores) {
      core.idle();
      this.#fire(core, { results: [], summaries: [], reasons: [], outcomes: [] });
    }
  }
}

/** Takes what is finished out of a core. */
function collect(core: Core, written: Written, seal: boolean): void {
  const output = seal ? core.take() : core.takeFinished();
  written.results.push(...output.results);
  written.summaries.push(...output.summaries);
  written.reasons.push(...output.deadLetters.map((letter) => letter.reason));
  written.outcomes.push(...output.outcomes);
}
