import process from "node:process";
import { freeBytes, type KvOpener, moveMachineKv, openMachineKv, unusedBytes } from "../kv/mod.ts";
import {
  type Chance,
  machineTracing,
  systemChance,
  systemClock,
  type Tracing,
} from "../types/mod.ts";
import type { Conditions } from "../engine/conditions.ts";
import type { LogOpener } from "../log/mod.ts";
import type { Parameters } from "../parameters/mod.ts";
import type { RecordWriter } from "./feeds.ts";
import type { LogKind, WiredTopics } from "./streams.ts";
import type { LogOptions } from "../engine/logging.ts";
import type { OnProgress } from "../engine/progress.ts";

/** What a job takes from the machine; tests and the simulator bring their own. */
export interface Surroundings extends KvOpener {
  readonly chance: Chance;
  /** Moves a KV's file away; answers where it is now. */
  readonly moveKv?: (path: string) => Promise<string>;
  /** Free bytes of the disk that a file is on, or will be; without it disks are not looked at. */
  readonly freeBytes?: (path: string) => Promise<number>;
  /** Bytes within a file that are free for what is written into it. */
  readonly unusedBytes?: (path: string) => number;
  /** Workers run in threads of their own. */
  readonly threads?: boolean;
  /** Module of the threads where the log is not embedded: with it, they are started before that log is there. */
  readonly threadEntry?: URL;
  /** Learns how far works have come that can take long. */
  readonly onProgress?: OnProgress;
  /** Where it is reported what is not as it should be; by default the job makes its own. */
  readonly conditions?: Conditions;
  /** Memory that the machine, or the container in it, gives to this process; without bound if left away. */
  readonly memoryBytes?: number;
  /** Where the log of a job is that is not embedded; jobs that have one need it. */
  readonly kafka?: (request: LogRequest) => Promise<LogOpener>;
  /** What writes the records of a job's own feeds into its topics, where its log is not embedded. */
  readonly feedWriter?: (params: Parameters) => Promise<RecordWriter>;
  /** How threads write logs; not at all if it is left away. */
  readonly logs?: LogOptions;
  /** Null or left away: nothing is traced. Threads have the machine's. */
  readonly tracing?: Tracing | null;
}

/** What is asked for when a job's log is opened. */
export interface LogRequest {
  readonly kind: LogKind;
  readonly params: Parameters;
  readonly topics: WiredTopics;
  /** The transactions are computed. */
  readonly generated: boolean;
  readonly surroundings: Surroundings;
}

/** The machine itself. */
export const MACHINE: Surroundings = {
  clock: systemClock,
  chance: systemChance,
  threads: true,
  openKv: openMachineKv,
  moveKv: (path) => moveMachineKv(path, systemClock),
  freeBytes,
  unusedBytes,
  tracing: machineTracing(),
};

/** The memory that the machine, or the container in it, gives; unknown where that may not be asked. */
export function machineMemory(): Pick<Surroundings, "memoryBytes"> {
  try {
    const { total } = Deno.systemMemoryInfo();
    const constrained = process.constrainedMemory();
    return { memoryBytes: constrained > 0 ? Math.min(total, constrained) : total };
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return {};
    throw error;
  }
}
