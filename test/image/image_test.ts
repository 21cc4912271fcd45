// The image of the Dockerfile: built, looked at, started, stopped and started again on its volume. Docker is not needed:
// buildah builds it, and the kernel's own means run it (tools/image).
//
// Needs root, buildah and mmdebstrap; without them it is skipped, in CI that is a failure.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import {
  buildImage,
  configOf,
  filesOf,
  type ImageConfig,
  removeImage,
  run,
  whyNoImages,
} from "../../tools/image/buildah.ts";
import { type Container, runContainer, startContainer } from "../../tools/image/container.ts";
import { freePort } from "../../tools/kit/test_broker.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";

const TOKEN = "a-token-of-a-test";
const skipped = await whyNoImages();

function assertImage(image: ImageConfig): void {
  assertMatch(image.User, /^[1-9]\d*:[1-9]\d*$/); // Kubernetes sees by the number that it is not root
  assertEquals(image.Entrypoint, ["/app/stockflow"]);
  assertEquals(image.Cmd, ["start"]);
  assertEquals(Object.keys(image.Volumes), ["/data"]);
  assertEquals(Object.keys(image.ExposedPorts), ["8080/tcp"]);
  assertEquals(image.StopSignal, "SIGTERM");
  assertEquals(image.Healthcheck.Test, ["CMD", "/app/stockflow", "health"]);
  assertEquals(image.Labels["org.opencontainers.image.version"], config.version);
  assertEquals(image.Labels["org.opencontainers.image.title"], "stockflow");
}

async function ask(url: string, path: string, body?: string): Promise<string> {
  const response = await fetch(`${url}${path}`, {
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "text/plain" },
    ...(body === undefined ? {} : { method: "POST", body }),
  });
  return await response.text();
}

/**
 * Posts, stops, starts again on the volume, asks.
 *
 * @param started takes the containers, which are ended whatever happens
 */
async function useImage(
  image: ImageConfig,
  root: string,
  volume: string,
  started: Container[],
): Promise<void> {
  const port = String(freePort());
  const env = { HTTP_TOKEN: TOKEN, HTTP_PORT: port };
  const options = { root, config: image, volume, env };
  const url = `http://127.0.0.1:${port}`;

  const start = async () => {
    const container = await startContainer(options);
    started.push(container);
    return container;
  };
  const first = await start();
  await waitReady({ ...first, url });
  const status = await Deno.readTextFile(`/proc/${first.first}/status`);
  assertMatch(status, /^Uid:\s+1993\s+1993\s+1993\s+1993$/m);
  assertMatch(status, /^NSpid:\s+\d+\s+1$/m);
  const line = "1\t1700000000000\titem_2\t100";
  assertEquals(await ask(url, "/transactions", `${line}\n`), `${line}\ttrue\n`);
  const health = await runContainer({ ...options, args: ["health"] });
  assertEquals(health, { code: 0, output: "ready\n" });
  await stopInGoodOrder(first);

  const unwell = await runContainer({ ...options, args: ["health"] });
  assertEquals(unwell.code, 1, unwell.output);
  assertStringIncludes(unwell.output, "does not answer: Connection refused");
  const second = await start();
  await waitReady({ ...second, url });
  assertEquals(JSON.parse(await ask(url, "/items/item_2")), { itemId: "item_2", quantity: 100 });
  await stopInGoodOrder(second);

  const listed = await runContainer({ ...options, args: ["state", "verify"] });
  assertEquals(listed.code, 0, listed.output);
  assertStringIncludes(listed.output, "whole");
  // The address of a container can be reached by others.
  const open = await runContainer({ ...options, env: { HTTP_PORT: port } });
  assertEquals(open.code, 2);
  assertStringIncludes(open.output, "set http.token too");
}

Deno.test({
  name: skipped
    ? `the image: ${skipped}`
    : "the image starts as its user on a read-only root, and again on its volume",
  ignore: skipped !== null,
}, async () => {
  const id = await buildImage();
  const volume = await Deno.makeTempDir({ prefix: "stockflow-volume-" });
  const files = await filesOf(id);
  const started: Container[] = [];
  try {
    const image = await configOf(id);
    assertImage(image);
    console.log(`The image's files: ${await run("du", ["-sh", files.folder])}`);
    console.log(`Of that the program: ${await run("du", ["-sh", `${files.folder}/app`])}`);
    // A new volume begins as what the image has at its place.
    await run("cp", ["-a", `${files.folder}/data/.`, volume]);
    const { uid, mode } = await Deno.stat(volume);
    assertEquals([uid, mode! & 0o777], [1993, 0o700]);
    await useImage(image, files.folder, volume, started);
    const kept = [...Deno.readDirSync(volume)].map(({ name }) => name);
    assert(kept.includes("log.kv") && kept.includes("state.kv"), kept.join());
  } finally {
    for (const container of started) await container.kill();
    await files.remove();
    await removeImage(id);
    await Deno.remove(volume, { recursive: true });
  }
});
