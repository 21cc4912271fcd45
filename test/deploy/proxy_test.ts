// config/nginx.conf before the real service: TLS, streams, sizes, names. Needs nginx (apt-get install nginx-light) and
// openssl; without them it is skipped, in CI that is a failure.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { startService, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Certificates } from "../kafka/certificates.ts";
import { freePort } from "../../tools/kit/test_broker.ts";

const CONFIG = new URL("../../config/nginx.conf", import.meta.url);
const TOKEN = "a-token-of-a-test";

async function run(program: string, ...args: string[]): Promise<string | null> {
  try {
    const { success, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
    return success ? null : new TextDecoder().decode(stderr);
  } catch {
    return `${program} is not installed (Debian: apt-get install nginx-light openssl)`;
  }
}

const skipped = await run("nginx", "-v") ?? await run("openssl", "version");

/** nginx with the file of the repository, in a folder of its own. */
async function startProxy(folder: string, servicePort: string) {
  const port = freePort();
  const certificates = await Certificates.open();
  await certificates.makeAuthority("authority");
  await certificates.makeCertificate("stockflow", "authority");
  for (const [from, to] of [["pem", "crt"], ["key", "key"]]) {
    await Deno.copyFile(certificates.file(`stockflow.${from}`), `${folder}/stockflow.${to}`);
  }
  const text = (await Deno.readTextFile(CONFIG))
    .replace("listen 443 ssl", `listen 127.0.0.1:${port} ssl`)
    .replace("127.0.0.1:8080", `127.0.0.1:${servicePort}`)
    .replaceAll("/etc/nginx/", `${folder}/`);
  await Deno.writeTextFile(`${folder}/nginx.conf`, text);
  const nginx = new Deno.Command("nginx", {
    // deno-fmt-ignore
    args: [
      "-p", folder, "-c", `${folder}/nginx.conf`, "-e", `${folder}/error.log`,
      "-g", `daemon off; pid ${folder}/pid; `,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const client = Deno.createHttpClient({
    caCerts: [await Deno.readTextFile(certificates.file("authority.pem"))],
  });
  const url = `https://127.0.0.1:${port}`;
  const ask = (path: string, init: RequestInit = {}) =>
    fetch(`${url}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${TOKEN}`, ...init.headers },
      client,
    });
  const answers = () => ask("/livez").then(async (r) => (await r.text()) === "ok\n", () => false);
  let hasEnded = false;
  void nginx.status.then(() => hasEnded = true);
  for (let i = 0; !await answers(); i++) {
    if (hasEnded || i >= 1200) {
      const said = await Deno.readTextFile(`${folder}/error.log`).catch(() => "");
      throw new Error(`nginx does not answer: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    ask,
    stop: async () => {
      client.close();
      nginx.kill("SIGTERM");
      await nginx.status;
    },
  };
}

const name =
  "config/nginx.conf: posts, streams and the page come through TLS; metrics and foreign pages do not";
Deno.test({ name: skipped ? `${name}: ${skipped}` : name, ignore: skipped !== null }, async () => {
  const service = await startService({ flags: { "http.token": TOKEN } });
  await waitReady(service);
  const proxy = await startProxy(service.folder, new URL(service.url).port);
  try {
    const text = { "content-type": "text/plain" };
    const line = "1\t1700000000000\titem_2\t100";
    const posted = await proxy.ask("/transactions", { method: "POST", headers: text, body: line });
    assertEquals([posted.status, await posted.text()], [200, `${line}\ttrue\n`]);
    // The first line comes at once, though the stream goes on.
    const stream = await proxy.ask("/status/stream");
    const reader = stream.body!.getReader();
    const { value } = await reader.read();
    assertStringIncludes(new TextDecoder().decode(value), '"status":');
    await reader.cancel();
    const page = await proxy.ask("/items/item_2", { headers: { origin: proxy.url } });
    assertEquals([page.status, (await page.json()).quantity], [200, 100]);
    const statusOf = async (path: string, init: RequestInit) => {
      const response = await proxy.ask(path, init);
      await response.body?.cancel();
      return response.status;
    };
    assertEquals(
      await statusOf("/items/item_2", { headers: { origin: "https://evil.example" } }),
      403,
    );
    assertEquals(await statusOf("/items/item_2", { headers: { authorization: "" } }), 401);
    assertEquals(await statusOf("/metrics", {}), 403);
    const large = "x".repeat(9 * 2 ** 20);
    assertEquals(
      await statusOf("/transactions", { method: "POST", headers: text, body: large }),
      413,
    );
  } finally {
    await proxy.stop();
    await stopInGoodOrder(service);
    await Deno.remove(service.folder, { recursive: true });
  }
});
