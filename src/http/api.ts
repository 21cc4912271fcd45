import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { INSTANCE_HEADER, type RunningJob } from "../job/mod.ts";
import { pinnedBy } from "../state/mod.ts";
import { encodeUtf8, InvalidRecordError } from "../types/mod.ts";
import { checkItemId } from "../types/fields.ts";
import { type Access, bearerToken, isProbe, knownHostsOnly, knownOriginsOnly } from "./access.ts";
import { fail, failWith, json, setRetryAfter, tellRefused } from "./answers.ts";
import {
  BodyError,
  type BodyForm,
  bytesOf,
  formOf,
  parseEach,
  refusal,
  unlessStopping,
} from "./bodies.ts";
import { logRoutes } from "./logs.ts";
import { JobMetrics } from "./metrics.ts";
import { answerReadiness } from "./readiness.ts";
import { savepointRoutes } from "./savepoints.ts";

const EVENTS_MAX = 100;

export interface ApiOptions {
  readonly job: RunningJob;
  /** Largest body of a request. */
  readonly bodyBytesMax: number;
  readonly access: Access;
  /** Tells one life of the process from the others. */
  readonly instanceId: string;
  /** Aborted when the server stops taking requests. */
  readonly stopping: AbortSignal;
}

/** The HTTP API of a running job. */
export function createApi(
  { job, bodyBytesMax, access, instanceId, stopping }: ApiOptions,
): Hono {
  const app = new Hono();
  const metrics = new JobMetrics(job);

  app.use(knownHostsOnly(access));
  app.use(knownOriginsOnly(access));
  if (access.token !== "") app.use(bearerToken(access.token));
  app.use(async (c, next) => {
    if (!stopping.aborted || isProbe(c)) return await next();
    return fail(c, 503, "stopping", "The job stops");
  });
  const limit = bodyLimit({
    maxSize: bodyBytesMax,
    onError: (c) => fail(c, 413, "body_too_large", `A body has at most ${bodyBytesMax} bytes`),
  });
  app.use(async (c, next) => {
    // It reads a body whose length is not told.
    let fits = false;
    const pass = () => Promise.resolve(void (fits = true));
    const refused = await unlessStopping(stopping, limit(c, pass));
    return fits ? await next() : refused;
  });
  app.onError((error, c) => failWith(c, error));
  app.notFound((c) => fail(c, 404, "not_found", `There is no ${c.req.method} ${c.req.path}`));

  app.post("/transactions", (c) =>
    answerEach(c, { job, stopping }, {
      parse: (form, records) =>
        parseEach(records, form.codec.parseTransaction, form.codec.parseTransactionBytes),
      execute: (gateway, transactions) => gateway.execute(transactions),
      format: (form, transaction, success) =>
        form.codec.formatTransactionResult({ transaction, success }),
    }));
  app.post("/queries", (c) =>
    answerEach(c, { job, stopping }, {
      parse: (form, records) =>
        parseEach(records, form.codec.parseQuery, form.codec.parseQueryBytes),
      execute: (gateway, queries) => gateway.ask(queries),
      format: (form, _query, result) => form.codec.formatQueryResult(result),
    }));
  app.get("/items/:id", async (c) => {
    const itemId = c.req.param("id");
    checkItemId(itemId);
    // A process that stands by may wait for days.
    const over = AbortSignal.any([stopping, c.req.raw.signal]);
    const [quantity] = await job.lookUp([itemId], over);
    if (quantity === null || quantity === undefined) {
      return fail(c, 404, "not_found", `Item ${JSON.stringify(itemId)} was never seen`);
    }
    return json(c, 200, `{"itemId":${JSON.stringify(itemId)},"quantity":${quantity}}`);
  });
  app.route("/savepoints", savepointRoutes(job, stopping));
  app.route("/", logRoutes(job));
  app.get("/checkpoints", async (c) => {
    const savepoints = await job.store.savepoints.list();
    const events = await job.checkpointEvents(EVENTS_MAX);
    const listed = await Promise.all((await job.store.partitions()).map((p) => job.store.list(p)));
    const checkpoints = listed.flat().map(({ partition, sequence, manifest, damage }) =>
      manifest
        ? {
          partition,
          sequence,
          offset: Number(manifest.scalars.position),
          items: Number(manifest.scalars.items),
          cutAt: manifest.cutAt,
          publishedAt: manifest.publishedAt,
          newBytes: manifest.newBytes,
          totalBytes: manifest.totalBytes,
          stateHash: manifest.stateHash,
          savepoints: pinnedBy(savepoints, partition).get(sequence) ?? [],
        }
        : { partition, sequence, damage }
    );
    return c.json({ checkpoints, events });
  });
  app.get("/livez", (c) => c.text("ok\n", 200, { [INSTANCE_HEADER]: instanceId }));
  app.get(
    "/readyz",
    (c) => answerReadiness(c, { job, conditions: job.context.conditions, stopping }),
  );
  app.get("/metrics", async (c) => {
    const { contentType, body } = await metrics.scrape();
    return c.body(body, 200, { "content-type": contentType });
  });
  app.get("/", (c) => c.text(INDEX));
  return app;
}

