// Starts processes, and does to them what happens to processes: crashes, stops, rebalances, pauses.

import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { decodeManifest } from "../../src/state/manifest.ts";
import { chunksOfParts, decodeParts, indexChunksOf } from "../../src/state/checkpoint_parts.ts";
import { encodeKey, type KvFile } from "./kv_file.ts";
import { JOB, type Machine, Member, TOPICS } from "./member.ts";
import { CLUSTER_FAULTS, type ClusterFault, KAFKA_CLUSTER_FAULTS } from "./plan.ts";
import type { Sim } from "./sim.ts";
import type { World } from "./world.ts";

/** A stop in good order that takes longer is ended by force. */
const STOP_MAX_MS = 20_000;

/** Partitions that one process after the other works on. */
interface Slot {
  readonly groups: readonly (readonly number[])[];
  member: Member | null;
  /** A process is on its way. */
  starting: boolean;
}

export class Cluster {
  #slots: Slot[] = [];
  #count = 0;

  constructor(readonly sim: Sim, readonly world: World) {}

  // ---- processes ----

  /** Starts as many processes as share the partitions now. */
  assign(): void {
    const { sim, world } = this;
    const { partitions, machines } = sim.plan;
    const most = world.kafka ? machines : world.broker ? Math.min(partitions, machines) : 1;
    const least = sim.plan.kafka.shared ? 2 : 1;
    const processes = least + sim.random.below(most - least + 1);
    const owned: number[][] = Array.from({ length: processes }, () => []);
    for (let p = 0; p < partitions; p++) {
      // One of a group's processes is active on Kafka, with all partitions; or their log shares them.
      if (world.kafka) { for (const list of owned) list.push(p); }
      else owned[p < processes ? p : sim.random.below(processes)]!.push(p);
    }
    this.#slots = owned.map((list) => ({
      groups: this.#grouped(list),
      member: null,
      starting: false,
    }));
    for (const slot of this.#slots) this.#start(slot, sim.between(0, 500));
  }

  /** Partitions of one process, by its workers. */
  #grouped(partitions: readonly number[]): number[][] {
    const workers = 1 + this.sim.random.below(Math.min(this.sim.plan.workers, partitions.length));
    const groups: number[][] = Array.from({ length: workers }, () => []);
    partitions.forEach((p, i) => groups[i % workers]!.push(p));
    return groups;
  }

  #start(slot: Slot, delayMs: number): void {
    if (slot.starting) return;
    slot.starting = true;
    this.sim.scheduler.after(delayMs, () => {
      slot.starting = false;
      if (!this.#slots.includes(slot) || this.sim.healed) return;
      // One process at a time writes to an embedded log: a file lock sees to that.
      if (!this.world.broker && this.world.liveMembers.length > 0) return this.#start(slot, 100);
      const machine = this.#freeMachine();
      if (!machine) return this.#start(slot, 100);
      slot.member = this.#member(slot.groups, machine);
    });
  }

  /** Where a process may start: on Kafka each has a machine of its own; null = nowhere. */
  #freeMachine(): Machine | null {
    const { machines, liveMembers, kafka } = this.world;
    const free = kafka
      ? machines.filter((machine) => liveMembers.every((m) => m.machine !== machine))
      : machines;
    return free.length === 0 ? null : this.sim.pick(free);
  }

  #member(groups: Slot["groups"], machine: Machine): Member {
    const member = new Member(this.world, `process ${this.#count++}`, machine, groups);
    this.world.members.push(member);
    return member;
  }

  /** Starts a process wherever there should be one and is none. */
  replaceEnded(): void {
    for (const slot of this.#slots) {
      if (!slot.member?.isLive) this.#start(slot, this.sim.between(10, 800));
    }
  }

  /** Every process of the earlier program is killed; those that come are of the newer one. */
  upgrade(): void {
    if (this.sim.healed) return;
    this.sim.trace("world", "is upgraded");
    this.world.isUpgraded = true;
    for (const member of this.world.members) if (member.process.alive) member.kill();
    this.replaceEnded();
  }

  // ---- faults ----

  /** Faults come at random moments until the clients are done. */
  async torment(until: () => boolean): Promise<void> {
    const { sim } = this;
    const kinds = (Object.keys({ ...CLUSTER_FAULTS, ...KAFKA_CLUSTER_FAULTS }) as ClusterFault[])
      .flatMap((kind) =>
        Array.from({ length: Math.ceil(3 * (sim.plan.rates[kind] ?? 0)) }, () => kind)
      );
    while (!until()) {
      await this.sleep(sim.between(0, 2 * sim.plan.clusterFaultMs));
      if (until()) return;
      this.replaceEnded();
      this.#lookUpSome();
      if (kinds.length > 0) this.#befall(sim.pick(kinds));
    }
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.sim.scheduler.after(ms, resolve));
  }

  #befall(kind: ClusterFault): void {
    const { sim, world } = this;
    const live = world.liveMembers;
    if (live.length === 0) return;
    const member = sim.pick(live);
    if (this.#does(kind, member)) sim.count(kind);
  }

  /** Whether the fault could happen. */
  #does(kind: ClusterFault, member: Member): boolean {
    const { sim, world } = this;
    switch (kind) {
      case "crash":
        member.kill();
        return true;
      case "crash at an event":
        member.process.dieAtCall(1 + sim.random.below(40), sim.chance(0.5));
        return true;
      case "stop and restart":
        this.#stop(member);
        return true;
      case "pause":
        return this.#pause(member);
      case "zombie":
        return this.#replace(member);
      case "rebalance":
        this.#rebalance();
        return true;
      case "partition moved":
        return member.move(sim.random.below(sim.plan.partitions), sim.random.below(100));
      case "clock jump":
        member.process.wallOffset += Math.floor(sim.between(-7_200_000, 7_200_000));
        return true;
      case "owner conflict": {
        const partition = sim.random.below(sim.plan.partitions);
        world.takeOver(member.machine.state, partition, ["epoch", JOB, partition]);
        return true;
      }
      case "retention":
        return this.#retain();
      case "log disk full":
        return this.#fill(world.logFile!);
      case "state disk full":
        return this.#fill(member.machine.state);
      case "memory full":
        return this.#fillMemory(member);
      case "chunk altered":
      case "chunk missing":
      case "manifest altered":
        return this.#damage(kind, member.machine.state);
      default:
        world.kafka!.befall(kind);
        return true;
    }
  }

  #stop(member: Member): void {
    member.stop();
    this.sim.scheduler.after(STOP_MAX_MS, () => member.isLive && member.kill());
  }

  #pause(member: Member): boolean {
    if (member.process.paused) return false;
    member.process.pause();
    this.sim.trace(member.process.name, "is paused");
    if (this.sim.chance(0.7)) this.#replace(member);
    this.sim.scheduler.after(this.sim.between(100, this.sim.pick([1000, 4000, 12_000])), () => {
      this.sim.trace(member.process.name, "goes on");
      member.process.resume();
      // It does not know yet what happened meanwhile.
      for (const within of [0.1, 1, 20]) {
        this.sim.scheduler.after(this.sim.between(0, within), () => this.#lookUp(member));
      }
    });
    return true;
  }

  /** Another process takes its place while it lives. */
  #replace(member: Member): boolean {
    const slot = this.#slots.find((s) => s.member === member);
    if (!slot || slot.starting) return false;
    member.replaced = true;
    this.#start(slot, this.sim.between(0, 1000));
    return true;
  }

  /** The partitions are shared out anew; what becomes of the processes before differs. */
  #rebalance(): void {
    const { sim } = this;
    for (const { member } of this.#slots) {
      if (!member?.isLive) continue;
      member.replaced = true;
      if (sim.chance(0.6)) this.#stop(member);
      else if (!this.world.broker || sim.chance(0.5)) member.kill();
    }
    this.assign();
  }

  // ---- what befalls the stored bytes ----

  /** The log forgets records that every machine's oldest checkpoint has behind it. */
  #retain(): boolean {
    const { sim, world } = this;
    const partition = sim.random.below(sim.plan.partitions);
    if (world.damagedPartitions.has(partition)) return false;
    let bound = Infinity;
    for (const { state } of world.machines) {
      const oldest = state.below(["manifest", JOB, partition])[0];
      const position = oldest ? decodeManifest(oldest.value as Uint8Array).scalars.position : 0n;
      bound = Math.min(bound, Number(position));
    }
    if (world.broker) {
      const tp = world.broker.topic(TOPICS.input)[partition]!;
      if (bound <= tp.start) return false;
      tp.start = bound;
      world.retainedPartitions.add(partition);
      sim.trace("log", () => `partition ${partition} begins at ${bound}`);
      return true;
    }
    const embedded = world.liveMembers[0]?.embedded;
    if (!embedded || bound === 0) return false;
    world.retainedPartitions.add(partition);
    void embedded.retain(TOPICS.input, partition, { before: Infinity, bytes: Infinity }, bound)
      .catch(() => {});
    return true;
  }

  /** The disk of a file has no room for a while. */
  #fill(file: KvFile): boolean {
    const { sim } = this;
    if (file.fullUntil > sim.now) return false;
    file.fullUntil = sim.now + sim.between(20, sim.pick([300, 3000, 10_000]));
    sim.trace(file.name, () => `its disk is full until ${file.fullUntil.toFixed(3)}`);
    return true;
  }

  /** A process has room for no new item, until its bound is raised. */
  #fillMemory({ memory, process }: Member): boolean {
    const { sim } = this;
    if (memory.isFull) return false;
    memory.fullUntil = sim.now + sim.between(20, sim.pick([1000, 5000, 20_000]));
    sim.trace(process.name, () => `its memory is full until ${memory.fullUntil.toFixed(3)}`);
    return true;
  }

  /** Damages a part of a checkpoint; the log still holds everything, so it is not the only way back. */
  #damage(kind: ClusterFault, file: KvFile): boolean {
    const { sim, world } = this;
    const partition = sim.random.below(sim.plan.partitions);
    if (world.retainedPartitions.has(partition)) return false;
    const manifests = file.below(["manifest", JOB, partition]);
    const chunks = file.below(["chunk", JOB, partition]);
    const victims = kind === "manifest altered" ? manifests : chunks;
    if (victims.length === 0) return false;
    const { key, value } = sim.pick(victims);
    const bytes = altered(sim, value as Uint8Array, kind === "chunk altered" && sim.chance(0.6));
    // Which checkpoints need it is to be found before it is gone.
    const hit = manifests.filter((manifest) =>
      kind === "manifest altered"
        ? manifest.key === key
        : needs(file, partition, manifest.value as Uint8Array, key)
    );
    file.damage(key, kind === "chunk missing" ? null : bytes);
    world.damagedPartitions.add(partition);
    for (const manifest of hit) {
      const name = `${file.name}/${partition}/${String(manifest.key[3])}`;
      const keys = world.damaged.get(name)?.keys ?? new Set();
      world.damaged.set(name, { since: sim.now, keys: keys.add(encodeKey(key)) });
    }
    sim.trace(file.name, () => `${kind}: checkpoints ${hit.map((m) => m.key[3])} of ${partition}`);
    return true;
  }

  // ---- questions ----

  #lookUpSome(): void {
    for (const member of this.world.liveMembers) this.#lookUp(member);
  }

  #lookUp(member: Member): void {
    if (!member.isLive || member.process.paused) return;
    if (!member.isShared && !member.mayAnswer) return;
    for (const partition of member.owners.keys()) this.world.lookUp(member, partition);
  }

  // ---- the end ----

  /** Ends every process, one way or the other. */
  endAll(): void {
    this.#slots = [];
    for (const member of this.world.liveMembers) {
      if (this.world.broker && !member.process.paused && this.sim.chance(0.3)) this.#stop(member);
      else member.kill();
    }
  }

  /** One process for everything, on any of the machines. */
  startLast(): Member {
    return this.startOn(this.sim.pick(this.world.machines));
  }

  /** Starts a process with all partitions. */
  startOn(machine: Machine): Member {
    const all = Array.from({ length: this.sim.plan.partitions }, (_, p) => p);
    return this.#member([all], machine);
  }
}

/**
 * Bytes with one bit turned; if asked so, within what they hold compressed, so that they can still be
 * decompressed.
 */
function altered(sim: Sim, value: Uint8Array, within: boolean): Uint8Array {
  try {
    const bytes = within ? new Uint8Array(zstdDecompressSync(value)) : value.slice();
    bytes[sim.random.below(bytes.length)]! ^= 1 << sim.random.below(8);
    return within ? new Uint8Array(zstdCompressSync(bytes)) : bytes;
  } catch {
    return altered(sim, value, false); // an index is not compressed
  }
}

/** Whether a checkpoint has a chunk among its parts. */
function needs(file: KvFile, partition: number, bytes: Uint8Array, key: Deno.KvKey): boolean {
  try {
    const manifest = decodeManifest(bytes);
    const read = (hash: string) =>
      file.get(["chunk", JOB, partition, Uint8Array.fromHex(hash)])!.value as Uint8Array;
    const index = indexChunksOf(manifest);
    const hash = (key[3] as Uint8Array).toHex();
    return index.includes(hash) ||
      chunksOfParts(decodeParts(manifest, index.map(read))).includes(hash);
  } catch {
    return false; // it is damaged already
  }
}
