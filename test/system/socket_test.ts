// The socket job as a user runs it, against a TCP server on this machine that plays nc -lk.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);
const encoder = new TextEncoder();
const LISTEN = { hostname: "127.0.0.1", port: 0 } as const;

/** A process and what it wrote so far. */
class Child {
  out = "";
  err = "";
  #grown = Promise.withResolvers<void>();

  constructor(readonly process: Deno.ChildProcess) {
    void this.#collect(process.stdout, (text) => this.out += text);
    void this.#collect(process.stderr, (text) => this.err += text);
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>, add: (text: string) => void) {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      add(text);
      this.#grown.resolve();
      this.#grown = Promise.withResolvers();
    }
  }

  /** Waits until it has written something. */
  async wrote(what: () => boolean, name: string): Promise<void> {
    void this.process.status.then(() => this.#grown.resolve());
    while (!what()) {
      const ended = await Promise.race([
        this.#grown.promise,
        this.process.status.then(() => true),
      ]);
      if (ended && !what()) throw new Error(`It ended without ${name}: ${this.out}${this.err}`);
    }
  }

  /** Ends it if it still runs. */
  async kill(): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.process.status;
  }

  async stop(): Promise<number> {
    this.process.kill("SIGTERM");
    return (await this.process.status).code;
  }
}

function startSocketJob(folder: string, port: number, more: Record<string, string> = {}): Child {
  const flags: Record<string, string> = {
    "job": "socket",
    "socket.port": String(port),
    "http.port": "0",
    "log.kv": `${folder}/log.kv`,
    "state.kv": `${folder}/state.kv`,
    ...more,
  };
  // The permissions of deno task start, without a terminal that could be asked for more.
  const args = ["run", "--no-prompt", "-P=start", "src/cli/main.ts"]
    .concat(Object.entries(flags).map(([key, value]) => `--${key}=${value}`));
  return new Child(
    new Deno.Command(Deno.execPath(), {
      args,
      cwd: ROOT,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn(),
  );
}

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-test-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Transactions come by HTTP instead of the generator. */
const BY_HTTP = { "generate.transactions": "false" };

const answers = (child: Child) => child.out.split("\n").filter((l) => l.startsWith("QueryResult"));

Deno.test("the socket job answers the lines of a socket on the console, over bad lines and restarts of the server", () =>
  withFolder(async (folder) => {
    let server = Deno.listen(LISTEN);
    const { port } = server.addr;
    const child = startSocketJob(folder, port, BY_HTTP);
    try {
      const first = await server.accept();
      await child.wrote(() => child.out.includes("Ctrl-C"), "its greeting");
      assertStringIncludes(child.out, `It reads queries from 127.0.0.1:${port}`);
      const url = /listens on (http:\S+)/.exec(child.out)![1]!;
      const posted = await fetch(`${url}/transactions`, {
        method: "POST",
        headers: { "content-type": "text/plain" },
        body: "1\t5\titem_2\t10665\n",
      });
      assertEquals(await posted.text(), "1\t5\titem_2\t10665\ttrue\n");

      await first.write(encoder.encode("123 item_2\n124 item"));
      await child.wrote(() => answers(child).length === 1, "the first answer");
      await first.write(encoder.encode("_3\r\nno query\n125 item_2\n"));
      await child.wrote(() => answers(child).length === 3, "the answers behind a bad line");
      assertEquals(answers(child), [
        "QueryResult{queryId=123, itemInfo=ItemInfo{itemId='item_2', quantity=10665}}",
        "QueryResult{queryId=124, itemInfo=null}",
        "QueryResult{queryId=125, itemInfo=ItemInfo{itemId='item_2', quantity=10665}}",
      ]);
      await child.wrote(() => child.err.includes('\\"no query\\"'), "the bad line in its log");

      // The server goes, and comes back.
      first.close();
      server.close();
      await child.wrote(() => child.err.includes("Cannot connect"), "that nobody listens");
      assertStringIncludes(child.err, `The connection to 127.0.0.1:${port} was lost`);
      server = Deno.listen({ ...LISTEN, port });
      const second = await server.accept();
      await second.write(encoder.encode("126 item_2\n"));
      await child.wrote(() => answers(child).length === 4, "an answer after the reconnect");
      second.close();

      assertEquals(await child.stop(), 0);
      // The stock is in files of its own, and still there.
      const again = startSocketJob(folder, port, BY_HTTP);
      try {
        const third = await server.accept();
        await third.write(encoder.encode("127 item_2\n"));
        await again.wrote(() => answers(again).length === 1, "an answer after its own restart");
        assertStringIncludes(answers(again)[0]!, "quantity=10665");
        third.close();
        assertEquals(await again.stop(), 0);
      } finally {
        await again.kill();
      }
    } finally {
      server.close();
      await child.kill();
    }
  }));

Deno.test("the socket job generates its transactions", () =>
  withFolder(async (folder) => {
    const server = Deno.listen(LISTEN);
    const child = startSocketJob(folder, server.addr.port, { "num.items": "10" });
    try {
      const connection = await server.accept();
      await child.wrote(() => child.out.includes("transactions are generated"), "its greeting");
      for (let id = 1; !answers(child).some((line) => line.includes("itemId='item_2'")); id++) {
        await connection.write(encoder.encode(`${id} item_2\n`));
        await child.wrote(() => answers(child).length === id, `answer ${id}`);
      }
      connection.close();
      assertEquals(await child.stop(), 0);
    } finally {
      server.close();
      await child.kill();
    }
  }));

Deno.test("a socket host that deno.json does not allow is reported with its remedy", () =>
  withFolder(async (folder) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "-P=start",
        "--allow-net=127.0.0.1",
        "src/cli/main.ts",
        "--job=socket",
        "--socket.host=192.0.2.1",
        `--log.kv=${folder}/log.kv`,
        `--state.kv=${folder}/state.kv`,
      ],
      cwd: ROOT,
      stdin: "null",
    });
    const { code, stderr } = await child.output();
    const text = new TextDecoder().decode(stderr);
    assertEquals(code, 2);
    assertStringIncludes(text, "Deno does not allow a connection to 192.0.2.1:9999");
    assertStringIncludes(text, "start by deno task start, which allows all hosts");
  }));

