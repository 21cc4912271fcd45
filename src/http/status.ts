// What the page shows, for programs as well: the status once or as a stream, charts, hot items, the configuration.

import { type Context, Hono } from "hono";
import type { JobStatus, RunningJob, SeriesPoint } from "../service/mod.ts";
import { encodeUtf8, shorten } from "../types/mod.ts";
import { answerText } from "./answer_stream.ts";
import { checked, fail } from "./answers.ts";
import type { BodyReader } from "./body_reader.ts";

/** Items of a list of hot ones. */
const HOT_ITEMS = 50;
/** How often a stream has a new status. */
const STREAM_MS = 1000;

/** How many streams are open, bounded by http.streams.max. */
export class StatusStreams {
  open = 0;
  refused = 0;

  constructor(readonly max: number) {}
}

export interface StatusOptions {
  readonly job: RunningJob;
  readonly reader: BodyReader;
  readonly streams: StatusStreams;
  /** Aborted when the server stops taking requests. */
  readonly stopping: AbortSignal;
}

/** Routes below /status. */
export function statusRoutes({ job, reader, streams, stopping }: StatusOptions): Hono {
  const app = new Hono();
  app.use(checked(refusalOfOthers));
  const json = (c: Context, value: unknown) =>
    answerText(c, reader, "application/json", `${JSON.stringify(value)}\n`);
  app.get(
    "/",
    async (c) => json(c, isOfProcess(c) ? job.status() : (await job.statusOfAll()).status),
  );
  app.get(
    "/history",
    async (c) => json(c, isOfProcess(c) ? job.history : await job.historyOfAll()),
  );
  app.get("/hot-items", async (c) => json(c, await job.hotItemsOfAll(HOT_ITEMS)));
  app.get("/configuration", (c) => json(c, { parameters: job.configuration }));
  app.get("/stream", (c) => {
    if (streams.open >= streams.max) {
      streams.refused++;
      const message = `There are ${streams.max} streams, which is the most (http.streams.max)`;
      return fail(c, 503, "busy", message);
    }
    const headers = { "content-type": "application/x-ndjson", "cache-control": "no-store" };
    // A stream has no length, and HEAD would wait for its end.
    if (c.req.method === "HEAD") return c.body(null, 200, headers);
    const read = isOfProcess(c)
      ? () => Promise.resolve({ status: job.status(), point: job.historyPoint })
      : () => job.statusOfAll();
    return c.body(streamOf(job, read, streams, stopping), 200, headers);
  });
  return app;
}

/** Whether the status of this process alone is asked for, where others share the partitions. */
function isOfProcess(c: Context): boolean {
  return c.req.query("of") === "process";
}

function refusalOfOthers(c: Context): Response | null {
  const of = c.req.query("of");
  if (of === undefined || of === "process") return null;
  const given = JSON.stringify(shorten(of));
  return fail(c, 400, "of", `of=process asks for this process alone; of=${given} is not known`);
}

/**
 * A line of JSON at once and one a second, each with the status and the newest point of the charts. One that is not
 * read is not written: whoever reads slowly misses some.
 */
function streamOf(
  job: RunningJob,
  read: () => Promise<{ status: JobStatus; point: SeriesPoint | null }>,
  streams: StatusStreams,
  stopping: AbortSignal,
): ReadableStream<Uint8Array> {
  streams.open++;
  const over = new AbortController();
  const end = () => {
    if (over.signal.aborted) return;
    over.abort("over"); // without a reason an error with a stack is made
    streams.open--;
  };
  const ended = AbortSignal.any([over.signal, stopping]);
  let isFirst = true;
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      if (!isFirst) await job.clock.sleep(STREAM_MS, ended);
      isFirst = false;
      if (ended.aborted) {
        end();
        controller.close();
        return;
      }
      try {
        controller.enqueue(encodeUtf8(`${JSON.stringify(await read())}\n`));
      } catch (error) {
        end(); // nobody cancels a stream that ends in an error
        throw error;
      }
    },
    cancel: end,
  }, { highWaterMark: 0 });
}
