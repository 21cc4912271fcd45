// Asks /livez over and over, in a thread of its own: a client that is busy makes no answer look late.

export interface ProbeReport {
  /** Answers since the last report. */
  readonly answers: number;
  readonly failures: number;
  /** The longest that one took, in ms. */
  readonly longestMs: number;
}

const scope = self as unknown as {
  postMessage(message: ProbeReport): void;
  onmessage: (event: MessageEvent<string | null>) => void;
};

const EVERY_MS = 10;
let report = { answers: 0, failures: 0, longestMs: 0 };
let askedAt: number | null = null;

async function probe(url: string): Promise<never> {
  while (true) {
    askedAt = performance.now();
    const ok = await fetch(`${url}/livez`).then(
      async (answer) => (await answer.text()) === "ok\n",
      () => false,
    );
    const ms = performance.now() - askedAt;
    askedAt = null;
    report.longestMs = Math.max(report.longestMs, ms);
    if (ok) report.answers++;
    else report.failures++;
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

scope.onmessage = ({ data }) => {
  if (data !== null) return void probe(data);
  // One that has not come yet counts with the time that it took so far.
  const soFar = askedAt === null ? 0 : performance.now() - askedAt;
  scope.postMessage({ ...report, longestMs: Math.max(report.longestMs, soFar) });
  report = { answers: 0, failures: 0, longestMs: 0 };
};
