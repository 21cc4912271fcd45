import type { ConditionReporter } from "./conditions.ts";
import type { StateMemory } from "./state_memory.ts";
import type { MemoryStop, PartitionProcessor } from "./partition_processor.ts";

const MIB = 2 ** 20;

/** Reports the memory of a worker's partitions, and which of them stand still because there is no more. */
export class MemoryWatch {
  readonly #stopped = new Map<number, MemoryStop>();

  constructor(readonly memory: StateMemory, readonly conditions: ConditionReporter) {}

  /** After a fold: what the partition takes now, and why the fold stopped. */
  report(
    { partition, core, position, topics }: PartitionProcessor,
    stopped: MemoryStop | null,
  ): void {
    this.memory.set(partition, core.stateBytes);
    if (!stopped) return this.#goesOn(partition);
    this.#stopped.set(partition, stopped);
    const { bytes, bytesMax } = this.memory;
    const where =
      `${topics.input}-${partition} stands still at offset ${position}, before a new item`;
    const reason = stopped === "bound"
      ? `${where}: the state takes ${mib(bytes)} of ${
        mib(bytesMax)
      } MiB (raise state.bytes.max), or the ` +
        "partition most of its 4 GiB"
      : `${where}: its memory of 4 GiB is full; spread the items over more partitions`;
    this.conditions.set("memory", { reason, blocks: "writes" });
  }

  /** The partition was given up. */
  leave(partition: number): void {
    this.memory.set(partition, 0);
    this.#goesOn(partition);
  }

  #goesOn(partition: number): void {
    if (this.#stopped.delete(partition) && this.#stopped.size === 0) {
      this.conditions.clear("memory");
    }
  }
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
