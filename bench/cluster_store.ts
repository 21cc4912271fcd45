// The store of processes that share partitions, denokv on this machine, against a local file: a whole checkpoint, and
// what restores it, in turn.
//
//   deno task bench:cluster:store [--items=1000000] [--pairs=5]

import { startKvServer, whyNoKvServer } from "../tools/kit/kv_server.ts";
import { openKvFile, openRemoteKv } from "../src/kv/mod.ts";
import type { CheckpointStore, Manifest } from "../src/state/mod.ts";
import { groupStore } from "../src/service/remote_store.ts";
import { Core, warmUp } from "../src/wasm/mod.ts";
import { Format, systemChance } from "../src/types/mod.ts";
import { benchOptions } from "./fold_again.ts";
import { readOptions } from "./options.ts";
import { describeRatios, medianOf } from "./pairs.ts";
import { coreWithItems, openBenchStore, restore, takeWhole } from "./stored.ts";
import { printVerdict } from "./verdicts.ts";

const USAGE = "deno task bench:cluster:store [--items=1000000] [--pairs=5]";
const { items, pairs } = readOptions(USAGE, { items: 1_000_000, pairs: 5 });
const RATIO_MAX = 3;

const options = benchOptions(Format.Text, 0);

interface Times {
  readonly checkpoint: number;
  readonly restore: number;
}

/** One checkpoint of all items, and its restore; ms. */
async function measure(what: string, store: CheckpointStore, core: Core, round: number) {
  const from = performance.now();
  // A partition of its own, so that nothing is referenced from the checkpoint before.
  const manifest: Manifest = await takeWhole(store, core, round);
  const taken = performance.now();
  const restored = new Core(options, systemChance);
  await restore(store, manifest, restored);
  const times: Times = { checkpoint: taken - from, restore: performance.now() - taken };
  if (restored.state.items !== core.state.items) throw new Error("Items are missing");
  console.log(
    `${what}: checkpoint of ${items} items ${times.checkpoint.toFixed(0)} ms ` +
      `(${(manifest.totalBytes / 1e6).toFixed(1)} MB), restore ${times.restore.toFixed(0)} ms`,
  );
  return times;
}

const missing = await whyNoKvServer();
if (missing !== null) throw new Error(missing);
const folder = await Deno.makeTempDir({ prefix: "stockflow-bench-" });
const server = await startKvServer();
try {
  Deno.env.set("DENO_KV_ACCESS_TOKEN", server.token); // Deno takes it from there alone
  const file = await openBenchStore(await openKvFile(`${folder}/state.kv`));
  const remote = await openBenchStore(groupStore(await openRemoteKv(server.url), "bench"));
  warmUp(options);
  const core = coreWithItems(options, items);
  const ratios = { checkpoint: [] as number[], restore: [] as number[] };
  for (let pair = 0; pair < pairs; pair++) {
    // Each is first as often as the other: what the machine does slowly meets both.
    const ofRemote = () => measure("denokv", remote, core, pair);
    const before = pair % 2 === 0 ? await ofRemote() : null;
    const own = await measure("file", file, core, pair);
    const there = before ?? await ofRemote();
    for (const part of ["checkpoint", "restore"] as const) {
      ratios[part].push(there[part] / own[part]);
    }
  }
  file.close();
  remote.close();
  for (const [part, all] of Object.entries(ratios)) {
    const said = describeRatios(all, `time of a ${part}`, "denokv : file");
    printVerdict(medianOf(all) <= RATIO_MAX, `${said}, ${RATIO_MAX} or less`);
  }
} finally {
  await server.remove();
  await Deno.remove(folder, { recursive: true });
}
