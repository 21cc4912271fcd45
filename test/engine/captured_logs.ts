import { configure, type LogRecord, reset } from "@logtape/logtape";

/** Gives a test what is logged while it runs: level and message. */
export async function capturingLogs(test: (logged: string[]) => Promise<void>): Promise<void> {
  const logged: string[] = [];
  const capture = ({ level, message }: LogRecord) =>
    void logged.push(`${level} ${message.map(String).join("")}`);
  await configure({
    sinks: { capture },
    loggers: [
      { category: "stockflow", sinks: ["capture"], lowestLevel: "info" },
      { category: ["logtape", "meta"], sinks: [] },
    ],
    // What a test before this one has set up.
    reset: true,
  });
  try {
    await test(logged);
  } finally {
    await reset();
  }
}
