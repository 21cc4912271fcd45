import { configure, getTextFormatter, type LogRecord } from "@logtape/logtape";

const encoder = new TextEncoder();

/** A value within a message or behind it: texts without quotes, big integers as their digits. */
function show(value: unknown): string {
  if (typeof value === "string") return value;
  return JSON.stringify(value, jsonValue) ?? String(value);
}

function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

/** One JSON object: time, level, logger, message, and the properties of the message. */
export function formatJsonLine(
  { timestamp, level, category, message, properties }: LogRecord,
): string {
  const text = message.map((part, i) => i % 2 === 0 ? part as string : show(part)).join("");
  const line = {
    time: new Date(timestamp).toISOString(),
    level,
    logger: category.join("."),
    message: text,
    ...properties,
  };
  return JSON.stringify(line, jsonValue) + "\n";
}

/** Logs go to standard error: readable on a terminal, else one JSON object a line. */
export async function configureLogs(): Promise<void> {
  const format = Deno.stderr.isTerminal()
    ? getTextFormatter({ timestamp: "time", value: show })
    : formatJsonLine;
  const stderr = (record: LogRecord) => void Deno.stderr.writeSync(encoder.encode(format(record)));
  await configure({
    sinks: { stderr },
    loggers: [
      { category: ["stockflow"], sinks: ["stderr"], lowestLevel: "info" },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "warning" },
    ],
  });
}
