import { StopError } from "../../log/mod.ts";
import { addressOf } from "../../service/instance.ts";

/** A stream of bytes from another process. */
export interface Connection {
  /** Fills a buffer; null at the end of the stream. */
  read(buffer: Uint8Array): Promise<number | null>;
  close(): void;
}

/** Connects, unless the signal is aborted before. */
export type Dial = (signal: AbortSignal) => Promise<Connection>;

/** Makes what connects to an address. */
export type Dialer = (hostname: string, port: number) => Dial;

/**
 * Connects by TCP.
 *
 * @throws {StopError} when Deno does not allow the address
 */
export const tcpDialer: Dialer = (hostname, port) => {
  const host = addressOf(hostname, port);
  if (Deno.permissions.querySync({ name: "net", host }).state !== "granted") {
    throw new StopError(
      `Deno does not allow a connection to ${host} (socket.host, socket.port)`,
      `start by deno task start, which allows all hosts, or add ${host} to --allow-net of the command`,
    );
  }
  return (signal) => Deno.connect({ hostname, port, signal });
};
