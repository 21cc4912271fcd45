import { configure, dispose, getTextFormatter, type LogRecord } from "@logtape/logtape";
import { type Clock, escapeControls, systemClock } from "../types/mod.ts";
import { flushOutputs, standardError, standardOutput } from "./line_output.ts";
import { RepeatLimit } from "./repeat_limit.ts";

export interface LogOptions {
  /** The least grave messages that are written. */
  readonly level: "info" | "warning" | "error";
  /** Texts that are never written, wherever they come from. */
  readonly secrets: readonly string[];
  /** Bytes of lines that may wait for whoever reads them; a megabyte by default. */
  readonly queueBytesMax?: number;
}

/** A value within a message or behind it: texts without quotes, big integers as their digits. */
function show(value: unknown): string {
  if (typeof value === "string") return value;
  return JSON.stringify(value, jsonValue) ?? String(value);
}

function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

/** One JSON object: time, level, logger, message, and the properties of the message that are not among these. */
export function formatJsonLine(
  { timestamp, level, category, message, properties }: LogRecord,
): string {
  const text = message.map((part, i) => i % 2 === 0 ? part as string : show(part)).join("");
  const line = {
    time: new Date(timestamp).toISOString(),
    level,
    logger: category.join("."),
    message: text,
  };
  const own = Object.entries(properties).filter(([key]) => !Object.hasOwn(line, key));
  return escapeControls(JSON.stringify({ ...line, ...Object.fromEntries(own) }, jsonValue)) + "\n";
}

const formatText = getTextFormatter({ timestamp: "time", value: show });

/** C0 and C1 controls but TAB and LF: what a log quotes must not steer a terminal. */
// deno-lint-ignore no-control-regex
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** A line for people; it takes the place of a progress bar that stands in its line. */
export function formatTerminalLine(record: LogRecord): string {
  return "\r\x1b[K" + formatText(record).replaceAll(CONTROLS, "\ufffd");
}

/** Takes secrets out of a line, as they are and as JSON writes them. */
export function redact(line: string, secrets: readonly string[]): string {
  let redacted = line;
  for (const secret of secrets) {
    for (const form of [secret, JSON.stringify(secret).slice(1, -1)]) {
      redacted = redacted.replaceAll(form, "***");
    }
  }
  return redacted;
}

/** Secrets of this process, which what it says at its end must not show either. */
let ownSecrets: readonly string[] = [];

/** A text without the secrets with which logs were configured. */
export function withoutSecrets(text: string): string {
  return redact(text, ownSecrets);
}

/** Logs go to standard error: readable on a terminal, else one JSON object a line; repeats are held back. */
export async function configureLogs(
  { level, secrets, queueBytesMax }: LogOptions,
  clock: Clock = systemClock,
): Promise<void> {
  if (queueBytesMax !== undefined) {
    standardError.bytesMax = standardOutput.bytesMax = queueBytesMax;
  }
  ownSecrets = secrets;
  const format = Deno.stderr.isTerminal() ? formatTerminalLine : formatJsonLine;
  const limit = new RepeatLimit(
    (record) => standardError.write(redact(format(record), secrets)),
    clock,
  );
  const stderr = Object.assign((record: LogRecord) => limit.accept(record), {
    [Symbol.dispose]: () => limit.close(),
  });
  await configure({
    sinks: { stderr },
    loggers: [
      { category: ["stockflow"], sinks: ["stderr"], lowestLevel: level },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "warning" },
    ],
  });
}

/** Writes what is held back, and waits a second at the most until it is read; logs go on without limit. */
export async function closeLogs(): Promise<void> {
  await dispose();
  await flushOutputs();
}
