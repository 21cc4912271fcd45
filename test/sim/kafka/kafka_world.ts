// A world on Kafka: the real src/kafka of every process before simulated brokers.

import type { CommittedPosition } from "../../../src/log/mod.ts";
import type { ConnectionOptions } from "../../../src/kafka/client/kafka_client.ts";
import { decompressBatch } from "../../../src/kafka/codecs.ts";
import { decodeMetadata } from "../../../src/kafka/committed_metadata.ts";
import { KafkaLog } from "../../../src/kafka/kafka_log.ts";
import type { KafkaClusterFault } from "../plan.ts";
import type { SimProcess } from "../process.ts";
import type { Sim } from "../sim.ts";
import type { KafkaMachine, KafkaPort, OnTransaction, OpenedLog } from "../kafka_port.ts";
import { Brokers } from "./brokers.ts";
import { SimCluster } from "./sim_cluster.ts";
import type { CommittedTransaction } from "./transactions.ts";

const GROUP = "group";
const QUERIES = "queries";
const BATCH_BYTES_MAX = 1024 * 1024;

export class KafkaWorld implements KafkaPort {
  readonly #brokers: Brokers;
  /** Member ids by machine: a restart is known to the group at once. */
  readonly #memberIds = new Map<string, string>();

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

  open(process: SimProcess, machine: KafkaMachine): OpenedLog {
    const { kafka } = this.sim.plan;
    const connection: ConnectionOptions = {
      brokers: ["simulated"],
      clientId: "stockflow",
      createCluster: () => new SimCluster(this.#brokers, process),
    };
    const topics = this.#brokers.topics;
    const log = new KafkaLog({
      facts: {
        connection,
        groupId: GROUP,
        transactionTimeoutMs: kafka.transactionTimeoutMs,
        topics: Object.keys(topics),
        compression: kafka.compression,
        inputBatchBytesMax: BATCH_BYTES_MAX,
      },
      clusterId: "simulated",
      transactions: this.input,
      queries: QUERIES,
      partitions: new Map(Object.entries(topics)),
      sessionTimeoutMs: kafka.sessionTimeoutMs,
      discoveryMs: 0,
      memberIds: {
        load: () => Promise.resolve(this.#memberIds.get(machine.name) ?? ""),
        save: (id) => {
          if (process.alive) this.#memberIds.set(machine.name, id);
          return Promise.resolve();
        },
      },
      clock: process.clock,
      retries: 5,
      acceptOffset: false,
      user: machine.user,
    });
    return log;
  }

  #onCommit(process: SimProcess, { offsets, batches }: CommittedTransaction): void {
    const positions: ({ readonly partition: number } & CommittedPosition)[] = [];
    for (const [name, { partition, offset, metadata }] of offsets) {
      if (name !== `${this.input}/${partition}`) continue;
      const position = decodeMetadata(offset, metadata);
      if (position) positions.push({ partition, ...position });
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
