// The broker as one process reaches it, through the port of src/log: every call takes time, may be
// lost on its way there or back, and may arrive after its sender has died.

import {
  type ClaimedPartition,
  type Commit,
  type CommitOutcome,
  type LogSession,
  PlainLog,
  PlainSession,
  type ReadAnswer,
  type ReadOptions,
} from "../../src/log/mod.ts";
import { batchInfo } from "../../src/types/mod.ts";
import type { Broker, Claim } from "./broker.ts";
import type { SimProcess } from "./process.ts";
import { SIMULATED } from "./sim.ts";

/** After so long a commit without an answer is given up. */
const COMMIT_TIMEOUT_MS = 1500;

/** What else is traced of the log's calls. */
export interface SimLogHooks {
  /** Whether the group lets a process claim partitions now. */
  mayClaim(process: SimProcess, partitions: readonly number[]): boolean;
  onClaim(process: SimProcess, claimed: readonly ClaimedPartition[]): void;
  /** More is asked for. */
  onRead(
    process: SimProcess,
    partition: number,
    partitions: LogSession["partitions"],
    options: ReadOptions,
  ): void;
  /** A commit is sent. */
  onSend(process: SimProcess, commit: Commit): void;
  /** A commit takes effect. */
  onCommit(process: SimProcess, claim: Claim, commit: Commit): void;
  /** A planted bug: commits are not fenced. */
  readonly unfenced?: boolean;
  /** A planted bug: readers see records of aborted transactions. */
  readonly readsAborted?: boolean;
  /** A planted bug: what takes effect of a commit; null = nothing, and it is answered all the same. */
  readonly change?: (commit: Commit) => Commit | null;
}

export class SimLog extends PlainLog {
  constructor(
    readonly broker: Broker,
    readonly process: SimProcess,
    readonly hooks: SimLogHooks,
  ) {
    super();
  }

  override get id(): string {
    return this.broker.id;
  }

  partitionsOf(topic: string): number {
    return this.broker.topic(topic).length;
  }

  async claim(input: string, partitions?: readonly number[]): Promise<LogSession> {
    const { broker, process, hooks } = this;
    const { sim } = process;
    const wanted = partitions ?? broker.topic(input).map((_, p) => p);
    // Who is not a member of the group any more waits to be let in again.
    while (!hooks.mayClaim(process, wanted)) await process.clock.sleep(500);
    const fails = sim.happens("claim fails");
    return await process.call(() => {
      if (fails) throw new Error(`Coordinator not available ${SIMULATED}`);
      const session = new SimSession(this, input, broker.claim(process.name, []));
      session.take(wanted);
      return session;
    }, { latencyMs: sim.between(1, 20), answerMs: sim.between(0, 5), sent: true });
  }
}

class SimSession extends PlainSession {
  override partitions: LogSession["partitions"] = [];

  constructor(readonly log: SimLog, readonly input: string, readonly claim: Claim) {
    super();
  }

  /** Partitions are of this session from now on. */
  take(partitions: readonly number[]): readonly ClaimedPartition[] {
    const { broker, process, hooks } = this.log;
    broker.extend(this.claim, partitions);
    const taken = partitions.map((partition) => ({
      partition,
      committed: broker.committed[partition]!,
      logStart: broker.topic(this.input)[partition]!.start,
      logEnd: broker.topic(this.input)[partition]!.stableEnd,
    }));
    this.partitions = [...this.partitions, ...taken];
    const what = () => taken.map((p) => `${p.partition}@${p.committed.offset}`).join(" ");
    process.sim.trace(process.name, () => `claim ${this.claim.id}: ${what()}`);
    hooks.onClaim(process, taken);
    return taken;
  }

  async add(partitions: readonly number[]): Promise<readonly ClaimedPartition[]> {
    const { process, hooks } = this.log;
    const { sim } = process;
    while (!hooks.mayClaim(process, partitions)) await process.clock.sleep(500);
    const fails = sim.happens("claim fails");
    return await process.call(() => {
      if (fails) throw new Error(`Coordinator not available ${SIMULATED}`);
      return this.take(partitions);
    }, { latencyMs: sim.between(1, 20), answerMs: sim.between(0, 5), sent: true });
  }

  remove(partitions: readonly number[]): void {
    this.partitions = this.partitions.filter((p) => !partitions.includes(p.partition));
  }

