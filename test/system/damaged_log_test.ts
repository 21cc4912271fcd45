// A damaged log.kv: the embedded job cannot do without it, so it stops, names the file and leaves it alone.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Service, startService, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";

/** Behind the first page, which shows SQLite what the file is. */
const SECOND_PAGE = 4096;

const BATCH = "a batch has other bytes";

const DAMAGES: Readonly<Record<string, (path: string) => Promise<void>>> = {
  "its header is overwritten": (path) => change(path, (bytes) => bytes.fill(0x5a, 0, 100)),
  "its pages are overwritten": (path) => change(path, (bytes) => bytes.fill(0x5a, SECOND_PAGE)),
  // Threads of Deno would end the process over them.
  "tables of Deno KV itself are overwritten": (path) =>
    change(path, (bytes) => bytes.fill(0x5a, 2 * SECOND_PAGE, 9 * SECOND_PAGE)),
  "it is cut": (path) => change(path, (bytes) => bytes.subarray(0, bytes.length >> 1)),
  [BATCH]: async (path) => {
    const [first] = await batchesOf(path);
    const bytes = first!.value.slice();
    bytes[bytes.length - 1]! ^= 1;
    using kv = await Deno.openKv(path);
    await kv.set(first!.key, bytes);
  },
};

async function batchesOf(path: string): Promise<{ key: Deno.KvKey; value: Uint8Array }[]> {
  using kv = await Deno.openKv(path);
  return await Array.fromAsync(kv.list<Uint8Array>({ prefix: ["batch", "transactions"] }));
}

/** What must stay: the file's bytes; of a file that SQLite can read, as claims are written to it, the batches. */
function kept(what: string, path: string): Promise<unknown> {
  return what === BATCH ? batchesOf(path) : Deno.readFile(path);
}

async function change(path: string, damaged: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  await Deno.writeFile(path, damaged(await Deno.readFile(path)));
}

/** What a start says that does not come to be ready, and its exit code. */
async function refusal(folder: string, flags: Record<string, string>): Promise<string> {
  let service: Service;
  try {
    service = await startService({ folder, flags });
  } catch (error) {
    return (error as Error).message;
  }
  await waitReady(service).catch(() => {});
  const { code } = await service.status;
  return `exit ${code}: ${service.log()}`;
}

for (const [what, damage] of Object.entries(DAMAGES)) {
  Deno.test(`a damaged log.kv stops the job, is named, and stays as it is: ${what}`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "stockflow-damaged-" });
    const path = `${folder}/log.kv`;
    // Without checkpoints everything is folded again.
    const flags = { "checkpoint.interval.millis": "0", "log.partitions": "1" };
    try {
      const service = await startService({ folder, flags });
      for (let i = 0; i < 20; i++) {
        const body = Array.from({ length: 50 }, (_, n) => `1${i}${n}\t5\titem_${n}\t1`).join("\n");
        const headers = { "content-type": "text/plain" };
        const answer = await fetch(`${service.url}/transactions`, {
          method: "POST",
          headers,
          body,
        });
        assert(answer.ok, await answer.text());
      }
      await stopInGoodOrder(service);
      await damage(path);
      const before = await kept(what, path);
      const said = await refusal(folder, flags);
      assertStringIncludes(said, "exit 2: ");
      // SQLite finds what it wrote itself; of a batch the CRC shows it, so that its offset is named.
      const named = what === BATCH ? "transactions-0 at offset 0" : path;
      assertStringIncludes(said, named);
      assert(/damaged|malformed|not a database/.test(said), said);
      assertEquals(await kept(what, path), before);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
