// The world of one run: log, machines, clients, and the checks that hear of everything.

import type { LogSession, ReadOptions } from "../../src/log/mod.ts";
import { StopError } from "../../src/log/mod.ts";
import type { CheckpointEvent, Manifest } from "../../src/state/mod.ts";
import { decodeManifest } from "../../src/state/manifest.ts";
import { EmbeddedArchive, viewOf, type Visible } from "./archive.ts";
import { Auditor, type PositionOf } from "./auditor.ts";
import { Broker } from "./broker.ts";
import type { KafkaPort, MakeKafka, OnTransaction } from "./kafka_port.ts";
import { encodeKey, KvFile, type Mutation } from "./kv_file.ts";
import { type Machine, type Member, TOPICS, topicSizes } from "./member.ts";
import type { PlantedBug } from "./planted_bugs.ts";
import type { SimProcess } from "./process.ts";
import { type Sim, SIMULATED } from "./sim.ts";
import { SimSinks } from "./sinks.ts";
import type { SimLogHooks } from "./sim_log.ts";
import { Workload } from "./workload.ts";

/** Errors that faults lead to; any other one is a violation. */
const EXPECTED_ERRORS = [
  SIMULATED,
  "has another owner",
  "is being taken over by another",
  "given up after",
  "was lost",
  // The workload has such records on purpose.
  "belong to other partitions by transaction.partitioner",
];

/** What a broker refuses for good stops a process; it says what a person is to do. */
function isRefusal({ remedy }: StopError): boolean {
  return ["give the job's user the right", "use Apache Kafka", "stop them, or", "restore the topic"]
    .some((text) => remedy.startsWith(text));
}

/** How a process may end whose input was created anew. */
function saysCreatedAnew({ message }: StopError): boolean {
  return [
    "created anew",
    "has no committed offset for",
    "but its log ends at",
    "holds another batch",
    "has lost records that were read",
  ]
    .some((text) => message.includes(text));
}

export class World {
  readonly machines: Machine[];
  readonly broker: Broker | null;
  /** The real src/kafka on simulated brokers, if the run is on it. */
  readonly kafka: KafkaPort | null;
  /** File of the embedded log, and what became visible in it. */
  readonly logFile: KvFile | null;
  readonly archive: EmbeddedArchive | null;
  readonly auditor: Auditor;
  readonly workload: Workload;
  readonly sinks: SimSinks;
  readonly members: Member[] = [];
  /** The input was created anew, or cut: no process may go on, and nothing of the new one is executed. */
  createdAnew = false;
  /** Programs of the version before were replaced. */
  isUpgraded = false;
  /** Who took a partition over last, by state file and partition. */
  readonly #storeOwners = new Map<string, SimProcess>();
  /** By which epoch a checkpoint is taken, by process, sequence and partition. */
  readonly #epochs = new Map<string, Deno.AtomicCheck>();
  /** Damaged checkpoints by state file, partition and sequence: since when, and by which keys. */
  readonly damaged = new Map<string, { since: number; keys: Set<string> }>();
  /** Partitions of which something was damaged once: the log's start stays their way back. */
  readonly damagedPartitions = new Set<number>();
  /** Partitions whose log was asked to forget its start: their checkpoints are the way back. */
  readonly retainedPartitions = new Set<number>();

  constructor(readonly sim: Sim, readonly bug: PlantedBug | null, makeKafka: MakeKafka | null) {
    const { plan } = sim;
    const shared = new KvFile("state");
    this.machines = Array.from({ length: plan.machines }, (_, i) => ({
      name: `machine ${i}`,
      state: plan.sharedStore ? shared : new KvFile(`state ${i}`),
    }));
    const sizes = topicSizes(plan.partitions, plan.sidePartitions);
    const onTransaction: OnTransaction = (process, positions, visible) =>
      this.#onTransaction(process, positions, visible);
    this.kafka = makeKafka?.(sim, TOPICS.input, sizes, onTransaction) ?? null;
    this.broker = this.kafka?.broker ??
      (plan.log === "broker" ? new Broker(sim, TOPICS.input, sizes) : null);
    this.logFile = this.broker ? null : new KvFile("log");
    this.archive = this.logFile && new EmbeddedArchive(this.logFile, TOPICS.input);
    const input = this.broker ? viewOf(this.broker, this.kafka !== null) : this.archive!;
    const hasGrown = (topic: string) =>
      this.kafka !== null && this.broker!.topic(topic).length > sizes[topic]!;
    this.auditor = new Auditor(sim, input, TOPICS, hasGrown);
    this.sinks = new SimSinks(sim, this.archive, TOPICS.results);
    this.workload = new Workload(sim, (p) => this.auditor.partitions[p]!.offset > 0);
  }

