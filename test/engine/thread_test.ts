import { assertEquals } from "@std/assert";
import { serve } from "../../src/engine/threads/thread.ts";

Deno.test("a thread that is recovering a partition says so to a look-up, which may be tried again", async () => {
  const answered = Promise.withResolvers<unknown>();
  const scope = globalThis as unknown as {
    postMessage?: (message: unknown) => void;
    onmessage?: ((event: MessageEvent) => void) | null;
  };
  scope.postMessage = answered.resolve;
  try {
    serve(() => {
      throw new Error("No log is needed");
    });
    const data = [{ kind: "call", id: 1, method: "lookUp", args: [3, [new Uint8Array(1)]] }];
    scope.onmessage!(new MessageEvent("message", { data }));
    const [{ kind, error }] = await answered.promise as [{ kind: string; error: Error }];
    assertEquals(
      [kind, error.name, error.message],
      ["error", "LostError", "Partition 3 is being recovered"],
    );
  } finally {
    delete scope.postMessage;
    scope.onmessage = null;
  }
});
