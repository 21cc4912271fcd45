// Checkpoints of all partitions, each taken by the process that has it: what a savepoint of a group is made of.

import { LostError, UnavailableError } from "../log/mod.ts";
import type { Asked, Cluster, ClusterGeneration } from "./cluster.ts";
import { askPeer, PEER_PATHS } from "./peer_request.ts";

/** Tries until it is given up: the group may share anew meanwhile, or a process be recovering. */
const ATTEMPTS = 20;
const AGAIN_MS = 500;
/** A checkpoint of a large state takes long; who hangs loses its partitions, which ends the generation. */
const ANSWER_MS_MAX = 600_000;

/** Checkpoints that one process asks another for. */
export interface CheckpointRequest extends Asked {
  readonly partitions: readonly number[];
}

/** By partition as it was asked for: the sequence of a checkpoint; null = nothing was ever folded there. */
export interface CheckpointAnswer {
  readonly sequences: readonly (number | null)[];
}

/** A process that takes checkpoints of its partitions. */
export interface CheckpointTaker {
  checkpointNow(partition: number): Promise<number | null>;
}

/**
 * Has every process of the group take checkpoints of its partitions.
 *
 * @returns their sequences, by partition
 * @throws {UnavailableError} when a process does not answer, or cannot take one, for ten seconds
 */
export async function checkpointEverywhere(
  cluster: Cluster,
  job: CheckpointTaker,
): Promise<(number | null)[]> {
  for (let attempt = 1;; attempt++) {
    try {
      const { generation } = cluster;
      if (generation?.view.state !== "sharing") throw new LostError("The group is being joined");
      return await checkpointsIn(cluster, generation, job);
    } catch (error) {
      const { message } = error as Error;
      if (attempt === ATTEMPTS) throw new UnavailableError(message, { cause: error });
      await cluster.options.clock.sleep(AGAIN_MS);
    }
  }
}

async function checkpointsIn(
  cluster: Cluster,
  { view, over, connectionTo }: ClusterGeneration,
  job: CheckpointTaker,
): Promise<(number | null)[]> {
  const { owners } = view.inputs.find(({ topic }) => topic === cluster.options.topic)!;
  const sequences = new Array<number | null>(owners.length).fill(null);
  await Promise.all([...Map.groupBy(owners.keys(), (p) => owners[p]!)].map(async ([owner, own]) => {
    const found = owner === view.self
      ? await checkpointHere(cluster, own, job, over)
      : await askFor(own, owner);
    own.forEach((partition, n) => sequences[partition] = found[n]!);
  }));
  return sequences;

  async function askFor(partitions: readonly number[], owner: number) {
    const member = view.members[owner];
    const connection = member && connectionTo(owner);
    if (!connection) {
      throw new LostError(
        `The process that has partition ${partitions[0]} says no address (http.advertised.host)`,
      );
    }
    const { generation, nonce } = view;
    const asked: CheckpointRequest = { life: member.life, generation, nonce, partitions };
    try {
      const answer = await askPeer<CheckpointAnswer>(
        connection,
        PEER_PATHS.checkpoints,
        asked,
        over,
        ANSWER_MS_MAX,
      );
      if (answer.sequences.length === partitions.length) return answer.sequences;
      throw new Error("It answers with other checkpoints than it was asked for");
    } catch (error) {
      const { message } = error as Error;
      throw new LostError(`The process at ${connection.address} took no checkpoint: ${message}`);
    }
  }
}

/**
 * Takes checkpoints of partitions that this process has. Each holds all that any process answered before the call: by a
 * heartbeat behind it the coordinator confirms first that the partition is still here.
 *
 * @throws {LostError} when a partition is not here any more, or is being recovered
 */
export async function checkpointHere(
  { options: { sharing } }: Pick<Cluster, "options">,
  partitions: readonly number[],
  job: CheckpointTaker,
  signal: AbortSignal,
): Promise<(number | null)[]> {
  return await Promise.all(partitions.map(async (partition) => {
    if ((await sharing.confirm(signal)).claimedBy(partition) === null) {
      throw new LostError(`Partition ${partition} is being recovered`);
    }
    return await job.checkpointNow(partition);
  }));
}
