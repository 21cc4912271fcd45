// Processes of one group that share partitions, under load, and what is done to them.

import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import type { Place, Scene, SceneOptions } from "../faults/scene.ts";
import type { ClusterAnswer } from "../../src/http/cluster.ts";
import { sharedBy } from "../../tools/kit/cluster_view.ts";
import type { Network, Networks } from "../../tools/kit/networks.ts";
import { until } from "../kafka/until.ts";

/** Parameters of all of them. */
export const SHARED = { "kafka.partitions.shared": "true" };

/** Lines for the brokers of a cluster of three: whichever is killed, the other two go on. */
export const REPLICATED = {
  "offsets.topic.replication.factor": "3",
  "transaction.state.log.replication.factor": "3",
  "transaction.state.log.min.isr": "2",
  "min.insync.replicas": "2",
};

/** Of processes in networks of their own, which listen where others reach them. */
const HTTP_TOKEN = "a-token-of-the-cluster-tests";

/** Lets each process run in a network of its own; one that is started in its folder again runs in the same one. */
export class Places {
  readonly #byFolder = new Map<string, Network>();

  constructor(readonly networks: Networks) {}

  /** Options of their scene: processes in such networks, before brokers that these reach. */
  get options(): Pick<SceneOptions, "brokerHost" | "place"> {
    return { brokerHost: this.networks.host, place: (folder) => this.#place(folder) };
  }

  async #place(folder: string): Promise<Place> {
    const { address, enter } = this.#byFolder.get(folder) ?? await this.#add(folder);
    return { flags: { "http.host": address, "http.token": HTTP_TOKEN }, enter };
  }

  async #add(folder: string): Promise<Network> {
    const network = await this.networks.add();
    this.#byFolder.set(folder, network);
    return network;
  }

  networkOf({ folder }: Service): Network {
    return this.#byFolder.get(folder)!;
  }
}

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