  memberOf(process: SimProcess): Member | undefined {
    return this.members.find((member) => member.process === process);
  }

  get liveMembers(): Member[] {
    return this.members.filter((member) => member.isLive);
  }

  /** Whether the input can be created anew so that it must be noticed; see KafkaPlan.topicIds. */
  get mayCreateAnew(): boolean {
    const { topicIds } = this.sim.plan.kafka;
    if (!this.kafka || this.createdAnew) return false;
    // Without ids there must be a batch to know the log by, and a new session that looks at it.
    if (topicIds === "none" && this.auditor.partitions.some((p) => p.offset === 0)) return false;
    if (topicIds !== "fetch" && this.liveMembers.length > 0) return false;
    return this.auditor.commits > 0;
  }

  /** Whether the input can lose its records so that it must be noticed by whoever claims next. */
  get mayCut(): boolean {
    if (!this.kafka || this.createdAnew) return false;
    return this.auditor.partitions.every((p) => p.offset > 0);
  }

  /** The next partition that has been recovered has its log cut at once. */
  cutsWhenOwned = false;

  onOwned(): void {
    if (!this.cutsWhenOwned || !this.mayCut) return;
    this.cutsWhenOwned = false;
    this.sim.scheduler.after(this.sim.between(0, 3), () => {
      if (!this.sim.healed && this.mayCut) this.cut();
    });
  }

  cut(): void {
    this.sim.count("input cut");
    this.createdAnew = true;
    this.kafka!.cut();
    this.#goOn();
  }

  createAnew(): void {
    this.sim.count("input created anew");
    this.createdAnew = true;
    this.kafka!.createAnew();
    this.#goOn();
  }

