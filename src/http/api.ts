import { Hono, type MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { type Executed, LIFE_HEADER, type RunningJob } from "../service/mod.ts";
import {
  codecOf,
  Format,
  type ItemTransaction,
  type Query,
  type QueryResult,
  type Tracing,
} from "../types/mod.ts";
import { type Access, accessChecks, isPeer, isProbe, peerTokensOf } from "./access.ts";
import { answerEach, type Handling } from "./answer_each.ts";
import { clusterRoutes } from "./cluster.ts";
import { type Check, checked, fail, failWith, integerQuery } from "./answers.ts";
import { BodyReader } from "./body_reader.ts";
import { type ConnectionFigures, httpMetrics } from "./http_metrics.ts";
import { itemRoutes } from "./items.ts";
import type { HttpLimits } from "./limits.ts";
import { logRoutes } from "./logs.ts";
import { answerOtherMethods, headLengths, wellFormedOnly } from "./methods.ts";
import { INDEX } from "./index.ts";
import { METRICS_TYPE } from "./exposition.ts";
import { JobMetrics } from "./metrics.ts";
import { isPage, pageRoutes } from "./page.ts";
import { answerReadiness } from "./readiness.ts";
import { sinkMetrics } from "./sink_metrics.ts";
import { savepointRoutes } from "./savepoints.ts";
import { statusRoutes, StatusStreams } from "./status.ts";

const EVENTS_MAX = 100;
/** How many of the lines of an answer are of repetitions. */
const DUPLICATES_HEADER = "stockflow-duplicates";
const TEXT = codecOf(Format.Text);

export interface ApiOptions {
  readonly job: RunningJob;
  /** Of the server, for metrics. */
  readonly connections: ConnectionFigures;
  readonly limits: HttpLimits;
  readonly access: Access;
  /** Identifies one life of the process. */
  readonly life: string;
  /** Aborted when the server stops taking requests. */
  readonly stopping: AbortSignal;
  /** Null or left away: nothing is traced. */
  readonly tracing?: Tracing | null;
}

/** The HTTP API of a running job. */
export function createApi(
  { job, connections, limits, access, life, stopping, tracing }: ApiOptions,
): Hono {
  const app = new Hono();
  // Other processes ask as long as this one has partitions, which is until it has stopped.
  const ended = new AbortController().signal;
  const reader = new BodyReader({ limits, clock: job.clock, stopping });
  const streams = new StatusStreams(limits.streamsMax);
  const metrics = new JobMetrics(() => job.status(), [
    ...httpMetrics(reader, connections, streams),
    ...sinkMetrics(job),
  ]);

  if (tracing) app.use(namedSpans(tracing));
  app.get("*", headLengths);
  const notWhileStopping: Check = (c) =>
    !stopping.aborted || isProbe(c) || isPage(c) || isPeer(c)
      ? null
      : fail(c, 503, "stopping", "The job stops");
  app.use(checked(...accessChecks(access), notWhileStopping, wellFormedOnly));
  app.onError((error, c) => {
    reader.count(error);
    return failWith(c, error);
  });
  app.notFound((c) => fail(c, 404, "not_found", `There is no ${c.req.method} ${c.req.path}`));

  app.post("/transactions", (c) => {
    if (c.req.header("idempotency-key") === undefined) {
      return answerEach(c, { job, reader }, TRANSACTIONS);
    }
    return fail(
      c,
      400,
      "idempotency_key_unsupported",
      "Idempotency-Key is not supported: a transaction is known by its itemId and transactionId, and one that is " +
        "repeated with the same ts and quantity is executed once",
    );
  });
  app.post("/queries", (c) => answerEach(c, { job, reader }, QUERIES));
  app.route("/", itemRoutes(job, stopping));
  app.route("/", clusterRoutes({ job, reader, tokens: peerTokensOf(access), stopping: ended }));
  app.route("/savepoints", savepointRoutes(job, reader, limits.savepointsMax));
  app.route("/", logRoutes(job, reader));
  app.get("/checkpoints", async (c) => {
    const from = integerQuery(c, "partition", { min: 0, max: 1_000_000 }) ?? 0;
    const { checkpoints, next } = await job.checkpointsFrom(from);
    return c.json({ checkpoints, next, events: await job.checkpointEvents(EVENTS_MAX) });
  });
  app.route("/status", statusRoutes({ job, reader, streams, stopping }));
  app.get("/livez", (c) => c.text("ok\n", 200, { [LIFE_HEADER]: life }));
  app.get(
    "/readyz",
    (c) => answerReadiness(c, { job, conditions: job.conditions, stopping }),
  );
  app.get("/metrics", (c) => c.body(metrics.scrape(), 200, { "content-type": METRICS_TYPE }));
  app.route("/", pageRoutes(INDEX));
  answerOtherMethods(app);
  return app;
}

/** Deno makes a span of each request, and knows no routes. */
function namedSpans(tracing: Tracing): MiddlewareHandler {
  return async (c, next) => {
    await next();
    const route = matchedRoutes(c).findLast(({ path }) => !path.endsWith("*"));
    if (route) tracing.nameActive(c.req.method, route.path);
  };
}

/** Transactions whose id was given to them here. */
const ASSIGNED = new WeakSet<ItemTransaction>();

const TRANSACTIONS: Handling<ItemTransaction, Executed> = {
  parse: (codec, text, gateway) => {
    let isAssigned = false;
    const transaction = codec.parsePosted(text, () => {
      isAssigned = true;
      return gateway.newTransactionId();
    });
    if (isAssigned) ASSIGNED.add(transaction);
    return transaction;
  },
  parseBytes: (codec, bytes) => codec.parseTransactionBytes(bytes),
  execute: (gateway, transactions) => gateway.execute(transactions),
  format: (codec, transaction, executed) =>
    codec.formatTransactionResult({ transaction, ...executed }),
  assignedId: (transaction) => ASSIGNED.has(transaction) ? transaction.transactionId : null,
  headers: (codec, results) => {
    // What a line cannot say; JSON says it of each.
    const count = results.filter((r) => !(r instanceof Error) && r.duplicate).length;
    const headers: Record<string, string> = {};
    if (codec === TEXT && count > 0) headers[DUPLICATES_HEADER] = String(count);
    return headers;
  },
};

const QUERIES: Handling<Query, QueryResult> = {
  parse: (codec, text) => codec.parseQuery(text),
  parseBytes: (codec, bytes) => codec.parseQueryBytes(bytes),
  execute: (gateway, queries) => gateway.ask(queries),
  format: (codec, _query, result) => codec.formatQueryResult(result),
  assignedId: () => null,
  headers: () => ({}),
};
