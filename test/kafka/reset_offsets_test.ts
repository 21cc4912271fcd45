// Committed offsets that an administrator resets, deletes or restores while the job is stopped: exit 2, and with the
// offsets as they were it goes on, exactly once.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Place, placeOf, setPlace } from "./places.ts";
import { type Scene, Stage } from "./scene.ts";
import { witness } from "./witness.ts";

const stage = await Stage.shared();
const { broker } = stage;
const INPUT = "transaction.input.topic";
const QUERIES = "query.input.topic";

async function append({ topics }: Scene, from: number, count: number): Promise<void> {
  const loader = await Loader.open(broker.bootstrap, topics[INPUT]);
  for (let id = from; id < from + count; id++) {
    await loader.append([loader.recordOf(`${id}\t1\titem_2\t1`, id)]);
  }
  await loader.close();
}

/** Folds what there is, and stops. */
async function run(scene: Scene): Promise<void> {
  const service = await scene.start();
  await waitReady(service);
  await stopInGoodOrder(service);
}

stage.test("offsets that were reset, moved or restored while the job was stopped: exit 2; as they were, it goes on", async () => {
  const scene = await stage.scene(1);
  const { topics } = scene;
  await append(scene, 1, 3);
  await run(scene);
  const early = await placeOf(stage, scene, topics[INPUT]);
  await append(scene, 4, 2);
  await run(scene);
  const [late, queries] = [
    await placeOf(stage, scene, topics[INPUT]),
    await placeOf(stage, scene, topics[QUERIES]),
  ];
  assertEquals([early.offset, late.offset], [3, 5]);
  await append(scene, 6, 2);
  const tries: readonly [role: typeof INPUT | typeof QUERIES, Place, says: string][] = [
    // kafka-consumer-groups --reset-offsets leaves no metadata.
    [INPUT, { offset: 0, metadata: "" }, "is not of this job"],
    [INPUT, { offset: 7, metadata: "" }, "is not of this job"],
    [QUERIES, { offset: 1, metadata: "" }, "is not of this job"],
    // Tools that skip a record, or go back by one, and copy the metadata.
    [INPUT, { ...late, offset: 6 }, "was moved: its metadata is that of an offset from 5 to 5"],
    [INPUT, { ...late, offset: 4 }, "lies before 5, where the newest checkpoint stands"],
    // A copy of the group's offsets from before.
    [INPUT, early, "The committed offset 3 of group"],
  ];
  for (const [role, place, says] of tries) {
    await setPlace(stage, scene, topics[role], place);
    assertStringIncludes(await scene.refused(), says);
    if (place.offset === 4) {
      const state = { "state.kv": `${await stage.newFolder()}/state.kv` };
      assertStringIncludes(await scene.refused(state), "was moved");
    }
    await setPlace(stage, scene, topics[INPUT], late);
    await setPlace(stage, scene, topics[QUERIES], queries);
  }
  await run(scene);
  const results = await witness(broker.bootstrap, scene.topics["transaction.output.topic"]);
  const ids = results.flat().map(({ value }) => Number(value!.split("\t")[0]));
  assertEquals(ids, [1, 2, 3, 4, 5, 6, 7]);
});