const INDEX = `stockflow

POST /transactions   execute transactions: text/plain, application/json or application/x-ndjson
POST /queries        ask for stocks, in the same forms
GET  /items/{id}     the stock of one item
GET  /summaries      the latest alerts: items with many failed transactions in a window
GET  /savepoints     named states; POST {"name":...} takes one, DELETE /savepoints/{name} gives it up
GET  /checkpoints    checkpoints and their history
GET  /logs           topics; /logs/{topic}/{partition}?offset=&limit= reads one
GET  /metrics        metrics for Prometheus
GET  /livez /readyz  whether the process lives, and whether it is ready
`;

type Gateway = NonNullable<RunningJob["gateway"]>;

/** How a kind of record is read, executed and answered. */
interface Handling<T, R> {
  parse(form: BodyForm, records: readonly (string | Uint8Array)[]): (T | InvalidRecordError)[];
  execute(gateway: Gateway, things: readonly T[]): Promise<(R | Error)[]>;
  format(form: BodyForm, thing: T, result: R): string;
}

/** One outcome per record: a bad one gets its own error and does not stop its neighbours. */
async function answerEach<T, R>(
  c: Context,
  { job, stopping }: Pick<ApiOptions, "job" | "stopping">,
  handling: Handling<T, R>,
): Promise<Response> {
  const { gateway } = job;
  if (!gateway) {
    return fail(c, 409, "not_embedded", "The job reads its log from elsewhere; append to that log");
  }
  const form = formOf(c.req.header("content-type"));
  const body = await bytesOf(c, stopping);
  const things = handling.parse(form, form.split(body));
  const valid = things.filter((t): t is T => !(t instanceof InvalidRecordError));
  const results = valid.length > 0 ? await handling.execute(gateway, valid) : [];
  let next = 0;
  let unavailable = 0;
  const outcomes = things.map((thing) => {
    if (thing instanceof InvalidRecordError) return refusal(form, thing);
    const result = results[next++]!;
    if (!(result instanceof Error)) return handling.format(form, thing as T, result as R);
    unavailable++;
    return form.error("unavailable", result.message);
  });
  if (outcomes.length === 0) throw new BodyError(400, "empty", "The body has no record");
  // The whole request failed only if no record of it succeeded.
  const status = unavailable === valid.length && unavailable > 0
    ? 503
    : valid.length === 0
    ? 400
    : 200;
  if (status === 503) {
    setRetryAfter(c);
    tellRefused(c, (results[0] as Error).message);
  }
  c.header("content-type", form.contentType);
  return c.body(encodeUtf8(form.join(outcomes, body)), status);
}
