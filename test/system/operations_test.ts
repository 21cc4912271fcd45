// The commands of docs/operations.md, typed from top to bottom into one shell, with paths and ports of this test in the
// place of those in the text. Blocks that need Docker, a cluster, systemd or nginx are looked at.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type ShellBlock, shellBlocks } from "../../tools/kit/shell_blocks.ts";
import { freePort } from "../../tools/kit/test_broker.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const BLOCKS = shellBlocks(await Deno.readTextFile(`${ROOT}docs/operations.md`));

const SECONDS_MAX = 300;

/** The script of all blocks that are run; each says its line first. What runs in the background is ended with it. */
function scriptOf(blocks: readonly ShellBlock[], folder: string): string {
  const ports = new Map([["8080", String(freePort())], ["8081", String(freePort())]]);
  const own = (text: string) =>
    text.replaceAll(/(?<![\w.])\/(opt|srv|var\/backups)\b/g, `${folder}/$1`)
      .replaceAll(
        /\b(127\.0\.0\.1:|http\.port=)(808[01])\b/g,
        (_, where, port) => where + ports.get(port),
      );
  const lines = blocks.filter(({ needs }) => needs === null)
    .map(({ line, text }) => `echo "== line ${line}"\n${own(text)}`);
  return [
    "set -euo pipefail",
    "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT",
    `export HTTP_PORT=${ports.get("8080")}`,
    // Whoever waits for a service that has ended would wait for ever.
    'sleep() { command sleep "$1"; kill -0 $! || { cat stockflow.log; exit 1; }; }',
    ...lines,
    'echo "== end"',
  ].join("\n");
}

Deno.test("docs/operations.md: its commands do what it says, from the first start over a restore and an upgrade to the last stop", async () => {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-operations-" });
  try {
    for (const path of ["opt", "srv", "var/backups"]) {
      await Deno.mkdir(`${folder}/${path}`, { recursive: true });
    }
    const { code, stdout, stderr } = await new Deno.Command("timeout", {
      // Who waits for a service that did not start waits for ever.
      args: [String(SECONDS_MAX), "bash", "-c", scriptOf(BLOCKS, folder)],
      cwd: ROOT,
      clearEnv: true,
      env: {
        HOME: Deno.env.get("HOME")!,
        PATH: `${Deno.execPath().replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH")}`,
        NO_COLOR: "1",
        // What this machine needs to fetch what bundles.
        ...Object.fromEntries(
          ["DENO_DIR", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "NPM_CONFIG_REGISTRY"]
            .flatMap((name) => Deno.env.has(name) ? [[name, Deno.env.get(name)!]] : []),
        ),
      },
      stdin: "null",
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assertEquals(code, 0, said);
    assertStringIncludes(said, "== end");
    // After the first start, the restore, the upgrade, and by both tokens.
    assertEquals(said.match(/"quantity":100/g)?.length, 5, said);
    assert(!said.includes("unhealthy") && said.includes("whole"), said);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("docs/operations.md: what blocks name that are not run is there", async () => {
  const others = BLOCKS.filter(({ needs }) => needs !== null);
  assertEquals(new Set(others.map(({ needs }) => needs)).size, 4);
  const compose = await Deno.readTextFile(`${ROOT}compose.yaml`);
  const statefulSet = await Deno.readTextFile(`${ROOT}config/kubernetes/statefulset.yaml`);
  const { version } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  for (const { text, line } of others) {
    for (const [path] of text.matchAll(/\bconfig\/[\w./-]+/g)) await Deno.stat(`${ROOT}${path}`);
    for (const [, tag] of text.matchAll(/\bstockflow:(\d[\w.]*)/g)) assertEquals(tag, version);
    for (const [, service] of text.matchAll(/^docker compose logs .* (\S+)$/gm)) {
      assertStringIncludes(compose, `\n  ${service}:\n`, `line ${line}`);
    }
    for (const [, name] of text.matchAll(/statefulset\/(\w+)/g)) {
      assertStringIncludes(statefulSet, `\n  name: ${name}\n`);
    }
  }
});
