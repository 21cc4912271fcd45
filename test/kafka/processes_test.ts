// What compose.yaml starts, without containers: three processes of the bundle's launcher with the same variables, on a
// real broker and a real denokv, by the command of the image. Without denokv it is skipped; in CI that is a failure.

import { assertEquals } from "@std/assert";
import { buildBundle } from "../../tools/kit/bundle.ts";
import { type KvServer, startKvServer, whyNoKvServer } from "../../tools/kit/kv_server.ts";
import { type Service, whenListening } from "../../tools/kit/service.ts";
import { type Scene, Stage } from "./scene.ts";
import { until } from "./until.ts";
import { environmentName, PARAMETER_KEYS } from "../../src/parameters/parameter_table.ts";

const stage = await Stage.shared();
const TOKEN = "a-token-of-a-test";

/** The variables that the processes of compose.yaml have in common. */
async function composeVariables(): Promise<Record<string, string>> {
  const file = new URL("../../config/compose/stockflow.env", import.meta.url);
  const lines = (await Deno.readTextFile(file)).split("\n").filter((line) => /^[^#]/.test(line));
  return Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)));
}

/** A process in a folder of its own, which is its volume: relative paths are relative to it. */
async function startProcess(dist: string, scene: Scene, kv: KvServer): Promise<Service> {
  const cwd = await stage.newFolder();
  const flags = Object.entries({ ...scene.flags, "http.port": "0" });
  const own = Object.fromEntries(
    flags.map(([key, value]) => [environmentName(key as typeof PARAMETER_KEYS[number]), value]),
  );
  const child = new Deno.Command(`${dist}/stockflow`, {
    args: ["start"],
    cwd,
    clearEnv: true,
    env: {
      PATH: `${Deno.execPath().replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH")}`,
      HOME: cwd,
      DENO_DIR: `${cwd}/deno`,
      ...await composeVariables(),
      KAFKA_BOOTSTRAP_SERVERS: stage.broker.bootstrap,
      STATE_KV: kv.url,
      DENO_KV_ACCESS_TOKEN: kv.token,
      HTTP_TOKEN: TOKEN,
      HTTP_HOST: "0.0.0.0",
      HTTP_ADVERTISED_HOST: "127.0.0.1",
      ...own,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const service = await whenListening(child, cwd);
  return { ...service, url: service.url.replace("0.0.0.0", "127.0.0.1") };
}

/** The status and the text of an answer; 0 = there is none. */
async function ask(service: Service, path: string): Promise<[number, string]> {
  try {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const response = await fetch(`${service.url}${path}`, { headers });
    return [response.status, await response.text()];
  } catch {
    return [0, ""];
  }
}

/** Waits until each of the processes answers with the stock, whichever has the item. */
async function untilAllAnswer(services: readonly Service[], quantity: number): Promise<void> {
  for (const service of services) {
    await until(`it answers ${quantity}`, async () => {
      const [status, text] = await ask(service, "/items/item_2");
      return status === 200 && JSON.parse(text).quantity === quantity;
    }, ...services);
  }
}

const noServer = await whyNoKvServer();
const name =
  "the processes of compose.yaml: all are ready for a rollout and answer, also when one of them is killed";
if (noServer !== null) Deno.test({ name: `${name}: ${noServer}`, ignore: true, fn: () => {} });
else {stage.test(name, async () => {
    const scene = await stage.scene(4);
    const dist = await buildBundle(await stage.newFolder());
    const kv = await startKvServer();
    const services = await Promise.all([1, 2, 3].map(() => startProcess(dist, scene, kv)));
    try {
      for (const service of services) {
        await until(
          "its probe of Kubernetes is answered",
          async () => (await ask(service, "/readyz?for=stand-by"))[0] === 200,
          service,
        );
      }
      const producer = stage.kafka().producer();
      await producer.connect();
      const send = (value: string) =>
        producer.send({
          topic: scene.topics["transaction.input.topic"],
          messages: [{ key: "item_2", value }],
        });
      await send("1\t1700000000000\titem_2\t100");
      await untilAllAnswer(services, 100);
      const [, owner] = await ask(services[0]!, "/cluster/owner?item=item_2");
      const { address } = JSON.parse(owner);
      const gone = services.find(({ url }) => url.endsWith(address))!;
      await gone.kill();
      await send("2\t1700000000001\titem_2\t-30");
      await producer.disconnect();
      const others = services.filter((service) => service !== gone);
      await untilAllAnswer(others, 70);
      for (const service of others) service.signal("SIGTERM");
      assertEquals(await Promise.all(others.map(async ({ status }) => (await status).code)), [
        0,
        0,
      ]);
    } finally {
      for (const service of services) await service.kill();
      await kv.remove();
    }
  });}
