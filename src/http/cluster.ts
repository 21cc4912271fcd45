// Routes of processes that share partitions: who has what, and what they ask each other.

import { Hono } from "hono";
import { z } from "zod";
import {
  checkpointHere,
  type Cluster,
  PEER_IDS_MAX,
  PEER_PATHS,
  type RunningJob,
} from "../service/mod.ts";
import { type ClusterView, LostError, runsOnce, UnavailableError } from "../log/mod.ts";
import { checkItemId } from "../types/fields.ts";
import { withAny } from "../types/mod.ts";
import { bearerToken } from "./access.ts";
import { checked, fail, setRetryAfter } from "./answers.ts";
import { parseObject } from "./bodies.ts";
import type { BodyReader } from "./body_reader.ts";

const NOT_SHARED =
  "Processes of the group do not share partitions here (kafka.partitions.shared=true)";
const JOINING = "The group is being joined";

/** What all that one process asks another begins with. */
const asked = {
  life: z.string(),
  generation: z.int().min(0),
  nonce: z.int().min(0),
};
const PARTITIONS_MAX = 100_000;

const checkpointRequest = z.strictObject({
  ...asked,
  partitions: z.array(z.int().min(0)).max(PARTITIONS_MAX),
});

const reportRequest = z.strictObject({
  kind: z.enum(["status", "history", "hotItems", "checkpointEvents"]),
});

const peerRequest = z.strictObject({
  ...asked,
  lookups: z.array(z.strictObject({
    partition: z.int().min(0),
    ids: z.array(z.string()).max(PEER_IDS_MAX),
  })).max(PEER_IDS_MAX),
});

export interface ClusterRoutes {
  readonly job: RunningJob;
  readonly reader: BodyReader;
  /** What processes of the group may bring when they ask each other; none = nothing is asked for. */
  readonly tokens: readonly string[];
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal;
}

/** Routes below /cluster. */
export function clusterRoutes({ job, reader, tokens, stopping }: ClusterRoutes): Hono {
  const app = new Hono();
  app.get("/cluster", (c) => {
    const { cluster } = job;
    if (!cluster) return fail(c, 409, "not_shared", NOT_SHARED);
    return cluster.view ? c.json(shown(cluster.view)) : fail(c, 503, "joining", JOINING);
  });
  app.get("/cluster/owner", (c) => {
    const { cluster } = job;
    if (!cluster) return fail(c, 409, "not_shared", NOT_SHARED);
    const item = c.req.query("item");
    if (item === undefined) return fail(c, 400, "item", "Ask for /cluster/owner?item={id}");
    checkItemId(item);
    const owner = cluster.ownerOf(item);
    return owner ? c.json(owner) : fail(c, 503, "joining", JOINING);
  });
  /** What another process asks; until the signal is aborted. */
  const answer = <T>(
    path: string,
    schema: z.ZodType<T>,
    found: (cluster: Cluster, asked: T, over: AbortSignal) => Promise<unknown>,
  ) => {
    if (tokens.length > 0) app.use(path, checked(bearerToken(tokens, "cluster.token")));
    app.post(path, async (c) => {
      const { cluster } = job;
      if (!cluster) return fail(c, 409, "not_shared", NOT_SHARED);
      const { bytes, share } = await reader.read(c, true);
      try {
        const asked = parseObject(c.req.header("content-type"), bytes, schema);
        const signals = [stopping, c.req.raw.signal];
        return c.json(await withAny(signals, (over) => found(cluster, asked, over)));
      } catch (error) {
        // It happens with each rebalance, and the asker tries again: nothing to be logged.
        if (!isLater(error)) throw error;
        setRetryAfter(c);
        return c.json({ error: { reason: "unavailable", message: error.message } }, 503);
      } finally {
        share.release();
      }
    });
  };
  answer(PEER_PATHS.lookups, peerRequest, (cluster, asked, over) => cluster.answer(asked, over));
  answer(PEER_PATHS.checkpoints, checkpointRequest, async (cluster, asked, over) => {
    const until = AbortSignal.any([over, cluster.check(asked)]);
    return { sequences: await checkpointHere(cluster, asked.partitions, job, until) };
  });
  answer(PEER_PATHS.status, reportRequest, async (cluster, { kind }) => {
    const { life } = cluster;
    if (life === null) throw new UnavailableError(JOINING);
    return { life, report: await job.report(kind) };
  });
  return app;
}

function isLater(error: unknown): error is Error {
  return error instanceof UnavailableError || error instanceof LostError;
}

/** What GET /cluster answers: a view as people and tools read it, processes by their life, partitions by their topic. */
export interface ClusterAnswer {
  readonly generation: number;
  readonly state: ClusterView["state"];
  readonly self: string | null;
  readonly leader: string | null;
  /** Life of the process that runs the job's own sources and its sinks in the process. */
  readonly sourcesAndSinks: string | null;
  readonly processes: readonly {
    readonly life: string;
    readonly address: string | null;
    readonly memberId: string;
    readonly workers: number;
    readonly watchedBy: string | null;
    readonly partitions: Readonly<Record<string, readonly { partition: number; since: number }[]>>;
  }[];
}

function shown(view: ClusterView): ClusterAnswer {
  const { generation, state, members, self, leader, inputs } = view;
  const nameOf = (index: number | null) => index === null ? null : members[index]?.life ?? null;
  return {
    generation,
    state,
    self: nameOf(self),
    leader: nameOf(leader),
    sourcesAndSinks: nameOf(runsOnce(view)),
    processes: members.map(({ life, address, capacity, memberId, watchedBy }, index) => ({
      life,
      address,
      memberId,
      workers: capacity,
      watchedBy: nameOf(watchedBy),
      partitions: Object.fromEntries(
        inputs.map(({ topic, owners, since }) => [
          topic,
          owners.flatMap((owner, partition) =>
            owner === index ? [{ partition, since: since[partition]! }] : []
          ),
        ]),
      ),
    })),
  };
}
