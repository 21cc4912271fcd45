import type { AnyMethods, Methods } from "../../src/log/mod.ts";
import { Rpc } from "../../src/engine/threads/rpc.ts";

/** Two ends of a channel as between threads: messages are cloned, buffers are moved. */
export function channel<C>(
  methods: Partial<Methods<C>>,
  onPost: (messages: readonly unknown[]) => void = () => {},
): { near: Rpc<C>; far: Rpc<unknown> } {
  const send = (to: () => Rpc<unknown>) => ({
    postMessage(message: unknown, transfer: Transferable[] = []) {
      const moved = structuredClone(message, { transfer }) as never;
      onPost(message as unknown[]);
      queueMicrotask(() => to().receive(moved));
    },
  });
  const near: Rpc<C> = new Rpc(send(() => far), {});
  const far: Rpc<unknown> = new Rpc(
    send(() => near as Rpc<unknown>),
    methods as AnyMethods,
  );
  return { near, far };
}
