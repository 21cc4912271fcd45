// A store of checkpoints that the processes of a scene have in common.

import { openRemoteKv } from "../../src/kv/mod.ts";
import { groupStore } from "../../src/service/remote_store.ts";
import { JOB_NAME } from "../../src/service/mod.ts";
import { CheckpointStore } from "../../src/state/mod.ts";
import { systemChance, systemClock } from "../../src/types/mod.ts";
import { GROUP } from "../../tools/kit/job_process.ts";
import { type KvServer, startKvServer } from "../../tools/kit/kv_server.ts";
import type { SceneOptions } from "../faults/scene.ts";

const TOKEN = "DENO_KV_ACCESS_TOKEN";

export class SharedStore {
  readonly #before = Deno.env.get(TOKEN);

  private constructor(readonly server: KvServer) {
    Deno.env.set(TOKEN, server.token); // Deno takes it from there alone
  }

  /** @param host where processes reach it, if they are in networks of their own */
  static async start(host?: string): Promise<SharedStore> {
    return new SharedStore(await startKvServer(host));
  }

  /** Parameters of the processes. */
  get flags(): Readonly<Record<string, string>> {
    return { "state.kv": this.server.url };
  }

  /** Of the scene: its processes' environment, and where it finds the checkpoints in the end. */
  get options(): Pick<SceneOptions, "env" | "openStore"> {
    return { env: { [TOKEN]: this.server.token }, openStore: () => this.open() };
  }

  async open(): Promise<CheckpointStore> {
    const kv = groupStore(await openRemoteKv(this.server.url), GROUP);
    return await CheckpointStore.open(kv, {
      job: JOB_NAME,
      clock: systemClock,
      chance: systemChance,
    });
  }

  /** Whether it has a checkpoint of each partition. */
  async isWhole(partitions: number): Promise<boolean> {
    const store = await this.open();
    const found = await store.partitions();
    store.close();
    return found.length === partitions;
  }

  async remove(): Promise<void> {
    if (this.#before === undefined) Deno.env.delete(TOKEN);
    else Deno.env.set(TOKEN, this.#before);
    await this.server.remove();
  }
}
