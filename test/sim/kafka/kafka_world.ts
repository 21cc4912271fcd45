// A world on Kafka: the real src/kafka of every process before simulated brokers.

import type { CommittedPosition } from "../../../src/log/mod.ts";
import type { Answer } from "../../../src/kafka/active_watch.ts";
import type { ConnectionOptions } from "../../../src/kafka/client/kafka_client.ts";
import { decompressBatch } from "../../../src/kafka/codecs.ts";
import { decodeMetadata } from "../../../src/kafka/committed_metadata.ts";
import { KafkaLog } from "../../../src/kafka/kafka_log.ts";
import type { TopicsView } from "../../../src/kafka/topics_view.ts";
import { encodeUtf8 } from "../../../src/types/mod.ts";
import type { KafkaClusterFault } from "../plan.ts";
import type { SimProcess } from "../process.ts";
import type { Sim } from "../sim.ts";
import {
  type KafkaMachine,
  type KafkaPort,
  type OnTransaction,
  type OpenedLog,
  QUERIES,
} from "../kafka_port.ts";
import { TOPICS } from "../member.ts";
import { Brokers } from "./brokers.ts";
import { SimCluster } from "./sim_cluster.ts";
import type { CommittedTransaction } from "./transactions.ts";

const GROUP = "group";
const BATCH_BYTES_MAX = 1024 * 1024;
/** See FetcherOptions. */
const PACE_MS = 10;

export class KafkaWorld implements KafkaPort {
  acceptsOffset = false;
  readonly #brokers: Brokers;
  /** Member ids by machine: a restart is known to the group at once. */
  readonly #memberIds = new Map<string, string>();
  /** Processes by address. */
  readonly #processes = new Map<string, SimProcess[]>();

  constructor(
    readonly sim: Sim,
    readonly input: string,
    topics: Readonly<Record<string, number>>,
    readonly onTransaction: OnTransaction,
  ) {
    this.#brokers = new Brokers(
      sim,
      { ...topics, [QUERIES]: 1 },
      input,
      (process, committed) => this.#onCommit(process, committed),
    );
  }

  get broker() {
    return this.#brokers.storage;
  }

  befall(kind: KafkaClusterFault): void {
    this.#brokers.befall(kind);
  }

  createAnew(): void {
    this.#brokers.createAnew(this.input);
  }

  createQueriesAnew(): void {
    this.#brokers.createAnew(QUERIES);
    this.#brokers.group.forgetOffsets(QUERIES);
  }

  cut(): void {
    this.#brokers.cut(this.input, this.sim.chance(0.4));
  }

  open(process: SimProcess, machine: KafkaMachine): OpenedLog {
    const { kafka } = this.sim.plan;
    const connection: ConnectionOptions = {
      brokers: ["simulated"],
      clientId: "stockflow",
      createCluster: () => new SimCluster(this.#brokers, process),
    };
    const topics = this.#brokers.topics;
    const address = machine.name.replaceAll(" ", "-");
    this.#processes.set(address, [...this.#processes.get(address) ?? [], process]);
    const log = new KafkaLog({
      facts: {
        connection,
        groupId: GROUP,
        transactionTimeoutMs: kafka.transactionTimeoutMs,
        topics: Object.keys(topics),
        compression: kafka.compression,
        inputBatchBytesMax: BATCH_BYTES_MAX,
        paceMs: PACE_MS,
        queryPaceMs: PACE_MS,
      },
      clusterId: "simulated",
      topics: {
        transactions: this.input,
        queries: QUERIES,
        results: TOPICS.results,
        queryResults: null,
        summaries: TOPICS.summaries,
        deadLetters: TOPICS.deadLetters,
      },
      view: this.#view(),
      sessionTimeoutMs: kafka.sessionTimeoutMs,
      discoveryMs: kafka.discoveryMs,
      shared: {},
      conditions: { set: () => {}, clear: () => {} },
      memberIds: {
        load: () => Promise.resolve(this.#memberIds.get(machine.name) ?? ""),
        save: (id) => {
          if (process.alive) this.#memberIds.set(machine.name, id);
          return Promise.resolve();
        },
      },
      life: { id: lifeOf(process), address },
      ask: (address) => this.#ask(process, address),
      clock: process.clock,
      retries: 5,
      acceptOffset: this.acceptsOffset,
      batchBytesMax: BATCH_BYTES_MAX,
      partitioner: null,
      user: machine.user,
      shares: kafka.shared ? { workers: machine.workers, chance: process.chance } : null,
    });
    return log;
  }

  /** The topics as KafkaLogOpener finds them when a process starts. */
  #view(): TopicsView {
    const names = Object.keys(this.#brokers.topics);
    const facts = names.map((name) => {
      const { id, partitions } = this.#brokers.describe(name, true); // without them it would not start
      return [name, { id, partitions, offline: [] }];
    });
    const limits = Object.fromEntries(this.#brokers.limits);
    return { topics: Object.fromEntries(facts), limits };
  }

  /** What a process is answered when it asks who answers at an address. */
  #ask(asking: SimProcess, address: string): Promise<Answer> {
    const { sim } = this;
    const silent = sim.happens("address silent");
    // Counted when it comes to an eviction.
    const falsely = !sim.healed && sim.chance(sim.plan.rates["false eviction"] ?? 0);
    const answer = () => {
      const process = this.#processes.get(address)?.findLast((p) => p.alive);
      if (silent || process?.paused) return "unclear";
      return !process || falsely ? "refused" : { life: lifeOf(process) };
    };
    return asking.call(answer, { latencyMs: sim.between(0.05, 2), answerMs: sim.between(0.05, 2) });
  }

  #onCommit(process: SimProcess, { offsets, batches }: CommittedTransaction): void {
    const positions: ({ readonly partition: number } & CommittedPosition)[] = [];
    for (const [name, { partition, offset, metadata }] of offsets) {
      if (name !== `${this.input}/${partition}`) continue;
      const entry = decodeMetadata(offset, metadata);
      if (entry) positions.push({ partition, ...entry.position });
      else this.sim.violate("P1", `The metadata of ${name} cannot be read: ${metadata}`);
    }
    const visible = new Map<string, Uint8Array[]>();
    for (const { topic, partition, bytes } of batches) {
      const name = `${topic}/${partition}`;
      visible.set(name, [...visible.get(name) ?? [], decompressBatch(bytes, BATCH_BYTES_MAX)]);
    }
    this.onTransaction(process, positions, visible);
  }
}

/** A UUID, whose digits say the name. */
function lifeOf({ name }: SimProcess): string {
  const hex = encodeUtf8(name).toHex().padStart(32, "0").slice(-32);
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
