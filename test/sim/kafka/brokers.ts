// Simulated brokers of one Kafka cluster: where partitions and coordinators live, what fails there.

import { ErrorCode } from "../../../src/kafka/client/errors.ts";
import type { ConfigEntry } from "../../../src/kafka/client/internals.ts";
import { NO_LIMITS, type OutputLimits } from "../../../src/kafka/output_limits.ts";
import { partitionNumbers } from "../../../src/kafka/partition_numbers.ts";
import { topicIdText, type TopicMetadata } from "../../../src/kafka/protocol/metadata.ts";
import type { CoordinatorKind } from "../../../src/kafka/client/kafka_client.ts";
import { Broker, type BrokerPartition } from "../broker.ts";
import type { KafkaClusterFault } from "../plan.ts";
import { TOPICS } from "../member.ts";
import type { SimProcess } from "../process.ts";
import type { Sim } from "../sim.ts";
import { connectionError } from "./client_errors.ts";
import { Group } from "./group.ts";
import { type CommittedTransaction, Transactions } from "./transactions.ts";

/** One broker, as clients reach it. */
export interface Node {
  readonly id: number;
  isUp: boolean;
  /** Each fails a request under way. */
  readonly pending: Set<(error: Error) => void>;
}

interface Seat {
  node: Node;
  /** Until then nobody answers for it, in virtual ms. */
  readyAt: number;
  /** How often someone was given the seat. */
  epoch: number;
}

/** A log seems to end early after its leader has moved: it shows what its followers have. */
interface Lag {
  readonly until: number;
  readonly end: number;
}

export class Brokers {
  readonly nodes: Node[];
  readonly storage: Broker;
  readonly group: Group;
  readonly transactions: Transactions;
  readonly #coordinators: Record<CoordinatorKind, Seat>;
  readonly #leaders = new Map<BrokerPartition, Seat>();
  readonly #lags = new Map<BrokerPartition, Lag>();
  /** What output topics take. */
  readonly limits = new Map<string, OutputLimits>();
  /** Ids of topics; a topic that is created anew has another. */
  readonly #ids = new Map<string, string>();
  /** Topics that were deleted and are not there again. */
  readonly #gone = new Set<string>();

  constructor(
    readonly sim: Sim,
    readonly topics: Readonly<Record<string, number>>,
    input: string,
    onCommit: (process: SimProcess, committed: CommittedTransaction) => void,
  ) {
    this.nodes = Array.from(
      { length: sim.plan.kafka.brokers },
      (_, id) => ({ id, isUp: true, pending: new Set() }),
    );
    this.storage = new Broker(sim, input, topics);
    this.group = new Group(sim);
    this.transactions = new Transactions(
      sim,
      this.storage,
      this.group,
      onCommit,
      (topic) => this.limits.get(topic) ?? NO_LIMITS,
      (name) => this.#isLed(name),
    );
    const seat = () => ({ node: sim.pick(this.nodes), readyAt: 0, epoch: 0 });
    this.#coordinators = { group: seat(), transaction: seat() };
    for (const tp of this.#partitions) this.#leaders.set(tp, seat());
    for (const topic of Object.keys(topics)) this.#ids.set(topic, this.#newId());
  }

  #newId(): string {
    return topicIdText(Uint8Array.from({ length: 16 }, () => this.sim.random.below(256)));
  }

  idOf(topic: string): string {
    return this.#ids.get(topic)!;
  }

