// The real process: starting, stopping, and everything that can be wrong around it.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { PARAMETER_KEYS } from "../../src/parameters/mod.ts";
import {
  type Service,
  serviceArguments,
  startService,
  waitReady,
} from "../../tools/kit/service.ts";
import { mountSmall } from "./small_disk.ts";

const ROOT = new URL("../../", import.meta.url);
const decoder = new TextDecoder();

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-test-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function post(service: Service, body: BodyInit): Promise<{ status: number; text: string }> {
  const headers = { "content-type": "text/plain" };
  const response = await fetch(`${service.url}/transactions`, { method: "POST", headers, body });
  return { status: response.status, text: await response.text() };
}

async function stockOf(service: Service, item: string): Promise<number | null> {
  const response = await fetch(`${service.url}/items/${item}`);
  const { quantity } = await response.json();
  return response.ok ? quantity : null;
}

async function stop(service: Service): Promise<number> {
  service.signal("SIGTERM");
  return (await service.status).code;
}

/** Runs a program of ours to its end. */
async function run(args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT })
    .output();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("the service keeps its stock over SIGTERM and over kill -9", () =>
  withFolder(async (folder) => {
    const first = await startService({ folder });
    assertEquals(
      (await post(first, "1\t5\titem_2\t100\n2\t5\titem_2\t-500\n")).text.split("\n").length,
      3,
    );
    assertEquals(await stop(first), 0);
    const second = await startService({ folder });
    await waitReady(second);
    assertEquals(await stockOf(second, "item_2"), 100);
    assertEquals((await post(second, "3\t5\titem_2\t11\n")).status, 200);
    await second.kill();
    const third = await startService({ folder });
    await waitReady(third);
    assertEquals(await stockOf(third, "item_2"), 111);
    assertEquals(await stockOf(third, "item_3"), null);
    assertEquals(await stop(third), 0);
  }));

Deno.test("requests under way are answered before the service stops", () =>
  withFolder(async (folder) => {
    const service = await startService({ folder });
    const answers = Array.from({ length: 40 }, (_, i) => post(service, `${i}\t5\titem_${i}\t1\n`));
    await Promise.all(answers.slice(0, 5));
    service.signal("SIGTERM");
    const settled = await Promise.allSettled(answers);
    assertEquals((await service.status).code, 0);
    const answered = settled.filter((s) =>
      s.status === "fulfilled" && s.value.status === 200
    ).length;
    assert(answered >= 5);
  }));

Deno.test("a second signal ends the service at once", () =>
  withFolder(async (folder) => {
    const service = await startService({ folder });
    await post(
      service,
      Array.from({ length: 50_000 }, (_, i) => `${i}\t5\titem_${i}\t1`).join("\n"),
    );
    service.signal("SIGINT");
    service.signal("SIGINT");
    const { code } = await service.status;
    assert(code === 130 || code === 0, `${code}`);
    const again = await startService({ folder });
    await waitReady(again);
    assertEquals(await stockOf(again, "item_49999"), 1);
    await again.kill();
  }));

Deno.test("a second process on the same files refuses to start", () =>
  withFolder(async (folder) => {
    const service = await startService({ folder });
    const { code, err } = await run(serviceArguments(folder));
    assertEquals(code, 2);
    assertStringIncludes(err, `${folder}/state.kv is used by another process`);
    await service.kill();
  }));

Deno.test("a port in use, a folder that cannot be written, bad parameters: exit 2 and the remedy", () =>
  withFolder(async (folder) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const port = String(listener.addr.port);
    const used = await run(serviceArguments(folder, { "http.port": port }));
    listener.close();
    assertEquals(used.code, 2);
    assertStringIncludes(used.err, `Cannot listen on 127.0.0.1:${port}`);
    assertStringIncludes(used.err, "--http.port");

    await Deno.writeTextFile(`${folder}/file`, "");
    const unwritable = await run(serviceArguments(`${folder}/file`));
    assertEquals(unwritable.code, 2);
    assertStringIncludes(unwritable.err, "a part of the path is a file, not a folder");

    for (
      const [args, message] of [
        [["--http.port=x"], '--http.port must be an integer from 0 to 65535, not "x"'],
        [["--nonsense=1"], 'Unknown parameter "nonsense"'],
        [
          ["nonsense"],
          'Expected --key=value, --generate, --accept-offset, --replace-log, --check, --help or --version, not "nonsense"',
        ],
        [["--config=nowhere.properties"], "Cannot read nowhere.properties"],
      ] as const
    ) {
      const { code, err } = await run(["run", "-A", "src/cli/main.ts", ...args]);
      assertEquals(code, 2, message);
      assertStringIncludes(err, message);
    }
  }));

