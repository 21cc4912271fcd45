import type { Agent } from "node:http";
import type { Conditions } from "../engine/conditions.ts";
import type { Owners } from "../engine/owners.ts";
import type { ItemOwner } from "../engine/owners.ts";
import { type ClusterView, LostError, type Sharing, UnavailableError } from "../log/mod.ts";
import { type Clock, encodeUtf8, withAny } from "../types/mod.ts";
import { ConflictError } from "./gateway.ts";
import type { ClusterStatus } from "./status.ts";
import { Peer, type PeerAnswer, type PeerRequest } from "./peer.ts";
import { peerAgent, type PeerConnection } from "./peer_request.ts";

export interface ClusterOptions {
  readonly sharing: Sharing;
  readonly owners: Owners;
  /** The topic of transactions. */
  readonly topic: string;
  /** What processes of the group bring when they ask each other; empty = nothing. */
  readonly token: string;
  readonly clock: Clock;
  readonly conditions: Conditions;
}

/** Where an item is. */
export interface OwnerOfItem {
  readonly partition: number;
  readonly generation: number;
  /** Life of the process that has it; null = nobody has it at the moment. */
  readonly life: string | null;
  /** host:port of its HTTP API; null = none that others could ask. */
  readonly address: string | null;
  /** Whether it is the process that answers. */
  readonly isHere: boolean;
}

/** What a process says of itself when it asks another one. */
export type Asked = Pick<PeerRequest, "life" | "generation" | "nonce">;

/** A generation of the group, and how the other processes are asked until it is over. */
export interface ClusterGeneration {
  readonly view: ClusterView;
  readonly over: AbortSignal;
  /** Null: it says no address. */
  connectionTo(member: number): PeerConnection | null;
}

/** The processes of the group that share partitions, for look-ups and for people. */
export class Cluster {
  readonly #agent: Agent = peerAgent();
  /** Aborted when the generation is over. */
  #over = new AbortController();
  /** By which peers of the generation report conditions. */
  readonly #reporters = new Set<string>();

  constructor(readonly options: ClusterOptions) {}

  /** Who has what; null while the group is being joined. */
  get view(): ClusterView | null {
    return this.options.sharing.view;
  }

  #life: string | null = null;

  /** Of this process, by which the others know it; null until it has joined the group once. */
  get life(): string | null {
    const { view } = this;
    return this.#life = view?.members[view.self]?.life ?? this.#life;
  }

  /** The present generation; null while the group is being joined. */
  get generation(): ClusterGeneration | null {
    const { view } = this;
    if (!view) return null;
    return {
      view,
      over: this.#over.signal,
      connectionTo: (member) => {
        const { address } = view.members[member]!;
        return address === null ? null : this.connectionTo(address);
      },
    };
  }