  /** The topic of an id; null when there is none any more. */
  nameOf(id: string): string | null {
    return [...this.#ids].find(([, known]) => known === id)?.[0] ?? null;
  }

  isThere(topic: string): boolean {
    return !this.#gone.has(topic);
  }

  /** Settings of a topic, as DescribeConfigs gives them. */
  settingsOf(topic: string): ConfigEntry[] {
    const { batchBytes, beforeMs, afterMs, needsKey } = this.limits.get(topic) ?? NO_LIMITS;
    const number = (n: number) => n === Infinity ? "9223372036854775807" : String(n);
    return [
      ["max.message.bytes", batchBytes === Infinity ? "1048588" : String(batchBytes)],
      ["message.timestamp.before.max.ms", number(beforeMs)],
      ["message.timestamp.after.max.ms", number(afterMs)],
      ["cleanup.policy", needsKey ? "compact" : "delete"],
    ].map(([configName, configValue]) => ({ configName: configName!, configValue: configValue! }));
  }

  /** Deletes a topic, and creates it anew after a moment; its offsets in the group may go. */
  createAnew(topic: string): void {
    const { sim } = this;
    this.cut(topic);
    for (const tp of this.storage.topic(topic)) this.#leaders.get(tp)!.epoch = 0;
    this.#ids.set(topic, this.#newId());
    this.#gone.add(topic);
    sim.scheduler.after(sim.between(0, 2000), () => this.#gone.delete(topic));
    // A transaction that is under way may bring them back.
    if (sim.chance(0.3)) this.group.forgetOffsets(topic);
  }

  /**
   * Its partitions lose their records: brokers lead them, at once or after a while, that lacked what others had
   * acknowledged.
   *
   * @param quietly no connection breaks, and nobody hears that a leader is missing
   */
  cut(topic: string, quietly = false): void {
    const { sim } = this;
    if (!quietly) {
      for (const node of this.nodes) {
        this.#breakConnections(node, "Connection reset");
      }
    }
    const before = this.storage.topic(topic).map((tp) => this.#leaders.get(tp)!);
    for (const tp of this.storage.topic(topic)) this.#leaders.delete(tp);
    for (const tp of this.storage.createAnew(topic)) {
      this.#leaders.set(tp, {
        node: quietly ? before[tp.partition]!.node : sim.pick(this.nodes),
        readyAt: quietly ? sim.now : sim.now + sim.between(0, 3000),
        epoch: before[tp.partition]!.epoch + 1,
      });
    }
  }

  /** What a metadata request gives of a topic. */
  describe(topic: string, isThere = this.isThere(topic)): TopicMetadata {
    const isKnown = this.#ids.has(topic) && isThere;
    const id = isKnown && this.sim.plan.kafka.topicIds !== "none" ? this.idOf(topic) : null;
    const errorCode = isKnown ? 0 : ErrorCode.UnknownTopicOrPartition;
    const partitions = isKnown ? this.storage.topic(topic).length : 0;
    const numbers = partitionNumbers(partitions);
    const offline = numbers.filter((p) => this.leader(topic, p) === null);
    const leaderEpochs = numbers.map((p) => this.leaderEpoch(topic, p));
    return { topic, errorCode, id, partitions, offline, leaderEpochs };
  }

  get #partitions(): BrokerPartition[] {
    return Object.keys(this.topics).flatMap((topic) => this.storage.topic(topic));
  }

  // ---- who does what ----

