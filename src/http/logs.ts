import { type Context, Hono } from "hono";
import type { LogBrowser } from "../log/mod.ts";
import { newestRecords, type RunningJob } from "../service/mod.ts";
import {
  type Codec,
  codecOf,
  decodeUtf8,
  escapeControls,
  Format,
  type LogRecord,
  type TransactionSummary,
} from "../types/mod.ts";
import { answerText } from "./answer_stream.ts";
import { fail, integerQuery } from "./answers.ts";
import type { BodyReader } from "./body_reader.ts";

const RECORDS_DEFAULT = 100;
const RECORDS_MAX = 1000;

const limitOf = (c: Context) => integerQuery(c, "limit", { min: 1, max: RECORDS_MAX });

/** Bytes as they can stand in JSON: text if they are UTF-8. */
function jsonBytes(bytes: Uint8Array | null): string | { base64: string } | null {
  return bytes && (decodeUtf8(bytes) ?? { base64: bytes.toBase64() });
}

function jsonRecord({ offset, timestamp, key, value, headers }: LogRecord): unknown {
  return {
    offset,
    timestamp,
    key: jsonBytes(key),
    value: jsonBytes(value),
    headers: headers.map((h) => ({ key: h.key, value: jsonBytes(h.value) })),
  };
}

/** Routes that look into the topics: /logs and /summaries. */
export function logRoutes(job: RunningJob, reader: BodyReader): Hono {
  const app = new Hono();
  const json = (c: Context, text: string) => answerText(c, reader, "application/json", text);
  const withLogs = (
    handle: (c: Context, logs: LogBrowser) => Response | Promise<Response>,
  ) =>
  (c: Context) =>
    job.logs
      ? handle(c, job.logs)
      : fail(c, 409, "not_readable", "The job keeps its log elsewhere; read that log");

  app.get("/logs", withLogs(async (c, logs) => c.json({ topics: await logs.topics() })));
  app.get(
    "/logs/:topic/:partition",
    withLogs(async (c, logs) => {
      const { topic, partition: text } = c.req.param() as Record<string, string>;
      const partition = /^(0|[1-9][0-9]{0,5})$/.test(text!) ? Number(text) : -1;
      const offset = integerQuery(c, "offset", { min: 0, max: Number.MAX_SAFE_INTEGER });
      const limit = limitOf(c) ?? RECORDS_DEFAULT;
      const page = await logs.read(topic!, partition, offset, limit);
      if (!page) {
        const message = `The log has no partition ${JSON.stringify(text)} of a topic ` +
          `${JSON.stringify(topic)}; GET /logs lists what it has`;
        return fail(c, 404, "not_found", message);
      }
      const records = page.records.map(jsonRecord);
      return json(c, escapeControls(JSON.stringify({ topic, partition, ...page, records })));
    }),
  );
  app.get(
    "/summaries",
    withLogs(async (c, logs) => {
      const { summaries: topic } = job.topics;
      const limit = limitOf(c) ?? RECORDS_DEFAULT;
      const records = topic === null ? [] : await newestRecords(logs, topic, limit);
      const written = records.map((r) => JSON_CODEC.formatSummary(summaryOf(r)));
      return json(c, escapeControls(`{"summaries":[${written.join(",")}]}\n`));
    }),
  );
  return app;
}

const JSON_CODEC: Codec = codecOf(Format.Json);

/** A summary of the log, in whichever format it was written: only text has a TAB in it. */
function summaryOf({ value }: LogRecord): TransactionSummary {
  const text = decodeUtf8(value!)!;
  return codecOf(text.includes("\t") ? Format.Text : Format.Json).parseSummary(text);
}
