import type { Savepoint } from "../../src/state/mod.ts";
import type { Life, World } from "../engine/world.ts";

export const NAME = "before-sale";

/** Takes a savepoint, while the clock goes on. */
export async function take(world: World, life: Life, name = NAME): Promise<Savepoint> {
  return await world.clock.run(life.job.takeSavepoint(name), "the savepoint is taken");
}
