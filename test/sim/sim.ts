// What all parts of one simulation share: seed, chance, virtual time, faults, trace, violations.

import { Random } from "../../tools/kit/random.ts";
import { type FaultKind, type Plan, planOf, withStore } from "./plan.ts";
import { retriesOf, type RetryPlan, withRetries } from "./retries.ts";
import { Scheduler } from "./scheduler.ts";

/** The promises of docs/architecture.md that a run is held against. */
export type Promised =
  | "P1"
  | "P2"
  | "P3"
  | "P4"
  | "P5"
  | "P7"
  | "P9"
  | "P10"
  | "P11"
  | "look-up"
  | "liveness";

/** A promise that was broken, and how. */
export interface Violation {
  readonly promise: Promised;
  readonly message: string;
}

/** Virtual epoch, ms. */
const EPOCH = 1_700_000_000_000;

/** Messages of errors that faults made: all others are violations. */
export const SIMULATED = "(simulated)";

/** Gives another plan for that of a seed, such as one with more of some faults. */
export type ChangePlan = (plan: Plan) => Plan;

export class Sim {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly plan: Plan;
  readonly retries: RetryPlan;
  /** Faults that happened, by kind. */
  readonly faults = new Map<FaultKind, number>();
  readonly violations: Violation[] = [];
  /** No more faults. */
  healed = false;
  /** Processes that have claimed partitions in the newest generation, and the most that did so in one. */
  #active = { generation: -1, processes: new Set<string>() };
  activeMax = 0;

  /**
   * @param lines takes the trace; null = none is kept
   * @param onKafka whether it runs on src/kafka
   * @param change puts another plan in the place of the seed's
   */
  constructor(
    readonly seed: number,
    readonly lines: string[] | null = null,
    onKafka = false,
    change: ChangePlan = (plan) => plan,
  ) {
    this.random = new Random(seed);
    const plan = change(planOf(this.random, onKafka));
    this.retries = retriesOf(seed, plan);
    this.plan = withStore(withRetries(plan, this.retries), seed);
    this.scheduler = new Scheduler(this.random);
  }

  get now(): number {
    return this.scheduler.now;
  }

  /** Wall clock without anyone's error, in whole ms. */
  get wall(): number {
    return EPOCH + Math.floor(this.scheduler.now);
  }

  chance(rate: number): boolean {
    return rate > 0 && this.random.below(1_000_000) < rate * 1_000_000;
  }

  /** A number in [from, to). */
  between(from: number, to: number): number {
    return from + (to - from) * this.random.below(2 ** 20) / 2 ** 20;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)]!;
  }

  /** Whether a fault happens now, by the seed's rate for it; counts it. */
  happens(kind: FaultKind): boolean {
    if (this.healed || !this.chance(this.plan.rates[kind] ?? 0)) return false;
    this.count(kind);
    return true;
  }

  count(kind: FaultKind): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
    this.trace("fault", kind);
  }

  /** A process has claimed partitions that it shares with others, in a generation of their group. */
  onActive(generation: number, process: string): void {
    if (generation !== this.#active.generation) this.#active = { generation, processes: new Set() };
    this.activeMax = Math.max(this.activeMax, this.#active.processes.add(process).size);
  }

  /** Adds a line to the trace: virtual time, who, what. */
  trace(who: string, what: string | (() => string)): void {
    if (!this.lines) return;
    const time = this.scheduler.now.toFixed(3).padStart(11);
    this.lines.push(`${time}  ${who.padEnd(9)} ${typeof what === "string" ? what : what()}`);
  }

  /** Reports that a promise was broken. The first violation ends the run. */
  violate(promise: Promised, message: string): void {
    this.violations.push({ promise, message });
    this.trace("VIOLATION", `${promise}: ${message}`);
  }
}
