// Savepoints: checkpoints of all partitions, pinned under a name.
//
//   ["pin", job, name]   { at, partitions } (see Savepoint), and `pending` while it is being taken
//   ["pins", job]        time of the last change of pins, in ms
//
// What is pinned is never removed. Whoever removes a manifest reads the pins first, and checks in the
// same commit that they have not changed; whoever pins one checks in the same commit that it is there. Where a commit
// takes fewer checks than there are partitions, the pin is set as pending first, which keeps the manifests from then on;
// then it is looked whether they are all there, and only then it is a savepoint.

import { getAll, type Kv, KV_COMMIT_CHECKS_MAX, limitsOf } from "../kv/mod.ts";
import { type Chance, type Clock, retry } from "../types/mod.ts";
import { DamagedCheckpointError, type Manifest, manifestAt } from "./manifest.ts";

/** The checkpoint of one partition in a savepoint. */
export interface SavepointPartition {
  readonly sequence: number;
  /** Next offset to fold. */
  readonly offset: number;
  readonly items: number;
}

/** A named state of all partitions. */
export interface Savepoint {
  readonly name: string;
  /** ms since the epoch */
  readonly at: number;
  /** By partition; null = nothing was ever folded there: it is empty. */
  readonly partitions: readonly (SavepointPartition | null)[];
}

/** There is a savepoint of this name already. */
export class SavepointExistsError extends Error {
  override readonly name = "SavepointExistsError";
}

/** A checkpoint was retired before it could be pinned. */
export class CheckpointGoneError extends Error {
  override readonly name = "CheckpointGoneError";
}

/** What a name must look like, for messages. */
export const SAVEPOINT_NAME_RULE =
  '1 to 100 characters of A-Z, a-z, 0-9, ".", "_" and "-", and not "." or ".."';

/** Whether a text can name a savepoint. A path of an URL cannot end in "." or "..". */
export function isSavepointName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,100}$/.test(name) && name !== "." && name !== "..";
}

/** A commit has one check per partition, and one of the name. */
export const SAVEPOINT_PARTITIONS_MAX = KV_COMMIT_CHECKS_MAX - 1;

/** A pin as it is stored. */
interface StoredPin extends Omit<Savepoint, "name"> {
  /** Names the one who takes it, who has not looked yet whether all is there. */
  readonly pending?: string;
}

/** A pin that is pending for longer was left by one who is gone. */
const PENDING_MS_MAX = 3_600_000;

/** The pins of a job as they were read, and the check that they have not changed since. */
export interface Pins {
  readonly unchanged: Deno.AtomicCheck;
  readonly savepoints: readonly Savepoint[];
}

/** Where the checkpoints are that are pinned. */
interface PinnedStore {
  readonly kv: Kv;
  readonly job: string;
  readonly options: { readonly clock: Clock; readonly chance: Chance };
  manifestKey(partition: number, sequence: number): Deno.KvKey;
}

/** The savepoints of a store. */
export class Savepoints {
  constructor(readonly store: PinnedStore) {}