  #ready({ node, readyAt }: Seat): Node | null {
    return node.isUp && this.sim.now >= readyAt ? node : null;
  }

  /** The leader of a partition; null while there is none. */
  leader(topic: string, partition: number): Node | null {
    if (!this.isThere(topic)) return null;
    return this.#ready(this.#leaders.get(this.storage.topic(topic)[partition]!)!);
  }

  leaderEpoch(topic: string, partition: number): number {
    return this.#leaders.get(this.storage.topic(topic)[partition]!)!.epoch;
  }

  #isLed(name: string): boolean {
    const [topic, partition] = name.split("/") as [string, string];
    return this.leader(topic, Number(partition)) !== null;
  }

  /** Where a coordinator lives, ready or not. */
  coordinatorNode(kind: CoordinatorKind): Node {
    return this.#coordinators[kind].node;
  }

  isCoordinator(kind: CoordinatorKind, node: Node): boolean {
    return this.#coordinators[kind].node === node;
  }

  isLoaded(kind: CoordinatorKind): boolean {
    return this.#ready(this.#coordinators[kind]) !== null;
  }

  get someUp(): Node | null {
    const up = this.nodes.filter((node) => node.isUp);
    return up.length === 0 ? null : this.sim.pick(up);
  }

  /** The last stable offset, as the leader knows it at the moment. */
  stableEnd(tp: BrokerPartition): number {
    const lag = this.#lags.get(tp);
    const { stableEnd } = tp;
    return lag && this.sim.now < lag.until ? Math.min(lag.end, stableEnd) : stableEnd;
  }

  // ---- what befalls it ----

  befall(kind: KafkaClusterFault): void {
    const { sim } = this;
    switch (kind) {
      case "coordinator moves":
        return this.#moveCoordinator(sim.pick(["group", "transaction"] as const));
      case "leaders move":
        for (const tp of this.#partitions) if (sim.chance(0.5)) this.#moveLeader(tp);
        return;
      case "connections break":
        return this.#breakConnections(sim.pick(this.nodes), "Connection reset");
      case "output limits change":
        return this.#changeLimits(sim.pick([TOPICS.results, TOPICS.summaries, TOPICS.deadLetters]));
      case "output grows":
        return this.#grow(sim.pick([TOPICS.summaries, TOPICS.deadLetters]));
      case "log end reported early":
        return this.#hideEnd(sim.pick(this.storage.topic(TOPICS.input)));
      case "partition offline":
        return this.#takeOffline(sim.pick(this.#partitions));
      case "broker restarts":
        return this.#restart(sim.pick(this.nodes));
    }
  }

  #moveCoordinator(kind: CoordinatorKind): void {
    this.#move(this.#coordinators[kind]);
    if (kind === "group") this.group.failOver();
  }

  #changeLimits(topic: string): void {
    const { sim } = this;
    // A clock that is wrong by more than a limit has no timestamp that fits.
    const any = (sim.plan.rates["clock jump"] ?? 0) > 0;
    this.limits.set(topic, {
      batchBytes: sim.pick([Infinity, 4300, 6000]),
      beforeMs: any ? Infinity : sim.pick([Infinity, 2000, 60_000]),
      afterMs: any ? Infinity : sim.pick([Infinity, 2000, 60_000]),
      needsKey: topic === TOPICS.deadLetters && sim.chance(0.5),
    });
  }

  #takeOffline(tp: BrokerPartition): void {
    const { sim } = this;
    const ms = sim.between(500, 8000);
    const seat = this.#leaders.get(tp)!;
    seat.readyAt = sim.now + ms;
    seat.epoch++;
    sim.trace("broker", () => `partition ${tp.partition} has no leader for ${ms.toFixed(0)} ms`);
  }

  #grow(topic: string): void {
    if (this.storage.topic(topic).length > 2 * this.topics[topic]!) return;
    const added = this.storage.grow(topic);
    this.#leaders.set(added, { node: this.sim.pick(this.nodes), readyAt: 0, epoch: 0 });
  }

  #move(seat: Seat): void {
    const others = this.nodes.filter((node) => node.isUp && node !== seat.node);
    if (others.length > 0) seat.node = this.sim.pick(others);
    seat.readyAt = this.sim.now + this.sim.between(0, 800);
    seat.epoch++;
  }

  #moveLeader(tp: BrokerPartition): void {
    this.#move(this.#leaders.get(tp)!);
  }

  /**
   * The leader before is gone, and with it the connections to it; the next one does not show the last entries before its
   * followers have them.
   */
  #hideEnd(tp: BrokerPartition): void {
    const { sim } = this;
    this.#breakConnections(this.#leaders.get(tp)!.node, "The leader is gone");
    this.#moveLeader(tp);
    const committed = this.group.offsets.get(`${tp.topic}/${tp.partition}`)?.offset ?? tp.end;
    const read = tp.entries.filter(({ base }) => base < committed).slice(-10);
    const end = Math.max(tp.start, read.length === 0 ? 0 : sim.pick(read).base);
    const ms = sim.chance(0.5) ? sim.between(1500, 15_000) : sim.between(100, 1500);
    this.#lags.set(tp, { until: sim.now + ms, end });
    sim.trace("broker", () => `partition ${tp.partition} is shown up to ${end} alone for ${ms} ms`);
  }

  #breakConnections(node: Node, reason: string): void {
    this.sim.trace("broker", () => `${node.id}: ${reason}, ${node.pending.size} requests fail`);
    for (const fail of [...node.pending]) fail(connectionError(reason));
    node.pending.clear();
  }

  #restart(node: Node): void {
    if (!node.isUp) return;
    node.isUp = false;
    this.#breakConnections(node, "The broker stops");
    for (const seat of Object.values(this.#coordinators)) if (seat.node === node) this.#move(seat);
    for (const [tp, seat] of this.#leaders) if (seat.node === node) this.#moveLeader(tp);
    this.sim.scheduler.after(this.sim.between(50, 4000), () => {
      node.isUp = true;
      this.sim.trace("broker", `${node.id} is up again`);
    });
  }
}