  /** How a process is asked at an address. */
  connectionTo(address: string): PeerConnection {
    const { token, clock } = this.options;
    return { address, token, agent: this.#agent, clock };
  }

  /** Who has how much, for people; null while the group is being joined. */
  get status(): ClusterStatus | null {
    const { view, options: { topic } } = this;
    if (!view) return null;
    const owners = view.inputs.find((input) => input.topic === topic)?.owners ?? [];
    return {
      generation: view.generation,
      partitions: owners.length,
      processes: view.members.map(({ address, capacity }, index) => ({
        address,
        workers: capacity,
        partitions: owners.filter((owner) => owner === index).length,
        isHere: index === view.self,
        isLeader: index === view.leader,
      })),
    };
  }

  /** See Sharing.leave. */
  leave(): void {
    this.options.sharing.leave();
  }

  /** Points look-ups to the processes that have the partitions, until the signal is aborted. */
  async run(stop: AbortSignal): Promise<void> {
    const { sharing, owners } = this.options;
    while (!stop.aborted) {
      const { view } = this;
      this.#end();
      this.#over = new AbortController();
      if (view) {
        owners.setElsewhere(this.#ownersElsewhere(view, this.#over.signal), view.generation);
      } else owners.setElsewhere(new Map(), null);
      // Between the two nothing is awaited, so no change is missed.
      await sharing.changed(stop);
    }
    this.#end();
    this.#agent.destroy();
  }

  #end(): void {
    this.#over.abort("over"); // without a reason an error with a stack is made
    // Whoever cannot be asked in the next generation will be reported anew.
    for (const by of this.#reporters) this.options.conditions.clearAll(by);
    this.#reporters.clear();
  }

  #ownersElsewhere(view: ClusterView, over: AbortSignal): Map<number, ItemOwner> {
    const { topic, token, clock, conditions } = this.options;
    const agent = this.#agent;
    const { generation, nonce } = view;
    const peers = view.members.map(({ address, life }, index) => {
      if (index === view.self || address === null) return null;
      const by = `process ${life}`;
      this.#reporters.add(by);
      const of = { address, life, generation, nonce, token, agent, clock, over };
      return new Peer({ ...of, conditions: conditions.reporter(by) });
    });
    const elsewhere = new Map<number, ItemOwner>();
    for (const { topic: of, owners } of view.inputs) {
      if (of !== topic) continue;
      owners.forEach((owner, partition) => {
        if (owner < 0 || owner === view.self) return;
        elsewhere.set(partition, peers[owner]?.ownerOf(partition) ?? UNREACHABLE);
      });
    }
    return elsewhere;
  }

  /** Which process has an item; null while the group is being joined. */
  ownerOf(itemId: string): OwnerOfItem | null {
    const { view, options: { owners, topic } } = this;
    if (!view) return null;
    const partition = owners.partitionOf(itemId);
    const index = view.inputs.find((input) => input.topic === topic)?.owners[partition] ?? -1;
    const member = view.members[index];
    return {
      partition,
      generation: view.generation,
      life: member?.life ?? null,
      address: member?.address ?? null,
      isHere: index === view.self,
    };
  }

  /**
   * Answers another process, which found by a table that the partitions are here, and makes sure itself that the group is
   * still in the generation of that table.
   *
   * @throws {UnavailableError} when the group has another generation by what this process knows
   * @throws {ConflictError} when another process is asked, by the address of this one
   * @throws {LostError} when the signal is aborted meanwhile
   */
  async answer(asked: PeerRequest, signal: AbortSignal): Promise<PeerAnswer> {
    const { owners } = this.options;
    const { generation, lookups } = asked;
    return await withAny([signal, this.check(asked)], async (until) => {
      const stocks = await Promise.all(lookups.map(async ({ partition, ids }) => {
        const bytes = ids.map((id) => encodeUtf8(id));
        const found = await owners.lookUpHere(generation, partition, bytes, until);
        return found.map((stock) => stock === null ? null : String(stock));
      }));
      return { stocks };
    });
  }

  /**
   * Checks that another process asks in the generation that both know, and this process.
   *
   * @returns aborted when that generation is over
   * @throws {UnavailableError} when the group has another generation by what this process knows
   * @throws {ConflictError} when another process is asked, by the address of this one
   */
  check(asked: Asked): AbortSignal {
    const { view } = this;
    if (view?.generation !== asked.generation || view.nonce !== asked.nonce) {
      throw new UnavailableError(
        `This process is in generation ${view?.generation ?? "none"}, not in ${asked.generation}`,
      );
    }
    if (view.members[view.self]?.life !== asked.life) {
      throw new ConflictError(
        "This is not the process that has the partitions: say by http.advertised.host where each is reached",
      );
    }
    return this.#over.signal;
  }
}

const NO_ADDRESS =
  "the process that has it says no address at which others could ask it (http.advertised.host)";

/** The owner of partitions of a process that says no address; those who wait do so until the group has shared anew. */
const UNREACHABLE: ItemOwner = {
  isReady: true,
  ready: Promise.resolve(),
  unreachable: NO_ADDRESS,
  lookUp: () => Promise.reject(new LostError(NO_ADDRESS)),
};
