import type { KeySet } from "./input.ts";
import type { Measured } from "./machine.ts";
import { DESCRIPTIONS, type EngineName, type Work } from "./works.ts";

/** The work that state is measured by: nothing but stock. */
export const STATE_WORK: Work = "c";

/** What the state of so many items takes in an engine. */
export interface StateMeasurement extends Measured {
  readonly engine: EngineName;
  readonly keys: KeySet;
  readonly items: number;
  /** stockflow: memory of its items. Peers: objects in the heap, beyond those with hardly any items. */
  readonly bytes: number;
  readonly peakBytes: number;
}

export const STATE_TITLE = `Work ${STATE_WORK} (${
  DESCRIPTIONS[STATE_WORK].title
}), each item once.`;
