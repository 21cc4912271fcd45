// What the page shows, for programs as well: the status once or as a stream, charts, hot items, the configuration.

import { type Context, Hono } from "hono";
import type { RunningJob } from "../service/mod.ts";
import { encodeUtf8 } from "../types/mod.ts";
import { answerText } from "./answer_stream.ts";
import { fail } from "./answers.ts";
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
  const json = (c: Context, value: unknown) =>
    answerText(c, reader, "application/json", `${JSON.stringify(value)}\n`);
  app.get("/", (c) => json(c, job.status()));
  app.get("/history", (c) => json(c, job.history));
  app.get("/hot-items", async (c) => json(c, await job.hotItems(HOT_ITEMS)));
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
    return c.body(streamOf(job, streams, stopping), 200, headers);
  });
  return app;
}

/**
 * A line of JSON at once and one a second, each with the status and the newest point of the charts. One that is not
 * read is not written: whoever reads slowly misses some.
 */
function streamOf(
  job: RunningJob,
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
      const line = { status: job.status(), point: job.historyPoint };
      controller.enqueue(encodeUtf8(`${JSON.stringify(line)}\n`));
    },
    cancel: end,
  }, { highWaterMark: 0 });
}