Deno.test("the configuration of the socket job is valid, and keeps its data apart", async () => {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-P=start", "src/cli/main.ts", "--job=socket", "--check"],
    cwd: ROOT,
  }).output();
  assertEquals(code, 0);
  const files = (name: string) =>
    [
      ...Deno.readTextFileSync(new URL(`config/${name}.properties`, ROOT))
        .matchAll(/^(?:log|state)\.kv=(.*)$/gm),
    ].map(([, file]) => file);
  const [socket, embedded] = [files("socket"), files("embedded")];
  assertEquals([socket.length, embedded.length], [2, 2]);
  assert(socket.every((file) => !embedded.includes(file)));
});

Deno.test("the socket job stops before a new item when memory is full, goes on to answer, and goes on with a raised bound", () =>
  withFolder(async (folder) => {
    const server = Deno.listen(LISTEN);
    const { port } = server.addr;
    const flood = { "generate.rate": "0", "num.items": "1000000", "log.partitions": "2" };
    const start = (bytes: number) =>
      startSocketJob(folder, port, { ...flood, "state.bytes.max": String(bytes) });
    const urlOf = (child: Child) => /listens on (http:\S+)/.exec(child.out)![1]!;
    const read = async (child: Child, path: string) => {
      const response = await fetch(`${urlOf(child)}${path}`);
      return { status: response.status, text: await response.text() };
    };
    const untilOk = async (child: Child, path: string) => {
      for (let i = 0; i < 600 && (await read(child, path)).status !== 200; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const { status, text } = await read(child, path);
      assertEquals(status, 200, `${text}${child.err}`);
    };
    const recordsOf = async (child: Child) =>
      Number(/stockflow_records_in_total (\d+)/.exec((await read(child, "/metrics")).text)![1]);

    const first = start(2 * 2 ** 20);
    let second: Child | null = null;
    try {
      const socket = await server.accept();
      await first.wrote(() => first.out.includes("Ctrl-C"), "its greeting");
      await first.wrote(() => first.err.includes("stands still at offset"), "that memory is full");
      assertEquals((await read(first, "/readyz?for=writes")).status, 503);
      // Another partition may still be on its way to where it stands still.
      await untilOk(first, "/readyz");
      await socket.write(encoder.encode("1 never-seen\n"));
      await first.wrote(() => answers(first).length === 1, "an answer");
      // Threads report their figures four times a second.
      let stood = await recordsOf(first);
      for (let i = 0; i < 300 && stood <= 10_000; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        stood = await recordsOf(first);
      }
      assert(stood > 10_000, `${stood}`);
      assertEquals(await first.stop(), 0);
      socket.close();

      const next = second = start(2 ** 30);
      const again = await server.accept();
      await next.wrote(() => next.out.includes("Ctrl-C"), "its greeting");
      await again.write(encoder.encode("2 never-seen\n"));
      await next.wrote(() => answers(next).length === 1, "an answer");
      for (let i = 0; i < 300 && await recordsOf(next) < 2 * stood; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert(await recordsOf(next) >= 2 * stood);
      await untilOk(next, "/readyz?for=writes");
      assertEquals(await next.stop(), 0);
      again.close();
    } finally {
      await first.kill();
      await second?.kill();
      server.close();
    }
  }));