Deno.test("the default configuration is valid, and --help lists every parameter", async () => {
  assertEquals((await run(["run", "-A", "src/cli/main.ts", "--check"])).code, 0);
  const { code, out } = await run(["run", "-A", "src/cli/main.ts", "--help"]);
  assertEquals(code, 0);
  for (const key of PARAMETER_KEYS) assertStringIncludes(out, `--${key}=`);
});

Deno.test("deno task start needs no more than its permissions", () =>
  withFolder(async (folder) => {
    // The set of deno.json allows /tmp, where this folder is; nothing may be asked for at the terminal.
    const args = serviceArguments(folder).map((arg) => arg === "--allow-all" ? "-P=start" : arg);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...args.slice(1)],
      cwd: ROOT,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let out = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      out += text;
      if (out.includes("Ctrl-C")) break;
    }
    const url = /http:\S+/.exec(out)![0];
    const headers = { "content-type": "text/plain" };
    const answer = await fetch(`${url}/transactions`, {
      method: "POST",
      headers,
      body: "1\t5\ta\t7\n",
    });
    assertEquals(await answer.text(), "1\t5\ta\t7\ttrue\n");
    child.kill("SIGTERM");
    assertEquals((await child.status).code, 0);
    assertEquals(
      await new Response(child.stderr).text().then((t) => t.includes("NotCapable")),
      false,
    );
  }));

Deno.test("a body of 100 MB is refused, and the service goes on", () =>
  withFolder(async (folder) => {
    const service = await startService({ folder });
    const whole = await post(service, new Uint8Array(100_000_000).fill(65)).catch((error) => ({
      status: 0,
      text: String(error),
    }));
    assert(whole.status === 413 || whole.status === 0, whole.text);
    // Without a length in the header the bytes are counted as they come.
    const endless = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(1_000_000).fill(65)),
    });
    const streamed = await post(service, endless).catch((error) => ({
      status: 0,
      text: String(error),
    }));
    assert(streamed.status === 413 || streamed.status === 0, streamed.text);
    assertEquals((await post(service, "1\t5\ta\t1")).status, 200);
    const inParts = ReadableStream.from(["2\t5\ta", "\t1\n"]).pipeThrough(new TextEncoderStream());
    assertEquals(await post(service, inParts), { status: 200, text: "2\t5\ta\t1\ttrue\n" });
    // The server's library says nothing of itself (no-legacy-abort in deno.json).
    assert(!service.log().includes("Deno.serve"), service.log());
    await service.kill();
  }));