  #key(name: string): Deno.KvKey {
    return ["pin", this.store.job, name];
  }

  get #changedKey(): Deno.KvKey {
    return ["pins", this.store.job];
  }

  /** Reads all pins, also those that are pending; a pin that is set meanwhile fails the check. */
  async read(): Promise<Pins> {
    const { kv, job } = this.store;
    while (true) {
      const { versionstamp } = await kv.get(this.#changedKey);
      const savepoints: Savepoint[] = [];
      const givenUp: Deno.KvEntry<StoredPin>[] = [];
      for await (const entry of kv.list<StoredPin>({ prefix: ["pin", job] })) {
        if (this.#isGivenUp(entry.value)) givenUp.push(entry);
        else savepoints.push(shown(entry.key[2] as string, entry.value));
      }
      if (givenUp.length === 0) {
        return { unchanged: { key: this.#changedKey, versionstamp }, savepoints };
      }
      // Removed before what they name is: who takes one after all notices by that.
      for (const { key, versionstamp } of givenUp) {
        await this.#set(key[2] as string, null, versionstamp);
      }
    }
  }

  #isGivenUp({ at, pending }: StoredPin): boolean {
    return pending !== undefined && this.store.options.clock.now() - at > PENDING_MS_MAX;
  }

  /** All savepoints, the newest first. */
  async list(): Promise<Savepoint[]> {
    const { kv, job } = this.store;
    const pins = await Array.fromAsync(kv.list<StoredPin>({ prefix: ["pin", job] }));
    return pins.filter(({ value }) => value.pending === undefined)
      .map(({ key, value }) => shown(key[2] as string, value))
      .toSorted((a, b) => b.at - a.at);
  }

  /** How many there are, with those that are being taken; counted up to a limit. */
  async count(limit: number): Promise<number> {
    const { kv, job } = this.store;
    return (await Array.fromAsync(kv.list({ prefix: ["pin", job] }, { limit }))).length;
  }

  async get(name: string): Promise<Savepoint | null> {
    // What no savepoint can be called may be too long for a key.
    if (!isSavepointName(name)) return null;
    const { value } = await this.store.kv.get<StoredPin>(this.#key(name));
    return value && value.pending === undefined ? { name, ...value } : null;
  }

  /**
   * Pins checkpoints under a name.
   *
   * @param sequences by partition; null = the partition is empty
   * @throws {SavepointExistsError}
   * @throws {CheckpointGoneError} when one of them is not there (any more)
   * @throws {RangeError} when the name or the number of partitions is not allowed
   */
  async pin(name: string, at: number, sequences: readonly (number | null)[]): Promise<Savepoint> {
    const { kv } = this.store;
    if (!isSavepointName(name)) {
      throw new RangeError(
        `The name of a savepoint has ${SAVEPOINT_NAME_RULE}: ${JSON.stringify(name)}`,
      );
    }
    if (sequences.length > SAVEPOINT_PARTITIONS_MAX) {
      throw new RangeError(
        `A savepoint has at most ${SAVEPOINT_PARTITIONS_MAX} partitions: ${sequences.length}`,
      );
    }
    const { checks, partitions } = await this.#membersOf(sequences);
    const value = { at, partitions };
    const checksMax = limitsOf(kv).commitChecks ?? KV_COMMIT_CHECKS_MAX;
    const pinned = checks.length < checksMax
      ? await this.#set(name, value, null, checks)
      : await this.#setInSteps(name, value, checks.map(({ key }) => key));
    if (pinned) return { name, ...value };
    if (await this.get(name)) {
      throw new SavepointExistsError(`There is a savepoint ${name} already`);
    }
    throw new CheckpointGoneError("A checkpoint was retired before it could be pinned");
  }

  /** Sets a pin, or removes it (null), in the place of what has the versionstamp; whether it could. */
  async #set(
    name: string,
    value: StoredPin | null,
    before: string | null,
    checks: readonly Deno.AtomicCheck[] = [],
  ): Promise<boolean> {
    const { kv, options } = this.store;
    const key = this.#key(name);
    return await retry(async () => {
      const atomic = kv.atomic().check({ key, versionstamp: before }, ...checks)
        .set(this.#changedKey, options.clock.now());
      if (value) atomic.set(key, value);
      else atomic.delete(key);
      const { ok } = await atomic.commit();
      // An attempt before this one may have happened without an answer.
      return ok || JSON.stringify((await kv.get(key)).value) === JSON.stringify(value);
    }, options);
  }

  /** The same with a commit for each step, where one does not take all checks. */
  async #setInSteps(
    name: string,
    value: Omit<Savepoint, "name">,
    manifests: readonly Deno.KvKey[],
  ): Promise<boolean> {
    const { kv, options: { chance } } = this.store;
    const key = this.#key(name);
    const there = await kv.get<StoredPin>(key);
    if (there.value && !this.#isGivenUp(there.value)) {
      // Also one that is being taken now: of two with a name one is taken.
      throw new SavepointExistsError(`There is a savepoint ${name} already`);
    }
    const pending = { ...value, pending: Math.floor(chance() * 2 ** 32).toString(36) };
    if (!await this.#set(name, pending, there.versionstamp)) return false;
    const own = await kv.get<StoredPin>(key);
    if (own.value?.pending !== pending.pending) return false;
    const found = await getAll(kv, manifests);
    const areThere = found.every(({ versionstamp }) => versionstamp !== null);
    const isSet = await this.#set(name, areThere ? value : null, own.versionstamp);
    return areThere && isSet;
  }

  async #membersOf(sequences: readonly (number | null)[]): Promise<{
    checks: Deno.AtomicCheck[];
    partitions: (SavepointPartition | null)[];
  }> {
    const checks: Deno.AtomicCheck[] = [];
    const partitions: (SavepointPartition | null)[] = [];
    for (const [partition, sequence] of sequences.entries()) {
      if (sequence === null) {
        partitions.push(null);
        continue;
      }
      const key = this.store.manifestKey(partition, sequence);
      const { value, versionstamp } = await this.store.kv.get<Uint8Array>(key);
      if (!value) {
        throw new CheckpointGoneError(
          `There is no checkpoint ${sequence} of partition ${partition}`,
        );
      }
      const { scalars } = manifestAt(key, value);
      checks.push({ key, versionstamp });
      partitions.push({
        sequence,
        offset: Number(scalars.position),
        items: Number(scalars.items),
      });
    }
    return { checks, partitions };
  }

  /**
   * Gives a name up; the next retirement takes what nothing else retains.
   *
   * @returns false when there is no such savepoint
   */
  async unpin(name: string): Promise<boolean> {
    if (!isSavepointName(name)) return false;
    const { kv, options } = this.store;
    const key = this.#key(name);
    const there = await kv.get(key);
    if (there.versionstamp === null) return false;
    return await retry(async () => {
      const { ok } = await kv.atomic()
        .check({ key, versionstamp: there.versionstamp })
        .delete(key)
        .set(this.#changedKey, options.clock.now())
        .commit();
      // Without it an attempt before this one has happened, or another caller was faster.
      return ok || (await kv.get(key)).versionstamp !== there.versionstamp;
    }, options);
  }

  /**
   * The manifests of a savepoint's members, by partition; null = the partition is empty.
   *
   * @throws {DamagedCheckpointError} when one is missing or altered
   */
  async manifests({ partitions }: Savepoint): Promise<(Manifest | null)[]> {
    return await Promise.all(partitions.map(async (member, partition) => {
      if (member === null) return null;
      const key = this.store.manifestKey(partition, member.sequence);
      const { value } = await this.store.kv.get<Uint8Array>(key);
      if (value) return manifestAt(key, value);
      throw new DamagedCheckpointError(
        `Checkpoint ${member.sequence} of partition ${partition} is missing`,
      );
    }));
  }
}

function shown(name: string, { at, partitions }: StoredPin): Savepoint {
  return { name, at, partitions };
}

/** Names of the savepoints that pin each checkpoint of a partition, by its sequence. */
export function pinnedBy(
  savepoints: readonly Savepoint[],
  partition: number,
): ReadonlyMap<number, readonly string[]> {
  const names = new Map<number, string[]>();
  for (const { name, partitions } of savepoints) {
    const member = partitions[partition];
    if (member) names.set(member.sequence, [...names.get(member.sequence) ?? [], name]);
  }
  return names;
}
