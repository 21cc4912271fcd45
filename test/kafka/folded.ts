// What a job on Kafka has folded before something happens to its log.

import { Loader } from "../../tools/kit/load.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import type { Scene, Stage } from "./scene.ts";

/** Appends deliveries of one of item_2, each a batch of its own. */
export async function append(
  bootstrap: string,
  { topics }: Pick<Scene, "topics">,
  count: number,
  firstId = 1,
): Promise<void> {
  const loader = await Loader.open(bootstrap, topics["transaction.input.topic"]);
  for (let id = firstId; id < firstId + count; id++) {
    await loader.append([loader.recordOf(`${id}\t1\titem_2\t1`, id)]);
  }
  await loader.close();
}

/** Lets the job fold so many records, commit them and leave a checkpoint. */
export async function foldAndStop(
  { broker }: Stage,
  scene: Scene,
  count: number,
): Promise<void> {
  await append(broker.bootstrap, scene, count);
  const service = await scene.start();
  await waitReady(service);
  await stopInGoodOrder(service);
}
