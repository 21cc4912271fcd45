import { getLogger } from "@logtape/logtape";
import type { Clock } from "../types/mod.ts";

const log = getLogger(["stockflow", "job"]);

/**
 * What a condition keeps the process from: nothing, taking new transactions and queries, or answering look-ups
 * (and then new transactions neither). In the order of their weight.
 */
const BLOCKED = ["nothing", "writes", "lookups"] as const;
export type Blocked = (typeof BLOCKED)[number];

export interface ConditionFacts {
  /** A sentence without full stop, for people: what is wrong, and what ends it. */
  readonly reason: string;
  readonly blocks: Blocked;
}

/** Something that is not as it should be now. */
export interface Condition extends ConditionFacts {
  /** A short name, such as "disk". */
  readonly what: string;
  /** Clock.now() at which it began. */
  readonly since: number;
}

/** Where parts of the job report conditions, in whatever thread they run. */
export interface ConditionReporter {
  /** Something is not as it should be; it may be set again with another reason, at any rate. */
  set(what: string, facts: ConditionFacts): void;
  /** It is as it should be again. */
  clear(what: string): void;
}

/**
 * Everything that is not as it should be now, in one place. It is shown by /readyz, by the metric
 * stockflow_unavailable and by one line of the log when it begins, one whenever it comes to block more, and one
 * when it ends.
 *
 * Several parts may report the same condition (each worker thread, for instance): it stands until all of them
 * have cleared it, and is shown as the one of them that blocks most.
 *
 * @example
 * conditions.set("disk", { reason: "data/log.kv has 3 MB left (disk.free.bytes.min)", blocks: "writes" });
 * conditions.clear("disk");
 */
export class Conditions implements ConditionReporter {
  /** By name: what each part reports. */
  readonly #standing = new Map<
    string,
    { readonly since: number; by: Map<string, ConditionFacts> }
  >();
  /** Names that were ever set: the metric shows 0 for those that do not stand now. */
  readonly #known = new Set<string>();

  constructor(readonly clock: Clock) {}

  set(what: string, facts: ConditionFacts, by = ""): void {
    const standing = this.#standing.get(what);
    const before = standing ? weightOf(worstOf(standing.by)) : -1;
    if (standing) standing.by.set(by, facts);
    else this.#standing.set(what, { since: this.clock.now(), by: new Map([[by, facts]]) });
    this.#known.add(what);
    if (weightOf(facts) <= before) return;
    const { reason, blocks } = facts;
    log.warn("{what}: {reason}; it blocks {blocks}", { what, reason, blocks });
  }

  clear(what: string, by = ""): void {
    const standing = this.#standing.get(what);
    if (!standing?.by.delete(by) || standing.by.size > 0) return;
    this.#standing.delete(what);
    const seconds = Math.round((this.clock.now() - standing.since) / 1000);
    log.info("{what}: as it should be again, after {seconds} s", { what, seconds });
  }

  /** Clears everything that a part reported; what is done when the part is gone. */
  clearAll(by: string): void {
    for (const what of [...this.#standing.keys()]) this.clear(what, by);
  }

  /** What one part reports by; see clearAll. */
  reporter(by: string): ConditionReporter {
    return {
      set: (what, facts) => this.set(what, facts, by),
      clear: (what) => this.clear(what, by),
    };
  }

  /** What stands now, those that block most first. */
  list(): Condition[] {
    return [...this.#standing].map(([what, { since, by }]) => ({ what, since, ...worstOf(by) }))
      .sort((a, b) => weightOf(b) - weightOf(a));
  }

  /** The condition that keeps the process from something; null while it is possible. */
  blocking(what: Exclude<Blocked, "nothing">): Condition | null {
    return this.list().find((condition) => weightOf(condition) >= BLOCKED.indexOf(what)) ?? null;
  }

  /** Every name that was ever set, and whether it stands now. */
  states(): ReadonlyMap<string, boolean> {
    return new Map([...this.#known].map((what) => [what, this.#standing.has(what)]));
  }
}

function worstOf(by: ReadonlyMap<string, ConditionFacts>): ConditionFacts {
  return [...by.values()].reduce((a, b) => weightOf(b) > weightOf(a) ? b : a);
}

function weightOf({ blocks }: ConditionFacts): number {
  return BLOCKED.indexOf(blocks);
}
