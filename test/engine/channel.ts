import type { Method } from "../../src/log/threaded_log.ts";
import { Rpc } from "../../src/engine/threads/rpc.ts";

/** Two ends of a channel as between threads: messages are cloned, buffers are moved. */
export function channel(
  methods: Record<string, Method>,
  onPost: (messages: readonly unknown[]) => void = () => {},
): { near: Rpc; far: Rpc } {
  const send = (to: () => Rpc) => ({
    postMessage(message: unknown, transfer: Transferable[] = []) {
      const moved = structuredClone(message, { transfer }) as never;
      onPost(message as unknown[]);
      queueMicrotask(() => to().receive(moved));
    },
  });
  const near: Rpc = new Rpc(send(() => far), {});
  const far: Rpc = new Rpc(send(() => near), methods);
  return { near, far };
}
