// How the service is started: from any folder, with what permissions, and what its files are like.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import config from "../../deno.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url).pathname;
const decoder = new TextDecoder();

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  // With a blank: where a user stands may have any name.
  const folder = await Deno.makeTempDir({ prefix: "stockflow test-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a task of this repository for a user who stands in a folder. */
function task(folder: string, ...args: string[]): Deno.Command {
  // deno task sets INIT_CWD unless it is set, as it is within deno task test.
  const { INIT_CWD: _, ...env } = Deno.env.toObject();
  return new Deno.Command(Deno.execPath(), {
    args: ["task", "--config", `${ROOT}deno.json`, ...args],
    cwd: folder,
    env,
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function run(folder: string, ...args: string[]) {
  const { code, stdout, stderr } = await task(folder, ...args).output();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** Starts a service by a task, does something with it, and stops it. */
async function withService(
  folder: string,
  args: readonly string[],
  use: (url: string, greeting: string) => Promise<void>,
): Promise<string> {
  const child = task(folder, ...args, "--http.port=0").spawn();
  let out = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    out += text;
    if (out.includes("Ctrl-C")) break;
  }
  const errors = new Response(child.stderr).text();
  const url = /http:\S+/.exec(out)?.[0];
  if (!url) throw new Error(`It did not start: ${out}${await errors}`);
  await use(url, out);
  child.kill("SIGTERM");
  const { code } = await child.status;
  const err = await errors;
  assertEquals(code, 0, err);
  return err;
}

async function post(url: string, body: string): Promise<string> {
  const headers = { "content-type": "text/plain" };
  return await (await fetch(`${url}/transactions`, { method: "POST", headers, body })).text();
}

const modeOf = (path: string) => (Deno.statSync(path).mode! & 0o777).toString(8);

Deno.test("deno task start runs from any folder: data lie where the user stands, and only that user may read them", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/my.properties`, "log.partitions=2\n");
    const err = await withService(
      folder,
      ["start", "--config=my.properties"],
      async (url, greeting) => {
        assertStringIncludes(greeting, `Its log is ${folder}/data/log.kv`);
        assertEquals(await post(url, "1\t5\ta\t7\n"), "1\t5\ta\t7\ttrue\n");
        const { topics } = await (await fetch(`${url}/logs`)).json();
        assert(JSON.stringify(topics).includes("transactions"));
        assertEquals(modeOf(`${folder}/data`), "700");
        const files = [...Deno.readDirSync(`${folder}/data`)].map(({ name }) => name).toSorted();
        assertEquals(files, [
          "log.kv",
          "log.kv-shm",
          "log.kv-wal",
          "log.kv.lock",
          "state.kv",
          "state.kv-shm",
          "state.kv-wal",
          "state.kv.lock",
        ]);
        assertEquals(
          files.filter((name) => modeOf(`${folder}/data/${name}`) !== "600"),
          [],
        );
      },
    );
    assert(!err.includes("NotCapable"), err);
    const listed = await run(folder, "state", "list");
    assertEquals(listed.code, 0, listed.err);
    assertEquals((await run(folder, "state", "export", "copy.state")).code, 0);
    assertEquals(modeOf(`${folder}/copy.state`), "600");
  }));

Deno.test("deno task start allows any host, path and /etc; it runs no program and imports nothing", () =>
  withFolder(async (folder) => {
    const config = `${folder}/etc/stockflow.properties`;
    await Deno.mkdir(`${folder}/etc`);
    await Deno.writeTextFile(config, "http.port=none\n");
    const missing = await run(folder, "start", `--config=${config}`, "--check");
    assertEquals(missing.code, 2);
    assertStringIncludes(missing.err, `http.port in ${config} must be an integer`);
    const state = (name: string, more: object) =>
      `Deno.permissions.querySync(${JSON.stringify({ name, ...more })}).state`;
    const asked = [
      state("net", { host: "kafka.example.org:9092" }),
      state("read", { path: "/etc/stockflow.properties" }),
      state("write", { path: "/srv/data/log.kv" }),
      state("env", { variable: "HTTP_TOKEN" }),
      state("sys", { kind: "statfs" }),
      state("sys", { kind: "systemMemoryInfo" }),
      state("run", {}),
      state("ffi", {}),
      state("env", { variable: "HOME" }),
      state("sys", { kind: "hostname" }),
      state("import", { host: "deno.land:443" }),
    ];
    await Deno.writeTextFile(`${folder}/ask.ts`, `console.log([${asked}].join());`);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--config", `${ROOT}deno.json`, "-P=start", `${folder}/ask.ts`],
    }).output();
    assertEquals(
      decoder.decode(stdout).trim().split(","),
      [...Array(6).fill("granted"), "prompt", "prompt", "prompt", "prompt", "denied"],
    );
  }));

Deno.test("deno task start:strict serves from its few folders, and refuses other ones with advice", () =>
  withFolder(async (folder) => {
    const err = await withService(folder, ["start:strict"], async (url) => {
      assertEquals(await post(url, "1\t5\ta\t7\n"), "1\t5\ta\t7\ttrue\n");
    });
    assert(!err.includes("NotCapable"), err);
    const refused = await run(folder, "start:strict", "--log.kv=/srv/stockflow-test/log.kv");
    assertEquals(refused.code, 2);
    assertStringIncludes(
      refused.err,
      "Cannot open /srv/stockflow-test/log.kv: Deno does not allow it",
    );
    assertStringIncludes(refused.err, "start by deno task start, which allows all paths");
  }));

Deno.test("--help, -h and --version answer for the service, the generator and the tool", () =>
  withFolder(async (folder) => {
    for (const name of ["start", "generate", "state"]) {
      for (const flag of ["--help", "-h"]) {
        const { code, out } = await run(folder, name, flag);
        assertEquals(code, 0);
        assertStringIncludes(out, `Usage: deno task ${name}`);
      }
      const { code, out } = await run(folder, name, "--version");
      assertEquals([code, out], [0, `stockflow ${config.version}\n`]);
    }
    assertEquals([...Deno.readDirSync(folder)], []);
  }));

Deno.test("--check looks at the files, and creates none", () =>
  withFolder(async (folder) => {
    const fresh = await run(folder, "start", "--check");
    assertEquals(fresh.code, 0, fresh.err);
    assertStringIncludes(fresh.out, `${folder}/data/log.kv can be created`);
    assertEquals([...Deno.readDirSync(folder)], []);
    await Deno.writeTextFile(`${folder}/file`, "this is not a database ".repeat(200));
    for (
      const [path, cause] of [
        ["file", "file is not a database"],
        ["file/log.kv", "a part of the path is a file, not a folder"],
        [".", "it is a folder, not a file"],
      ]
    ) {
      const { code, err } = await run(folder, "start", "--check", `--log.kv=${path}`);
      assertEquals(code, 2, path);
      assertStringIncludes(err, cause!);
    }
    await withService(folder, ["start"], async () => {
      const used = await run(folder, "start", "--check");
      assertEquals(used.code, 2);
      assertStringIncludes(used.err, "is used by another process");
    });
    const there = await run(folder, "start", "--check");
    assertEquals(there.code, 0, there.err);
    assertStringIncludes(there.out, `${folder}/data/log.kv can be opened`);
    for (
      const [flags, cause] of [
        [["--kafka.group.id="], "kafka.group.id is missing"],
        [
          ["--query.input.topic=transaction.log.1"],
          "Topic transaction.log.1 is given as transaction.input.topic and as query.input.topic",
        ],
        [["--kafka.bootstrap.servers=127.0.0.1:1"], "Kafka at 127.0.0.1:1 does not answer"],
        [["--restore=a"], "A savepoint cannot be restored into Kafka's log"],
        [["--state.kv=http://127.0.0.1:1"], "is a store for processes that share partitions"],
        [
          ["--state.kv=http://127.0.0.1:1", "--kafka.partitions.shared=true"],
          "Cannot open http://127.0.0.1:1",
        ],
      ] as const
    ) {
      const { code, err } = await run(folder, "start", "--job=kafka", "--check", ...flags);
      assertEquals(code, 2, err);
      assertStringIncludes(err, cause);
    }
    const restored = await run(folder, "start", "--job=kafka", "--restore=a");
    assertEquals(restored.code, 2);
    assertStringIncludes(restored.err, "A savepoint cannot be restored into Kafka's log");
    const byFile = await run(
      folder,
      "start",
      `--config=${ROOT}config/job.properties`,
      "--kafka.group.id=",
    );
    assertStringIncludes(byFile.err, "kafka.group.id is missing");
  }));

Deno.test("a stop says in one line what it did", () =>
  withFolder(async (folder) => {
    const err = await withService(folder, ["start", "--log.partitions=1"], async (url) => {
      assertEquals(
        await post(url, "1\t5\ta\t7\n2\t5\ta\t7\n"),
        "1\t5\ta\t7\ttrue\n2\t5\ta\t7\ttrue\n",
      );
    });
    const lines = err.split("\n").filter((line) => line.includes("Stopped in "));
    assertEquals(lines.length, 1, err);
    const { message, records, checkpoints, offsets, ms } = JSON.parse(lines[0]!);
    assertEquals({ records, checkpoints, offsets }, { records: 2, checkpoints: 1, offsets: "0:2" });
    assert(ms >= 0 && ms < 30_000);
    assertStringIncludes(
      message,
      "2 records folded since the start, 1 checkpoints taken at the stop",
    );
  }));
