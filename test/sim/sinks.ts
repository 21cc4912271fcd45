// P10: a sink in the process, of the results of the embedded log, over every fault, held against what is committed: it is
// given every value at least once, in order, from its place, and one call of a partition at a time.

import type { ConsumableLog } from "../../src/log/mod.ts";
import { SinkWorker } from "../../src/service/sink_worker.ts";
import type { Delivery } from "../../src/service/streams.ts";
import { decodeBatch, decodeUtf8 } from "../../src/types/mod.ts";
import { Conditions } from "../../src/engine/conditions.ts";
import { Random } from "../../tools/kit/random.ts";
import type { EmbeddedArchive } from "./archive.ts";
import type { SinkFault } from "./plan.ts";
import type { SimProcess } from "./process.ts";
import { type Sim, SIMULATED } from "./sim.ts";

/** Apart from the seed's own draws, so that runs without a sink are what they were. */
const SALT = 0x5117;
/** How long a stop waits for the sink, in virtual ms. */
export const SINK_DRAIN_MS = 2000;

/** What the sinks of all processes were given of a partition. */
interface Given {
  /** Everything below it was taken. */
  end: number;
  /** Visible values by offset, as far as they were looked at. */
  readonly values: Map<number, string>;
  batches: number;
}

export class SimSinks {
  readonly #random: Random;
  /** Whether this run has a sink. */
  readonly isOn: boolean;
  readonly #given = new Map<number, Given>();

  constructor(
    readonly sim: Sim,
    readonly archive: EmbeddedArchive | null,
    readonly topic: string,
  ) {
    this.#random = new Random(sim.seed ^ SALT);
    this.isOn = archive !== null && this.#random.below(2) === 0;
  }

  /** The sink of a process. */
  worker(process: SimProcess, log: ConsumableLog): SinkWorker {
    const { clock, chance } = process;
    const { plan } = this.sim;
    const underWay = new Set<number>();
    return new SinkWorker({
      sink: {
        kind: "process",
        name: "sim",
        offsetReset: "earliest",
        accept: (values, at) => this.#accept(process, underWay, values as string[], at),
      },
      topic: this.topic,
      log,
      parse: (value) => value,
      clock,
      chance,
      conditions: new Conditions(clock),
      commitIntervalMs: plan.settings.commitIntervalMs,
      attempts: 0,
      hangMs: 500,
      restartAttempts: plan.settings.restartAttempts,
      logRetries: plan.settings.logRetries,
    });
  }

  #happens(kind: SinkFault, inHundred: number): boolean {
    if (this.sim.healed || this.#random.below(100) >= inHundred) return false;
    this.sim.count(kind);
    return true;
  }

  async #accept(
    process: SimProcess,
    underWay: Set<number>,
    values: readonly string[],
    { partition, offset }: Delivery,
  ): Promise<void> {
    const { sim } = this;
    if (underWay.has(partition)) {
      sim.violate("P10", `${process.name}: two calls of partition ${partition} at a time`);
    }
    underWay.add(partition);
    try {
      if (this.#happens("sink fails", 10)) throw new Error(`The sink fails ${SIMULATED}`);
      const slow = this.#happens("sink hangs", 3) ? 3000 : 5;
      await process.clock.sleep(this.#random.below(slow));
      this.#take(process, values, partition, offset);
      if (this.#happens("sink fails, done", 5)) throw new Error(`The sink fails late ${SIMULATED}`);
    } finally {
      underWay.delete(partition);
    }
  }

  #take(
    process: SimProcess,
    values: readonly string[],
    partition: number,
    offset: number,
  ): void {
    const { sim } = this;
    const given = this.#look(partition);
    sim.trace(process.name, () => `sink is given ${partition}@${offset} to ${given.end}`);
    if (offset > given.end) {
      const passed = `${given.end} to ${offset - 1}`;
      sim.violate("P10", `a sink is given ${partition}@${offset}, and was never given ${passed}`);
    }
    for (const [i, value] of values.entries()) {
      const expected = given.values.get(offset + i);
      if (value === expected) continue;
      const what = expected === undefined ? "nothing that is committed" : expected;
      sim.violate(
        "P10",
        `a sink is given ${value} as ${partition}@${offset + i}, which is ${what}`,
      );
    }
    given.end = Math.max(given.end, offset + values.length);
  }

  /** Of a partition, with all that is visible now. */
  #look(partition: number): Given {
    const given = this.#given.get(partition) ?? { end: 0, values: new Map(), batches: 0 };
    this.#given.set(partition, given);
    const batches = this.archive!.of(`${this.topic}/${partition}`);
    for (; given.batches < batches.length; given.batches++) {
      for (const { offset, value } of decodeBatch(batches[given.batches]!)) {
        given.values.set(offset, decodeUtf8(value!)!);
      }
    }
    return given;
  }

  /** When all is healed, drained and stopped in good order: nothing is left to be given. */
  checkAll(): void {
    if (!this.isOn) return;
    for (let partition = 0; partition < this.sim.plan.partitions; partition++) {
      const { end, values } = this.#look(partition);
      if (end === values.size) continue;
      this.sim.violate(
        "P10",
        `the sink was given ${end} of ${values.size} results of ${partition}`,
      );
    }
  }
}