Deno.test("a damaged checkpoint is reported, and the state comes from the one before", () =>
  withFolder(async (folder) => {
    const flags = { "checkpoint.interval.millis": "1", "log.partitions": "1" };
    const service = await startService({ folder, flags });
    for (let i = 0; i < 5; i++) {
      await post(service, `${i}\t5\titem_${i}\t${i + 1}\n`);
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
    await service.kill();
    const kv = await Deno.openKv(`${folder}/state.kv`);
    const manifests = await Array.fromAsync(
      kv.list<Uint8Array>({ prefix: ["manifest"] }, { reverse: true }),
    );
    assert(manifests.length >= 2);
    const altered = manifests[0]!.value.slice();
    altered[100]! ^= 1;
    await kv.set(manifests[0]!.key, altered);
    kv.close();
    const state = (command: string) =>
      run(["run", "-A", "src/cli/state.ts", command, `--state.kv=${folder}/state.kv`]);
    assertEquals((await state("verify")).code, 1);
    assertStringIncludes((await state("list")).out, "torn or altered");
    const again = await startService({ folder, flags });
    await waitReady(again);
    for (let i = 0; i < 5; i++) assertEquals(await stockOf(again, `item_${i}`), i + 1);
    assertStringIncludes(again.log(), "is damaged: The manifest is torn or altered");
    assertEquals(await stop(again), 0);
  }));

Deno.test("checkpoints are listed, inspected, verified, exported and imported", () =>
  withFolder(async (folder) => {
    const service = await startService({ folder });
    await post(service, "1\t5\titem_2\t100\n2\t5\titem_4\t7\n");
    assertEquals(await stop(service), 0);
    const state = (...args: string[]) => run(["run", "-A", "src/cli/state.ts", ...args]);
    const from = `--state.kv=${folder}/state.kv`;
    assertEquals((await state("list", from)).out.trimEnd().split("\n").length, 3);
    assertEquals((await state("verify", from)).code, 0);
    const [partition] = (await state("list", from)).out.split("\n")[1]!.trim().split(/ +/);
    assertStringIncludes((await state("inspect", partition!, "1", from)).out, '"items": "1"');
    const file = `${folder}/exported`;
    assertStringIncludes((await state("export", file, from)).out, "2 checkpoints");
    assertEquals((await state("export", file, from)).code, 2); // never over an existing file
    const to = `--state.kv=${folder}/other.kv`;
    // The file is a backup: it carries a savepoint by which it can be restored.
    assertMatch(
      (await state("import", file, to)).out,
      /^2 checkpoints, savepoint backup-\w+ imported$/m,
    );
    assertEquals((await state("verify", to)).code, 0);
    assertStringIncludes((await state("import", file, to)).err, "already");
    const generated = await state("import", file, "--generated", `--state.kv=${folder}/gen.kv`);
    assertMatch(
      generated.out,
      /^In the file they are of "[^"(]+"; they are imported for "[^"]+ \(generated\)", which alone/m,
    );
    await Deno.writeFile(file, (await Deno.readFile(file)).slice(0, -1));
    assertStringIncludes(
      (await state("import", file, `--state.kv=${folder}/third.kv`)).err,
      "torn or altered",
    );
    assertEquals((await state("nonsense")).code, 2);
  }));

Deno.test("a full disk is reported, loses nothing that was answered, and is survived", (t) =>
  withFolder(async (parent) => {
    const folder = `${parent}/small`;
    const unmount = await mountSmall(folder);
    if (!unmount) {
      return void await t.step({ name: "needs root to mount a tmpfs", ignore: true, fn: () => {} });
    }
    const flags = {
      "checkpoint.interval.millis": "0",
      "log.partitions": "1",
      "disk.free.bytes.min": "0",
    };
    const service = await startService({ folder, flags });
    try {
      await Deno.writeFile(`${folder}/filler`, new Uint8Array(4_000_000));
      let answered = 0;
      let refused = "";
      for (let i = 0; i < 200 && refused === ""; i++) {
        const lines = Array.from({ length: 1000 }, (_, k) => `${1000 * i + k}\t5\titem\t1`);
        const { status, text } = await post(service, lines.join("\n"));
        if (status === 200) answered += text.split("\n").filter((l) => l.endsWith("true")).length;
        else refused = `${status} ${text.slice(0, 120)}`;
      }
      assertStringIncludes(refused, "503 ERROR\tunavailable\tCannot write to the log");
      assertStringIncludes(refused, "full");
      assertEquals(await (await fetch(`${service.url}/livez`)).text(), "ok\n");
      await Deno.remove(`${folder}/filler`);
      // There is room again: it goes on by itself, and exactly what was answered is there.
      let after = 503;
      for (let i = 0; i < 100 && after !== 200; i++) {
        after = (await post(service, `${1_000_000 + i}\t5\tother\t1\n`)).status;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assertEquals(after, 200);
      await waitReady(service);
      assertEquals(await stockOf(service, "item"), answered);
      await service.kill();
      const again = await startService({ folder, flags });
      await waitReady(again);
      assertEquals(await stockOf(again, "item"), answered);
      await again.kill();
    } finally {
      await service.kill();
      await unmount();
    }
  }));
