// deno task damage   exits 1 if damage to a checkpoint was not found
//
// Damages the checkpoints of a store and their exported file at every byte of what is small, and at samples
// of what is large: the exhaustive form of damage_test.ts.

import { damageLine, damageRun } from "./damage.ts";

const verdict = await damageRun({ everyByteMax: 2500, samples: 1000 });
for (const [region, n] of verdict.regions) console.log(`${region.padEnd(32)} ${n}`);
console.log(damageLine(verdict));
Deno.exit(verdict.detected === verdict.damages ? 0 : 1);
