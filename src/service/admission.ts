import type { ItemTransaction } from "../types/mod.ts";
import type { ConditionReporter } from "../engine/conditions.ts";
import type { StateMemory } from "../engine/state_memory.ts";
import type { Owners } from "../engine/owners.ts";

/** A transaction of an item that is not known yet, which memory is not there for. Known items go on. */
export class MemoryFullError extends Error {
  override readonly name = "MemoryFullError";
}

/** Which of some transactions were let in. */
export interface Admitted {
  readonly transactions: readonly ItemTransaction[];
  /** By index of those that asked: why it was not let in, or null; null = all were. */
  readonly refusals: readonly (MemoryFullError | null)[] | null;
}

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

  /** Which of the transactions are let in; they count as under way until they have {@link left}. */
  async enter(transactions: readonly ItemTransaction[]): Promise<Admitted> {
    if (this.memory.roomForItems - this.#underWay >= transactions.length) {
      this.conditions.clear("memory");
      this.#underWay += transactions.length;
      return { transactions, refusals: null };
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
    this.#underWay += admitted.length;
    if (admitted.length === transactions.length) return { transactions, refusals: null };
    const refusal = this.#refusal();
    return { transactions: admitted, refusals: isAdmitted.map((is) => is ? null : refusal) };
  }

  /** They are answered. */
  left({ transactions }: Admitted): void {
    this.#underWay -= transactions.length;
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
