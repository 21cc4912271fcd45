// Faults of the disk under the Kafka job's data folder.

import { assertEquals, assertMatch } from "@std/assert";
import { Random } from "../../tools/kit/random.ts";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { fill, mountSmall } from "../system/small_disk.ts";
import { Scene, sleep, until } from "./scene.ts";
import { assertGood, faultTest } from "./with_broker.ts";

interface Event {
  readonly kind: string;
  readonly reason?: string;
}

/** Newest first. */
async function checkpointEvents({ url }: Service): Promise<Event[]> {
  return (await (await fetch(`${url}/checkpoints`)).json()).events;
}

faultTest("Kafka job: a full disk is reported, loses nothing, and is survived", async (seed, t) => {
  const parent = await Deno.makeTempDir({ prefix: "stockflow-full-" });
  const folder = `${parent}/small`;
  const unmount = await mountSmall(folder);
  try {
    if (!unmount) {
      return void await t.step({ name: "needs root to mount a tmpfs", ignore: true, fn: () => {} });
    }
    const verdict = await Scene.run({ seed, loadPauseMs: 50 }, async (scene) => {
      await stopInGoodOrder(scene.service);
      const service = scene.service = await scene.start(folder);
      await waitReady(service);
      await until(
        "a checkpoint",
        async () => (await checkpointEvents(service)).some((e) => e.kind === "completed"),
      );
      await fill(`${folder}/filler`);
      await until("it logs that the disk is full", () => /full/.test(service.log()));
      assertEquals((await fetch(`${service.url}/livez`)).status, 200);
      // A kill now finds the last checkpoint that had room.
      await service.kill();
      await Deno.remove(`${folder}/filler`);
      const again = scene.service = await scene.start(folder);
      await waitReady(again);
      await fill(`${folder}/filler`);
      await until("it logs so again", () => /full/.test(again.log()));
      await Deno.remove(`${folder}/filler`);
      const from = Date.now();
      // There is room again: checkpoints go on by themselves.
      await until("a checkpoint again", async () => {
        const response = await fetch(`${again.url}/checkpoints`);
        const { checkpoints } = await response.json() as { checkpoints: { cutAt: number }[] };
        return checkpoints.some(({ cutAt }) => cutAt > from);
      });
    });
    assertGood(seed, verdict);
  } finally {
    await unmount?.();
    await Deno.remove(parent, { recursive: true });
  }
});

/** The job takes some checkpoints meanwhile. */
const FOR_CHECKPOINTS_MS = 1200;

/** What the last error says of a damaged file. */
const NAMED = /stockflow: [^\n]*state\.kv/;

/** Where a file of SQLite is damaged. */
const DAMAGES = ["header", "pages", "many pages", "journal", "cut"] as const;

/** What becomes of a job whose file is damaged. */
type Outcome =
  | "refused at the start"
  | "found while it ran or stopped"
  | "recovered"
  | "ended by Deno";

/**
 * Deno removes expired keys by itself, now and then, and ends the process with a panic where it meets a damaged page
 * before the job does (Deno 2.9). The next start finds the damage.
 */
const PANIC = "KV collect expired failed: database disk image is malformed";

faultTest(
  "Kafka job: damage to the file of the checkpoints is found, or the file is refused",
  async (seed) => {
    const random = new Random(seed);
    const reported: string[] = [];
    const verdict = await Scene.run({ seed, loadPauseMs: 200 }, async (scene) => {
      for (const kind of DAMAGES) {
        await sleep(FOR_CHECKPOINTS_MS);
        // After a kill most pages stand in the journal, after a stop in the file.
        const killed = random.below(2) === 0;
        if (killed) await scene.service.kill();
        else await stopInGoodOrder(scene.service);
        const { folder } = scene.service;
        await damage(`${folder}/state.kv`, kind, random);
        reported.push(`${kind} after a ${killed ? "kill" : "stop"}: ${await runDamaged(scene)}`);
        // Without the file the log is folded again.
        for (const end of ["", "-wal", "-shm"]) {
          await Deno.remove(`${folder}/state.kv${end}`).catch(() => {});
        }
        scene.service = await scene.start(folder);
        await waitReady(scene.service);
      }
    });
    console.log(`${reported.length} damaged files: ${reported.join(", ")}`);
    assertGood(seed, verdict);
  },
);

/** Starts the job on a damaged file, and ends it: at each moment damage is found with exit 2, and the file is named. */
async function runDamaged(scene: Scene): Promise<Outcome> {
  const { folder } = scene.service;
  try {
    const service = scene.service = await scene.start(folder);
    await waitReady(service);
  } catch (error) {
    const { message } = error as Error;
    if (message.includes(PANIC)) return "ended by Deno";
    assertMatch(message, /^The service (did not start, exit 2|is gone \(2\)): /);
    assertMatch(message, NAMED);
    return "refused at the start";
  }
  // Pages that a start does not read are met by a later checkpoint, or by that of the stop.
  await sleep(FOR_CHECKPOINTS_MS);
  try {
    await stopInGoodOrder(scene.service);
    return "recovered";
  } catch (error) {
    const { message } = error as Error;
    if (message.includes(PANIC)) return "ended by Deno";
    assertMatch(message, /^The service exited 2: /);
    assertMatch(message, NAMED);
    return "found while it ran or stopped";
  }
}

async function damage(
  path: string,
  kind: typeof DAMAGES[number],
  random: Random,
): Promise<void> {
  const journal = `${path}-wal`;
  const name = kind === "journal" && await Deno.stat(journal).catch(() => null) ? journal : path;
  const bytes = await Deno.readFile(name);
  if (kind === "cut") {
    return await Deno.writeFile(name, bytes.subarray(0, random.below(bytes.length)));
  }
  const places = kind === "many pages" ? 60 : 4;
  for (let n = kind === "header" ? 1 : places; n > 0; n--) {
    const at = kind === "header" ? random.below(80) : random.below(bytes.length);
    const end = Math.min(bytes.length, at + 1 + random.below(512));
    for (let i = at; i < end; i++) bytes[i]! ^= 0x5a;
  }
  await Deno.writeFile(name, bytes);
}
