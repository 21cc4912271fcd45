import type { ItemTransaction } from "../types/mod.ts";
import type { ConditionReporter } from "../engine/conditions.ts";
import type { StateMemory } from "../engine/state_memory.ts";
import type { Owners } from "../engine/owners.ts";

/** A transaction of an item that is not known yet, which memory is not there for. Known items go on. */
export class MemoryFullError extends Error {
  override readonly name = "MemoryFullError";
}

type Execute<O> = (admitted: readonly ItemTransaction[]) => Promise<(O | Error)[]>;

/**
 * Lets transactions in as long as there is memory for the items that they may bring. Beyond that the owners
 * are asked which items are known; nothing of the others gets into the log, so that whatever is in the log
 * has room. What others append meanwhile is counted as if each record brought an item.
 */
export class Admission {
  /** Records that were let in and have no answer yet. */
  #underWay = 0;

  constructor(
    readonly memory: StateMemory,
    readonly owners: Owners,
    readonly conditions: ConditionReporter,
  ) {}

  /** Executes those of the transactions that are let in; the others are answered why not, in their places. */
  async admit<O>(
    transactions: readonly ItemTransaction[],
    execute: Execute<O>,
  ): Promise<(O | Error)[]> {
    if (this.memory.roomForItems - this.#underWay >= transactions.length) {
      this.conditions.clear("memory");
      return await this.#run(transactions, execute);
    }
    const ids = transactions.map(({ itemId }) => itemId);
    const stocks = await this.owners.lookUp(ids, new AbortController().signal);
    const added = new Set<string>();
    const isAdmitted = transactions.map(({ itemId }, i) => {
      if (stocks[i] !== null || added.has(itemId)) return true;
      const room = this.memory.roomIn(this.owners.partitionOf(itemId));
      if (room - this.#underWay - added.size < 1) return false;
      added.add(itemId);
      return true;
    });
    const admitted = transactions.filter((_, i) => isAdmitted[i]);
    const answers = admitted.length > 0 ? await this.#run(admitted, execute) : [];
    if (admitted.length === transactions.length) return answers;
    const refused = this.#refusal();
    let next = 0;
    return isAdmitted.map((is) => is ? answers[next++]! : refused);
  }

  async #run<O>(admitted: readonly ItemTransaction[], execute: Execute<O>): Promise<(O | Error)[]> {
    this.#underWay += admitted.length;
    try {
      return await execute(admitted);
    } finally {
      this.#underWay -= admitted.length;
    }
  }

  #refusal(): MemoryFullError {
    const { bytes, bytesMax } = this.memory;
    const reason =
      `New items are refused: the state takes ${bytes} bytes of ${bytesMax} (state.bytes.max), ` +
      "or their partition takes most of its 4 GiB";
    this.conditions.set("memory", { reason, blocks: "nothing" });
    return new MemoryFullError(reason);
  }
}
