// Paths that are not what they should be: each has an answer with its cause and a remedy that fits, and none a stack.

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { ParameterError, readSmallFile, SMALL_FILE_BYTES_MAX } from "../../src/parameters/mod.ts";
import { KvFileError, openKvFile, openKvFileToRead } from "../../src/kv/mod.ts";
import { moveKvFile } from "../../src/kv/kv_file.ts";
import { mountSmall } from "./small_disk.ts";

const ROOT = new URL("../../", import.meta.url);
const decoder = new TextDecoder();

/** Paths by what is there. */
async function withPaths(test: (paths: Record<string, string>) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-test-" });
  const at = (name: string) => `${folder}/${name}`;
  try {
    await Deno.mkdir(at("folder"));
    await Deno.writeTextFile(at("text"), "this is not a database ".repeat(200));
    await Deno.writeTextFile(at("empty"), "");
    await Deno.writeFile(at("bytes"), Uint8Array.of(0xff, 0xfe, 0x00));
    await Deno.truncate(at("bytes"), 3);
    await Deno.writeTextFile(at("large"), "");
    await Deno.truncate(at("large"), SMALL_FILE_BYTES_MAX + 1);
    await Deno.symlink("circle", at("circle"));
    await new Deno.Command("mkfifo", { args: [at("pipe")] }).output();
    const db = new DatabaseSync(at("other"));
    db.exec("CREATE TABLE customers (name TEXT)");
    db.close();
    await test({
      folder: at("folder"),
      text: at("text"),
      empty: at("empty"),
      bytes: at("bytes"),
      large: at("large"),
      circle: at("circle"),
      pipe: at("pipe"),
      device: "/dev/zero",
      other: at("other"),
      missing: at("missing"),
      noFolder: at("nowhere/file"),
      underFile: at("text/file"),
      long: at("n".repeat(300)),
      nul: at("a\0b"),
      fresh: at("new/data/file.kv"),
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const MEANINGS = {
  folder: "it is a folder, not a file",
  pipe: "it is not a file",
  device: "it is not a file",
  circle: "its symbolic links lead in a circle",
  underFile: "a part of the path is a file, not a folder",
  long: "the name is too long",
  nul: "this cannot be the name of a file",
} as const;

Deno.test("paths: a small file that cannot be read is named with its cause", () =>
  withPaths((paths) => {
    const cases = {
      ...MEANINGS,
      missing: "it does not exist",
      noFolder: "it does not exist",
      large: `it has ${
        SMALL_FILE_BYTES_MAX + 1
      } bytes, and at most ${SMALL_FILE_BYTES_MAX} are read`,
      bytes: "it is not text in UTF-8",
    };
    for (const [kind, cause] of Object.entries(cases)) {
      const error = assertThrows(
        () => readSmallFile(paths[kind]!, "kafka.ssl.ca"),
        ParameterError,
      ) as Error;
      assertStringIncludes(error.message, `Cannot read kafka.ssl.ca: ${cause}`);
    }
    assertEquals(readSmallFile(paths.empty!, "it"), "");
    return Promise.resolve();
  }));

Deno.test("paths: a KV file that cannot be opened is named with its cause, and nothing is created", () =>
  withPaths(async (paths) => {
    const before = await Array.fromAsync(Deno.readDir(`${paths.folder}/..`), (f) => f.name);
    const opens = { openKvFile, openKvFileToRead, move: (p: string) => moveKvFile(p, "now") };
    const never = { text: "file is not a database", other: "a database of another program" };
    const absent = { missing: "it does not exist", noFolder: "it does not exist" };
    const cases = {
      openKvFile: { ...MEANINGS, ...never },
      openKvFileToRead: {
        ...MEANINGS,
        ...never,
        ...absent,
        empty: "is empty: nothing was ever written into it",
      },
      move: { ...MEANINGS, ...absent, text: "file is not a database" },
    } as const;
    for (const [name, kinds] of Object.entries(cases)) {
      for (const [kind, cause] of Object.entries(kinds)) {
        const error = await assertRejects(
          async () => void await opens[name as keyof typeof opens](paths[kind]!),
          KvFileError,
        ) as KvFileError;
        assertStringIncludes(error.message, cause);
        assertStringIncludes(error.message, paths[kind]!);
      }
    }
    const after = await Array.fromAsync(Deno.readDir(`${paths.folder}/..`), (f) => f.name);
    const locks = after.filter((f) => !f.endsWith(".lock"));
    assertEquals(locks.toSorted(), before.toSorted());
  }));

Deno.test("paths: a KV file has one lock, also under the name of a link to it", () =>
  withPaths(async ({ folder }) => {
    const kv = await openKvFile(`${folder}/log.kv`);
    await Deno.symlink("log.kv", `${folder}/link.kv`);
    const error = await assertRejects(() => openKvFile(`${folder}/link.kv`), KvFileError);
    assertStringIncludes(error.message, "is used by another process");
    kv.close();
    (await openKvFile(`${folder}/link.kv`)).close();
  }));

Deno.test("paths: a disk that is mounted for reading has advice of its own", () =>
  withPaths(async (paths) => {
    const disk = paths.missing!;
    const unmount = await mountSmall(disk);
    if (!unmount) return;
    try {
      await new Deno.Command("mount", { args: ["-o", "remount,ro", disk] }).output();
      const error = await assertRejects(
        async () => void await openKvFile(`${disk}/log.kv`),
        KvFileError,
        "the file system is read-only",
      ) as KvFileError;
      assertStringIncludes(error.remedy!, "mount this one for writing");
    } finally {
      await unmount();
    }
  }));

/** Runs a program of ours; null = it did not end by itself. */
async function run(args: readonly string[]): Promise<{ code: number; err: string } | null> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const late = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const { code, signal, stderr } = await child.output();
  clearTimeout(late);
  return signal === "SIGKILL" ? null : { code, err: decoder.decode(stderr) };
}

Deno.test("paths: every parameter and every command of the tool that takes a path answers in one line", () =>
  withPaths(async (paths) => {
    const kafka = ["--job=kafka", "--kafka.ssl.enabled=true", "--kafka.sasl.username=u"];
    const main = (...args: string[]) => ["src/cli/main.ts", "--http.port=0", ...args];
    const tool = (...args: string[]) => ["src/cli/state.ts", ...args];
    const programs: ((path: string) => string[])[] = [
      (path) => main(`--config=${path}`),
      (path) => main(`--folder=${path}/x`),
      (path) => main(`--state.kv=${path}`, `--log.kv=${paths.folder}/log.kv`),
      (path) => main(`--log.kv=${path}`, `--state.kv=${paths.folder}/state.kv`),
      (path) => main(`--restore=a`, `--state.kv=${path}`),
      (path) => main(...kafka, `--kafka.ssl.ca=${path}`),
      (path) =>
        main(...kafka, "--kafka.sasl.mechanism=plain", `--kafka.sasl.password.file=${path}`),
      (path) => ["src/cli/generate.ts", `--config=${path}`],
      (path) => tool("import", path, `--state.kv=${paths.folder}/imported.kv`),
      (path) => tool("list", `--state.kv=${path}`),
      (path) => tool("export", path, `--state.kv=${paths.missing}`),
    ];
    const kinds = ["pipe", "folder", "underFile"];
    const answers = await Promise.all(
      programs.map(async (program, i) =>
        [program, await run(program(paths[kinds[i % kinds.length]!]!))] as const
      ),
    );
    for (const [program, answer] of answers) {
      const args = program("<path>").join(" ");
      assert(answer, `${args} did not end`);
      assertEquals(answer.code, 2, `${args}: ${answer.err}`);
      assertEquals(answer.err.trim().split("\n").length, 1, `${args}: ${answer.err}`);
      assertStringIncludes(answer.err, "stockflow: Cannot ");
    }
  }));

Deno.test("paths: a KV file that is created through a link has the lock that it has later", () =>
  withPaths(async ({ folder }) => {
    await Deno.mkdir(`${folder}/disk`);
    await Deno.symlink("disk/log.kv", `${folder}/link.kv`);
    const kv = await openKvFile(`${folder}/link.kv`);
    for (const path of [`${folder}/link.kv`, `${folder}/disk/log.kv`]) {
      const error = await assertRejects(() => openKvFile(path), KvFileError);
      assertStringIncludes(error.message, "is used by another process");
    }
    kv.close();
  }));
