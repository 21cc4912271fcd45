import type { CoreOptions } from "../../wasm/mod.ts";
import type { LogOptions } from "../logging.ts";
import type { JobSettings } from "../worker_context.ts";

/** All that a worker thread is started with; it can be cloned. */
export interface WorkerSpec {
  /** Name of the job, under which the store keeps its checkpoints. */
  readonly job: string;
  /** Those that it folds at first. */
  readonly partitions: readonly number[];
  /** See WorkerContext. */
  readonly partitionsAreGiven: boolean;
  /** Which of the process's workers it is. */
  readonly worker: number;
  readonly settings: JobSettings;
  /** Options of the core; the partition is replaced. */
  readonly core: CoreOptions;
  readonly topics: {
    readonly input: string;
    readonly results: string | null;
    readonly summaries: string | null;
    readonly deadLetters: string | null;
    readonly batchBytesMax: number;
    readonly discardResults?: boolean;
  };
  /** What opens the log in the thread. */
  readonly log: unknown;
  /** Where the thread notes what it is busy with; see Activity. */
  readonly activity: SharedArrayBuffer;
  /** Memory of all partitions; see StateMemory. */
  readonly memory: SharedArrayBuffer;
  readonly memoryBytesMax: number;
  /** Hold new items back when memory is full. */
  readonly holdsBack: boolean;
  /** How to write logs; null = not at all. */
  readonly logs: LogOptions | null;
}
