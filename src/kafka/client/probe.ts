// What a listener speaks, asked over a connection of its own when another one was closed without an answer:
// a broker closes the connections of whoever speaks otherwise, and does not say why.

import { systemClock } from "../../types/mod.ts";

/** How a connection is used wrongly; kafkajs passes the code of an error on, but not its class. */
export const Mismatch = {
  /** The listener speaks TLS, and the client does not. */
  Tls: "STOCKFLOW_LISTENER_TLS",
  /** The client speaks TLS, and the listener does not. */
  Plaintext: "STOCKFLOW_LISTENER_PLAINTEXT",
  /** The listener wants SASL, and the client does not use it. */
  Sasl: "STOCKFLOW_LISTENER_SASL",
} as const;

/** An error that says how a listener is used wrongly. */
export class MismatchError extends Error {
  override readonly name = "MismatchError";

  constructor(readonly code: (typeof Mismatch)[keyof typeof Mismatch], message: string) {
    super(message);
  }
}

/** A connection for a probe. */
export interface ProbedWire {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

const PROBE_MS_MAX = 1500;
const CORRELATION_ID = 7;
const UNSUPPORTED_SASL_MECHANISM = 33;

/** ApiVersions v0 without client id: what every listener answers, with SASL or without. */
const API_VERSIONS = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, CORRELATION_ID, 255, 255];
/** SaslHandshake v1 for PLAIN without client id: a listener without SASL refuses it by a code of its own. */
// deno-fmt-ignore
const SASL_HANDSHAKE = [0, 0, 0, 17, 0, 17, 0, 1, 0, 0, 0, CORRELATION_ID, 255, 255, 0, 5, 80, 76, 65, 73, 78];

/** Whether a Kafka broker answers without TLS; false too when nothing is sure. */
export async function answersInPlaintext(dial: () => Promise<ProbedWire>): Promise<boolean> {
  return await ask(dial, API_VERSIONS) !== null;
}

/** Whether a listener wants SASL; false too when nothing is sure. */
export async function wantsSasl(dial: () => Promise<ProbedWire>): Promise<boolean> {
  const code = await ask(dial, SASL_HANDSHAKE);
  return code === 0 || code === UNSUPPORTED_SASL_MECHANISM;
}

/** The error code with which an answer begins; null without one of Kafka. */
async function ask(
  dial: () => Promise<ProbedWire>,
  request: readonly number[],
): Promise<number | null> {
  const over = new AbortController();
  let wire: ProbedWire | null = null;
  const asked = (async () => {
    wire = await dial();
    if (over.signal.aborted) return null;
    await wire.write(new Uint8Array(request));
    const answer = new Uint8Array(10);
    for (let have = 0; have < answer.length;) {
      const n = await wire.read(answer.subarray(have));
      if (n === null) return null;
      have += n;
    }
    const view = new DataView(answer.buffer);
    return view.getInt32(4) === CORRELATION_ID ? view.getInt16(8) : null;
  })().catch(() => null).finally(() => wire?.close());
  const late = systemClock.sleep(PROBE_MS_MAX, over.signal).then(() => {
    wire?.close();
    return null;
  });
  try {
    return await Promise.race([asked, late]);
  } finally {
    over.abort("over");
  }
}