  async read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer> {
    const { process, hooks } = this.log;
    const { clock } = process;
    hooks.onRead(process, partition, this.partitions, options);
    const first = await this.#fetch(partition, offset, options);
    if (first.batches.length > 0 || options.waitMs === 0 || options.signal?.aborted) return first;
    const more = new AbortController();
    const stop = () => more.abort("over"); // without a reason an error with a stack is made
    options.signal?.addEventListener("abort", stop);
    this.log.broker.topic(this.input)[partition]!.waitForMore(stop);
    await clock.sleep(options.waitMs, more.signal);
    options.signal?.removeEventListener("abort", stop);
    return await this.#fetch(partition, offset, options);
  }

  #fetch(partition: number, offset: number, { maxBytes }: ReadOptions): Promise<ReadAnswer> {
    const { broker, process } = this.log;
    const { sim } = process;
    const fails = sim.happens("fetch fails");
    const slow = sim.happens("fetch slow");
    return process.call(() => {
      if (fails) throw new Error(`Connection reset ${SIMULATED}`);
      const tp = broker.topic(this.input)[partition]!;
      tp.assertHeld(offset);
      const visible = tp.visibleFrom(offset, this.log.hooks.readsAborted);
      // Markers and aborted batches at the end are not given to anyone: nothing lies behind the offset.
      const nothing = visible.length === 0 && tp.stableEnd === tp.end;
      const endOffset = nothing ? offset : tp.end;
      if (sim.happens("fetch empty")) return { batches: [], endOffset: tp.end };
      let bytes = 0;
      const cut = sim.happens("fetch cut") ? 1 + sim.random.below(visible.length + 1) : Infinity;
      const batches = visible.filter((batch, i) => {
        if (i >= cut || (i > 0 && bytes >= maxBytes)) return false;
        bytes += batch.length;
        return true;
      });
      sim.trace(process.name, () => {
        const from = batches[0] ? batchInfo(batches[0]).baseOffset : offset;
        const to = batches.length > 0 ? batchInfo(batches.at(-1)!).lastOffset : offset - 1;
        return `fetch ${partition}@${offset}: ${batches.length} batches ${from}..${to}`;
      });
      return { batches, endOffset };
    }, { latencyMs: slow ? sim.between(100, 2000) : sim.between(0.1, 2) });
  }

  async commit(commit: Commit): Promise<CommitOutcome> {
    const { process, hooks } = this.log;
    const { sim } = process;
    hooks.onSend(process, commit);
    const lost = sim.happens("commit lost, not done");
    const lostAnswer = !lost && sim.happens("commit lost, done");
    const afterAnswer = !lost && !lostAnswer && sim.happens("commit done after its answer");
    const late = sim.happens("commit answered late");
    const fails = sim.happens("commit fails");
    const effect = () => this.#apply(commit);
    if (lost || afterAnswer) {
      const takes = COMMIT_TIMEOUT_MS * sim.between(0.5, 2);
      if (afterAnswer) void process.call(effect, { latencyMs: takes, sent: true });
      await process.clock.sleep(COMMIT_TIMEOUT_MS);
      if (fails) throw new Error(`Connection reset ${SIMULATED}`);
      return "lost";
    }
    const outcome = await process.call(effect, {
      latencyMs: sim.between(1, 15),
      answerMs: late ? sim.between(200, COMMIT_TIMEOUT_MS) : sim.between(0.1, 5),
      sent: sim.chance(0.5),
    });
    if (fails) throw new Error(`Connection reset ${SIMULATED}`);
    if (!lostAnswer) return outcome;
    await process.clock.sleep(COMMIT_TIMEOUT_MS);
    return "lost";
  }

  /** All or nothing, if no later claim fenced this one off. */
  #apply(sent: Commit): CommitOutcome {
    const { broker, process, hooks } = this.log;
    const { claim } = this;
    const described = () =>
      sent.positions.map((p) => `${p.partition}@${p.offset}/${p.watermark}`).join(" ");
    const fenced = sent.positions.some(({ partition }) => broker.claims[partition] !== claim);
    if (fenced && !hooks.unfenced) {
      process.sim.trace(process.name, () => `commit of claim ${claim.id} fenced: ${described()}`);
      return "lost";
    }
    const commit = hooks.change ? hooks.change(sent) : sent;
    if (!commit) return "committed";
    for (const { topic, partition, batches } of commit.outputs) {
      for (const batch of batches) broker.topic(topic)[partition]!.append(batch.slice());
    }
    for (const { partition, ...position } of commit.positions) {
      broker.committed[partition] = position;
    }
    process.sim.trace(process.name, () => `commit of claim ${claim.id}: ${described()}`);
    hooks.onCommit(process, claim, commit);
    return "committed";
  }
}
