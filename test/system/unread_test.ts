// The real service, whose standard error nobody reads.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { serviceArguments } from "../../tools/kit/service.ts";

const ROOT = new URL("../../", import.meta.url);

/** Fills the pipe of standard error to its last byte, and runs a program then. */
const WITH_FULL_PIPE =
  'exec 3>&2; dd if=/dev/zero of=/dev/fd/3 bs=1 count=2000000 oflag=nonblock 2>/dev/null; exec "$@"';

Deno.test("a service whose standard error nobody reads goes on, and stops by SIGTERM", async () => {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-unread-" });
  const child = new Deno.Command("sh", {
    args: ["-c", WITH_FULL_PIPE, "sh", Deno.execPath(), ...serviceArguments(folder)],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped", // and never read
  }).spawn();
  const signal = AbortSignal.timeout(60_000);
  signal.addEventListener("abort", () => child.kill("SIGKILL"));
  try {
    const url = await urlOf(child.stdout);
    // A savepoint is of all partitions.
    for (let isReady = false; !isReady;) {
      const response = await fetch(`${url}/readyz`, { signal });
      await response.body?.cancel();
      isReady = response.ok;
    }
    const post = async (path: string, type: string, body: string) => {
      const headers = { "content-type": type };
      const response = await fetch(`${url}${path}`, { method: "POST", headers, body, signal });
      return { status: response.status, text: await response.text() };
    };
    for (let i = 0; i < 5; i++) {
      const { text } = await post("/transactions", "text/plain", `${i}\t5\titem_2\t1`);
      assertStringIncludes(text, "true");
      // It is logged.
      const body = JSON.stringify({ name: `s${i}` });
      assertEquals((await post("/savepoints", "application/json", body)).status, 201);
    }
    const answer = await fetch(`${url}/items/item_2`, { signal });
    assertEquals((await answer.json()).quantity, 5);
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0);
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await child.status;
    await child.stderr.cancel();
    await Deno.remove(folder, { recursive: true });
  }
});

/** Reads the line that has the address; goes on reading, so that the child never waits. */
function urlOf(stdout: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  return new Promise((resolve, reject) => {
    void (async () => {
      let text = "";
      for await (const part of stdout.pipeThrough(new TextDecoderStream())) {
        text += part;
        const found = /listens on (http:\S+)/.exec(text);
        if (found) resolve(found[1]!);
      }
      reject(new Error("It did not start"));
    })();
  });
}