  /** Clients write to the input that was created anew, or cut. */
  #goOn(): void {
    // The new log may be as long as what was committed of the one before: its end says nothing then. It may end before
    // what was fetched.
    if (this.sim.chance(this.liveMembers.length > 0 ? 0.5 : 0.3)) return;
    for (const { partition, end } of this.broker!.topic(TOPICS.input)) {
      const further = this.sim.between(0, 4);
      for (let at = end; at <= this.auditor.partitions[partition]!.offset + further; at++) {
        this.broker!.append(partition, this.workload.records(partition, 1), null);
      }
    }
  }

  // ---- questions ----

  /** Looks an item up, if its owner is ready; the answer is checked at the end. */
  lookUp(member: Member, partition: number): void {
    const owner = member.owners.get(partition);
    if (!owner?.isReady) return;
    const committed = this.auditor.partitions[partition]!.offset;
    if (!member.isShared) return this.#read(member, partition, committed)?.();
    const askers = this.liveMembers.filter(({ process, kafka }) => !process.paused && kafka);
    void this.#ask(this.sim.pick([member, ...askers]), member, partition, committed);
  }

  /**
   * A process asks the owner of a partition, as it does where processes share them: the owner reads at some time behind the
   * question, in the generation that the asker is active in; and that is confirmed to the asker by a heartbeat that is sent
   * behind the question.
   */
  async #ask(asker: Member, member: Member, partition: number, committed: number): Promise<void> {
    const { sharing } = asker;
    const { active } = sharing;
    if (!active) return;
    const nonce = sharing.view?.nonce;
    const confirming = asker.confirm();
    await new Promise<void>((resolve) =>
      this.sim.scheduler.after(this.sim.between(0, this.sim.pick([0, 2, 50])), resolve)
    );
    if (!member.isLive || member.process.paused) return;
    const own = member.sharing;
    if (own.active?.generation !== active.generation || own.view?.nonce !== nonce) return;
    if (own.active.claimedBy(partition) === null) return;
    // What was committed before it was asked must be in the answer.
    const check = this.#read(member, partition, committed);
    if (await confirming === active) check?.();
  }

  /**
   * Reads the stock of an item now.
   *
   * @param committed offset that the answer must not be behind
   * @returns checks it as an answer, at the end; null when there is none
   */
  #read(member: Member, partition: number, committed: number): (() => void) | null {
    if (this.createdAnew) return null; // the model knows the topic before
    const owner = member.owners.get(partition);
    if (!owner?.isReady) return null;
    const { position } = owner.processor;
    const itemId = this.workload.itemOf(partition);
    // Not that of the last claim of the process: one that comes late may be of another worker, and over.
    const end = owner.claimed.logEnd;
    // One that stands still before a new item answers as far as it has come.
    const from = member.memory.held.has(partition) ? Math.min(end, position) : end;
    const found = this.auditor.read(owner, partition, itemId, from, this.logEnd(partition));
    return () => {
      // On Kafka the log says whether it is active; elsewhere who was replaced does not know yet.
      if (member.kafka && position < committed) {
        const { name } = member.process;
        this.sim.violate(
          "P5",
          `${name} answers as of ${position}; ${committed} was committed by another`,
        );
      }
      this.auditor.answered(found);
    };
  }

  /** Next offset that the input will give. */
  logEnd(partition: number): number {
    if (this.broker) return this.broker.topic(TOPICS.input)[partition]!.end;
    return this.archive!.endOf(`${TOPICS.input}/${partition}`);
  }

  // ---- the log ----

  readonly logHooks: SimLogHooks = {
    mayClaim: (process) =>
      !this.memberOf(process)!.replaced ||
      !this.sim.healed && this.sim.chance(this.sim.plan.zombieClaims),
    onClaim: (process, claimed) => this.memberOf(process)!.onClaim(claimed),
    onRead: (process, partition, partitions, options) =>
      this.onRead(process, partition, partitions, options),
    onSend: (process, commit) => this.auditor.onSend(process, commit),
    onCommit: (process, claim, { positions, outputs }) => {
      for (const { partition } of positions) {
        if (this.broker!.claims[partition] === claim) continue;
        this.sim.violate("P5", `${process.name} committed partition ${partition} of another`);
      }
      const visible = new Map<string, Uint8Array[]>();
      for (const { topic, partition, batches } of outputs) {
        const name = `${topic}/${partition}`;
        visible.set(name, [...visible.get(name) ?? [], ...batches]);
      }
      this.#onCommit(process, positions, visible);
    },
  };

  /** P7: who asks for more records has room for their outputs. */
  onRead(
    process: SimProcess,
    partition: number,
    partitions: LogSession["partitions"],
    { signal }: ReadOptions,
  ): void {
    if (!process.alive || signal?.aborted) return;
    const { owners } = this.memberOf(process)!;
    // Another worker of the process may still have one that the session has claimed, and recovers.
    const own = partitions.filter((claimed) => owners.get(claimed.partition)?.claimed === claimed);
    if (!own.some((claimed) => claimed.partition === partition)) return; // what is folded again puts nothing out
    const pending = own.reduce((n, p) => n + owners.get(p.partition)!.processor.pendingBytes, 0);
    if (pending < this.sim.plan.pendingLimits.maxBytes) return;
    this.sim.violate("P7", `${process.name} reads on while ${pending} bytes wait for a commit`);
  }

  #onTransaction(process: SimProcess, positions: readonly PositionOf[], visible: Visible): void {
    // A new group's first commit sets the positions where everything begins.
    const begins = positions.every((p) => p.offset === 0 && p.parametersHash === "");
    if (begins && visible.size === 0) return;
    this.#onCommit(process, positions, visible);
  }

  #onCommit(process: SimProcess, positions: readonly PositionOf[], visible: Visible): void {
    const expected = this.auditor.onCommit(process, positions);
    this.auditor.expectations.compare(expected, visible);
  }

  // ---- KV files ----

  onKvCommit(file: KvFile, process: SimProcess, mutations: readonly Mutation[]): void {
    if (file === this.logFile) {
      const { positions, visible } = this.archive!.take(mutations);
      return this.#onTransaction(process, positions, visible);
    }
    for (const { key, value } of mutations) {
      if (this.damaged.size > 0 && value !== undefined) this.#heal(file, encodeKey(key));
      const [kind, , partition] = key as [string, string, number];
      const place = `${file.name}/${partition}`;
      if (kind === "epoch") this.#storeOwners.set(place, process);
      if (kind === "mark" && this.memberOf(process)?.hasReleased(partition)) {
        this.sim.count("checkpoint written behind its claim");
      }
      if (kind !== "manifest" || value === undefined) continue;
      if (this.#storeOwners.get(place) !== process) {
        this.sim.violate("P5", `${process.name} published a checkpoint of ${place} of another`);
      }
      this.#checkPublished(partition, decodeManifest(value as Uint8Array));
    }
  }

  /** A part of a checkpoint is written again: chunks are named by what they hold. */
  #heal(file: KvFile, key: string): void {
    for (const [name, { keys }] of this.damaged) {
      if (name.startsWith(`${file.name}/`) && keys.delete(key) && keys.size === 0) {
        this.damaged.delete(name);
      }
    }
  }

  /** A checkpoint is published only when its offset and watermark are committed. */
  #checkPublished(partition: number, { sequence, scalars }: Manifest): void {
    const { offset, watermark } = this.auditor.partitions[partition]!;
    if (Number(scalars.position) <= offset && scalars.watermark <= watermark) return;
    this.sim.violate(
      "P5",
      `checkpoint ${sequence} of partition ${partition} at ${scalars.position}/${scalars.watermark} ` +
        `was published; committed is ${offset}/${watermark}`,
    );
  }

  /** Someone else takes a partition over in the store, as a process that nobody knows of would. */
  takeOver(file: KvFile, partition: number, key: Deno.KvKey): void {
    const value = (file.get(key)?.value as number | undefined ?? 0) + 1;
    file.commit([], [{ key, value }]);
    this.#storeOwners.delete(`${file.name}/${partition}`);
  }

  // ---- checkpoints ----

  onCheckpointEvent(member: Member, event: CheckpointEvent): void {
    const { kind, partition, sequence, offset, reason } = event;
    this.sim.trace(
      member.process.name,
      () => `checkpoint ${sequence} of ${partition}@${offset} ${kind} ${reason ?? ""}`,
    );
    const name = `${member.process.name}/${sequence}/${partition}`;
    const owner = member.owners.get(partition);
    if (kind === "triggered" && owner) this.#epochs.set(name, owner.checkpointer.chain.epoch.check);
    if (kind === "failed" && reason?.includes("has another owner")) {
      this.#checkFenced(member, this.#epochs.get(name));
    }
    if (kind !== "restored" || sequence === 0) return;
    const damage = this.damaged.get(`${member.machine.state.name}/${partition}/${sequence}`);
    if (damage && damage.since < member.claimedAt.get(partition)!) {
      this.sim.violate("P4", `checkpoint ${sequence} of partition ${partition} is damaged`);
    }
  }

  /** What happened is not to be taken for refused: who is, has another epoch than the store has. */
  #checkFenced({ process, machine: { state } }: Member, epoch: Deno.AtomicCheck | undefined): void {
    if (!epoch || state.get(epoch.key)?.versionstamp !== epoch.versionstamp) return;
    this.sim.violate(
      "liveness",
      `${process.name} takes what is its own for another's: ${epoch.key}`,
    );
  }

  // ---- what ends a process, or is logged ----

  onFailure(member: Member, error: Error): void {
    const { name } = member.process;
    this.sim.trace(name, () => `fails: ${error.stack}`);
    // Of a log that has lost records it is said what it lost, and not how often it was read.
    const gaveUp = error instanceof StopError && error.message.includes("without progress") &&
      !(this.createdAnew && error.message.includes("is outside"));
    if (gaveUp || error.message.includes(SIMULATED)) return;
    if (error instanceof StopError && isRefusal(error)) return;
    if (this.createdAnew && error instanceof StopError && saysCreatedAnew(error)) return;
    this.sim.violate("liveness", `${name} stopped: ${error.message}`);
  }

  /** An error in the engine's own log. */
  onErrorLogged(message: string): void {
    const damage = this.damagedPartitions.size > 0 &&
      /is damaged|DamagedCheckpointError/.test(message);
    // The log may forget records while someone folds them again.
    const forgotten = this.sim.faults.has("retention") && message.includes("OffsetOutOfRangeError");
    // Who reads behind the end of a log that was cut reports that, claims anew, and stops then.
    const cut = this.createdAnew && message.includes("is outside");
    if (damage || forgotten || cut || EXPECTED_ERRORS.some((text) => message.includes(text))) {
      return;
    }
    this.sim.violate("liveness", `An error that no fault explains: ${message}`);
  }
}
