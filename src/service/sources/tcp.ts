import { StopError } from "../../log/mod.ts";
import { addressOf } from "../process_life.ts";

/** A stream of bytes from another process. */
export interface Connection {
  /** Fills a buffer; null at the end of the stream. */
  read(buffer: Uint8Array): Promise<number | null>;
  close(): void;
}

/** Connects, unless the signal is aborted before. */
export type Dial = (signal: AbortSignal) => Promise<Connection>;

/** Where lines come from. */
export interface LineEndpoint {
  /** For messages, such as host:port. */
  readonly address: string;
  readonly dial: Dial;
  /** What its user may type to play the server. */
  readonly hint?: string;
}

/**
 * A server that is connected to by TCP, again and again.
 *
 * @throws {StopError} when Deno does not allow the address
 */
export function tcp(hostname: string, port: number): LineEndpoint {
  const host = addressOf(hostname, port);
  if (Deno.permissions.querySync({ name: "net", host }).state !== "granted") {
    throw new StopError(
      `Deno does not allow a connection to ${host}`,
      `start by deno task start, which allows all hosts, or add ${host} to --allow-net of the command`,
    );
  }
  return {
    address: host,
    dial: (signal) => Deno.connect({ hostname, port, signal }),
    hint: `nc -lk ${port}    in another terminal, and there the line: 123 item_2`,
  };
}
