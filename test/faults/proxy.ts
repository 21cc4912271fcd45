// A TCP proxy on 127.0.0.1 that can become a black hole: it takes connections and bytes, and forwards
// nothing until it is asked to go on. What it held back arrives then, late.

import { type Passing, TcpProxy } from "../../tools/kit/tcp_proxy.ts";

/** A proxy for one address, which may be set after the start. */
export class BlackHoleProxy extends TcpProxy {
  #gate: PromiseWithResolvers<void> | null = null;
  /** Bytes that went through, or are held back. */
  taken = 0;

  /** Forwards nothing any more. */
  swallow(): void {
    this.#gate ??= Promise.withResolvers();
  }

  /** Forwards what was held back, and goes on. */
  goOn(): void {
    this.#gate?.resolve();
    this.#gate = null;
  }

  override close(): void {
    this.goOn();
    super.close();
  }

  protected override join(): Passing {
    return {
      hold: () => this.#gate?.promise,
      onBytes: ({ length }) => {
        this.taken += length;
        return this.#gate?.promise;
      },
    };
  }
}
