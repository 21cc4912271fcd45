// Bugs that are planted to see whether the simulator finds them. Each wraps a part of the world.

import type { LocalOwner } from "../../src/job/worker/owners.ts";
import type { SimKvOptions } from "./sim_kv.ts";
import type { SimLogHooks } from "./sim_log.ts";

export interface PlantedBug {
  readonly log?: Partial<SimLogHooks>;
  readonly kv?: Partial<SimKvOptions>;
  /** Changes an owner before anything is done with it. */
  readonly onOwner?: (owner: LocalOwner) => void;
  /** Changes the engine's own classes; returns what undoes it. */
  readonly patch?: () => () => void;
}
