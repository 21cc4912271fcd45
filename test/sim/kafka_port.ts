// What the simulator needs of Kafka. The one who implements it imports kafkajs, so it is given to a run.

import type { Log, Sharing } from "../../src/log/mod.ts";
import type { Visible } from "./archive.ts";
import type { PositionOf } from "./auditor.ts";
import type { Broker } from "./broker.ts";
import type { KafkaClusterFault } from "./plan.ts";
import type { LogUser } from "../../src/service/mod.ts";
import type { SimProcess } from "./process.ts";
import type { Sim } from "./sim.ts";

/** A log that is a member of its group until it is closed. */
export type OpenedLog = Log & {
  readonly isAvailable: boolean;
  readonly isClaimed: boolean;
  /** Null: one process is active. */
  readonly sharing: Sharing | null;
  close(): Promise<void>;
};

/** The topic of queries. */
export const QUERIES = "queries";

export interface KafkaMachine {
  readonly name: string;
  /** Workers of the process. */
  readonly workers: number;
  readonly user: LogUser;
}

/** A transaction was committed: what became visible with it. */
export type OnTransaction = (
  process: SimProcess,
  positions: readonly PositionOf[],
  visible: Visible,
) => void;

export interface KafkaPort {
  /** What the brokers store. */
  readonly broker: Broker;
  /** Opens the log in a process: it joins the group. */
  open(process: SimProcess, machine: KafkaMachine): OpenedLog;
  befall(kind: KafkaClusterFault): void;
  /** Deletes the input's topic, and creates it anew under its name. */
  createAnew(): void;
  /** The same of the topic of queries, whose offsets the brokers forget. */
  createQueriesAnew(): void;
  /** Processes that start go on past lost offsets (--accept-offset). */
  acceptsOffset: boolean;
  /** The input loses its records. */
  cut(): void;
}

export type MakeKafka = (
  sim: Sim,
  input: string,
  topics: Readonly<Record<string, number>>,
  onTransaction: OnTransaction,
) => KafkaPort;
