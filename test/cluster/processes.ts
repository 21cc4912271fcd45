// Processes of one group that share partitions, under load, and what is done to them.

import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import type { Scene } from "../faults/scene.ts";
import type { ClusterAnswer } from "../../src/http/cluster.ts";
import { sharedBy } from "../../tools/kit/cluster_view.ts";
import { until } from "../kafka/until.ts";

/** Parameters of all of them. */
export const SHARED = { "kafka.partitions.shared": "true" };

/** The processes of a scene; the scene's own service is the last that ends. */
export class Processes {
  readonly running: Service[];

  constructor(readonly scene: Scene) {
    this.running = [scene.service];
  }

  /** Starts one more, in a folder of its own unless one is given. */
  async join(folder?: string): Promise<Service> {
    const service = await this.scene.start(folder);
    this.running.push(service);
    return service;
  }

  #remove(service: Service): void {
    this.running.splice(this.running.indexOf(service), 1);
    if (this.scene.service === service) this.scene.service = this.running[0]!;
  }

  async leave(service: Service): Promise<void> {
    await stopInGoodOrder(service);
    this.#remove(service);
  }

  async kill(service: Service): Promise<void> {
    await service.kill();
    this.#remove(service);
  }

  /** Waits until all know the same table, with all of them in it, and are ready. */
  async settled(): Promise<ClusterAnswer> {
    const { running } = this;
    let found: ClusterAnswer | null = null;
    await until(
      `${running.length} processes share the partitions`,
      async () => (found = await sharedBy(running)) !== null,
      ...running,
    );
    for (const service of running) await waitReady(service);
    return found!;
  }

  /** Stops all but one in good order. */
  async stopOthers(): Promise<void> {
    for (const service of this.running.slice(1).toReversed()) await this.leave(service);
    await waitReady(this.scene.service);
  }

  /** Ends what still runs, however. */
  async end(): Promise<void> {
    await Promise.all(this.running.map((service) => service.kill()));
  }
}
