// denokv, the server of Deno KV, for a test: on a free port, in a temporary folder.

import { freePort } from "./test_broker.ts";

const STARTS_MS_MAX = 20_000;

export interface KvServer {
  readonly url: string;
  readonly pid: number;
  /** What its clients bring. */
  readonly token: string;
  kill(): Promise<void>;
  /** Starts it again where it was. */
  restart(): Promise<void>;
  remove(): Promise<void>;
}

/** As .ci/run names it, or where cargo installs it. */
function pathOfServer(): string {
  const named = Deno.env.get("STOCKFLOW_DENOKV");
  if (named) return named;
  const home = Deno.env.get("CARGO_HOME") ?? `${Deno.env.get("HOME") ?? ""}/.cargo`;
  return `${home}/bin/denokv`;
}

/** Why no server can be started here; null = it can. */
export async function whyNoKvServer(): Promise<string | null> {
  const isThere = await Deno.stat(pathOfServer()).then(({ isFile }) => isFile, () => false);
  return isThere ? null : "denokv is missing: cargo install denokv@0.14.0 --locked";
}

/** @param host address at which it is to be reached, such as that of networks of processes */
export async function startKvServer(host = "127.0.0.1"): Promise<KvServer> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-denokv-" });
  const port = freePort();
  const url = `http://${host}:${port}`;
  const token = crypto.randomUUID();
  const start = () =>
    new Deno.Command(pathOfServer(), {
      args: ["--sqlite-path", `${folder}/kv.sqlite`, "serve", "--addr", `${host}:${port}`],
      env: { DENO_KV_ACCESS_TOKEN: token },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  let child = start();
  const answers = () =>
    fetch(url).then((response) => response.body?.cancel().then(() => true) ?? true, () => false);
  const untilAnswers = async () => {
    for (const from = performance.now(); !await answers();) {
      if (performance.now() - from > STARTS_MS_MAX) throw new Error("denokv does not answer");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await untilAnswers();
  const kill = async () => {
    child.kill("SIGKILL");
    await child.status;
  };
  return {
    url,
    token,
    get pid() {
      return child.pid;
    },
    kill,
    restart: async () => {
      child = start();
      await untilAnswers();
    },
    remove: async () => {
      await kill().catch(() => {}); // it may have been killed already
      await Deno.remove(folder, { recursive: true });
    },
  };
}
