import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { type Scene, sleep } from "./scene.ts";

const EVERY_MS = 3000;

/**
 * A storm of rebalances: every three seconds a second process of the group joins, or one of the two leaves,
 * so that the partitions move. What is left in the end is the scene's service.
 */
export async function storm(scene: Scene, rebalances: number): Promise<void> {
  const folders = [scene.service.folder, `${scene.parent}/second`];
  const running: (Service | null)[] = [scene.service, null];
  let joined = 0;
  for (let n = 1; n <= rebalances; n++) {
    await sleep(EVERY_MS);
    const absent = running.indexOf(null);
    if (absent >= 0) {
      running[absent] = await scene.start(folders[absent]!);
      joined++;
      scene.log(`rebalance ${n}: process ${absent + 1} joins`);
      continue;
    }
    const leaving = scene.random.below(2);
    await stopInGoodOrder(running[leaving]!);
    running[leaving] = null;
    scene.log(`rebalance ${n}: process ${leaving + 1} leaves`);
  }
  const [first, second] = running;
  if (first && second) await stopInGoodOrder(second);
  scene.service = (first ?? second)!;
  await waitReady(scene.service);
  scene.log(`${rebalances} rebalances: ${joined} joined, ${rebalances - joined} left`);
}
