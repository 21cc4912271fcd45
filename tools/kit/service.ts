// Starts the real service as a child process, in a data folder of its own.

import config from "../../deno.json" with { type: "json" };

export interface ServiceOptions {
  /** Parameters beside port and files. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Folder for the data; a new one under the system's temporary folder by default. */
  readonly folder?: string;
  /** Beside this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** How many files and connections it may have open; as many as this process by default. */
  readonly openFilesMax?: number;
  /** File of a cgroup to which a process writes its id to be in it. */
  readonly cgroup?: string;
  /** A set of permissions of deno.json; all by default. */
  readonly permissions?: string;
  /** Folder of the checkout whose service it is; this one by default. */
  readonly checkout?: string | URL;
  /** What comes before its command, such as that which enters a network. */
  readonly enter?: readonly string[];
}

export interface Service {
  readonly url: string;
  readonly folder: string;
  /** What it wants as bearer token, if anything. */
  readonly token?: string;
  readonly pid: number;
  /** What it wrote to standard error so far. */
  readonly log: () => string;
  readonly status: Promise<Deno.CommandStatus>;
  signal(signal: Deno.Signal): void;
  /** kill -9, and waits for its end. */
  kill(): Promise<void>;
}

/** Of what a service writes to standard error the beginning is kept: one that writes without end fills no memory. */
const LOG_LENGTH_MAX = 64 * 2 ** 20;

/** The flags for V8 and the main module in the command of `deno task start`. */
function startOf(command: string): { v8Flags: string[]; main: string } {
  const words = command.split(" ");
  return {
    v8Flags: words.filter((word) => word.startsWith("--v8-flags")),
    main: words.find((word) => word.endsWith(".ts"))!,
  };
}

const OWN_START = startOf(config.tasks.start.command);

/** The same of another checkout, which may be of before. */
async function startOfCheckout(folder: string | URL): Promise<typeof OWN_START> {
  const text = await Deno.readTextFile(`${folder}/deno.json`);
  return startOf((JSON.parse(text) as typeof config).tasks.start.command);
}

/** By this variable test/run.ts names a folder with the bundle of this checkout. */
export const PROGRAM = "STOCKFLOW_TEST_PROGRAM";

/**
 * How the service of this checkout starts: from the bundle, if one is named, which takes a quarter less CPU; else, and
 * where coverage of the sources is collected, from the sources.
 */
export function ownStart(): { v8Flags: string[]; main: string } {
  const bundle = Deno.env.get(PROGRAM);
  if (bundle === undefined || Deno.env.get("STOCKFLOW_COVERAGE")) return OWN_START;
  return { ...OWN_START, main: `${bundle}/main.js` };
}

const ROOT = new URL("../../", import.meta.url);

/** The command line of the service, as `deno task start` runs it. */
export function serviceArguments(
  folder: string,
  flags: Readonly<Record<string, string>> = {},
  { v8Flags, main } = OWN_START,
  permissions?: string,
): string[] {
  const all = {
    "http.port": "0",
    "log.kv": `${folder}/log.kv`,
    "state.kv": `${folder}/state.kv`,
    ...flags,
  };
  // Where deno task coverage collects what runs in the service.
  const coverage = Deno.env.get("STOCKFLOW_COVERAGE");
  return [
    "run",
    ...v8Flags,
    permissions === undefined ? "--allow-all" : `-P=${permissions}`,
    // A folder of its own: Deno empties it at the start.
    ...(coverage ? [`--coverage=${coverage}/${crypto.randomUUID()}`] : []),
    main,
    ...Object.entries(all).map(([key, value]) => `--${key}=${value}`),
  ];
}

/** Starts the service and waits until it listens. */
export async function startService(
  { flags, folder, env, openFilesMax, cgroup, checkout, permissions, enter: within = [] }:
    ServiceOptions = {},
): Promise<Service> {
  const data = folder ?? await Deno.makeTempDir({ prefix: "stockflow-" });
  const limit = openFilesMax === undefined ? "" : `ulimit -n ${openFilesMax} && `;
  const enter = cgroup === undefined ? "" : `echo $$ > '${cgroup}' && `;
  const start = checkout !== undefined
    ? await startOfCheckout(checkout)
    // Sets of permissions stand in deno.json of the sources.
    : permissions === undefined
    ? ownStart()
    : OWN_START;
  const child = new Deno.Command("sh", {
    args: [
      "-c",
      `${limit}${enter}exec "$@"`,
      "sh",
      ...within,
      Deno.execPath(),
      ...serviceArguments(data, flags, start, permissions),
    ],
    cwd: checkout ?? ROOT,
    env: { ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const service = await whenListening(child, data);
  const token = flags?.["http.token"];
  return token === undefined ? service : { ...service, token };
}

/**
 * A service that was spawned, once it listens. Its outputs are piped.
 *
 * @throws {Error} when it ends before
 */
export async function whenListening(child: Deno.ChildProcess, folder: string): Promise<Service> {
  let log = "";
  const saidAll = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      if (log.length < LOG_LENGTH_MAX) log += text;
    }
  })();
  const url = await readUrl(child.stdout);
  // The end of the process, once all that it said was read.
  const status = child.status.then(async (ended) => {
    await saidAll;
    return ended;
  });
  if (url === null) {
    const { code } = await status;
    throw new Error(`The service did not start, exit ${code}: ${log}`);
  }
  return {
    url,
    folder,
    pid: child.pid,
    log: () => log,
    status,
    signal: (signal) => child.kill(signal),
    kill: async () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended already.
      }
      await status;
    },
  };
}

/** Headers of a request to a service, beside others. */
export function headersOf({ token }: Pick<Service, "token">): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

/**
 * SIGTERM, and waits for its end.
 *
 * @throws {Error} with its exit code and log, when that is not 0
 */
export async function stopInGoodOrder({ signal, status, log }: Service): Promise<void> {
  try {
    signal("SIGTERM");
  } catch {
    // It has ended already: its code says how.
  }
  const { code } = await status;
  if (code !== 0) throw new Error(`The service exited ${code}: ${log()}`);
}

/** What it has to fold again takes long on a busy machine. */
const READY_MS_MAX = 300_000;

/** Resolves when the service is ready: everything that its log held at the start is folded. */
export async function waitReady({ url, log, status }: Service): Promise<void> {
  const until = performance.now() + READY_MS_MAX;
  while (performance.now() < until) {
    const response = await fetch(`${url}/readyz`).catch(async () => {
      const { code, signal } = await status;
      throw new Error(`The service is gone (${signal ?? code}): ${log()}`);
    });
    await response.text();
    if (response.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const [why, metrics] = await Promise.all(
    ["readyz", "metrics"].map(async (path) => await (await fetch(`${url}/${path}`)).text()),
  );
  throw new Error(`The service did not become ready: ${why}${metrics}${log()}`);
}

/** Reads the line that says where it listens; goes on reading, so that the child never waits. */
function readUrl(stdout: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string | null> {
  return new Promise((resolve) => {
    void (async () => {
      let text = "";
      let isFound = false;
      for await (const part of stdout.pipeThrough(new TextDecoderStream())) {
        if (isFound) continue;
        text += part;
        const found = /listens on (http:\S+)/.exec(text);
        if (found) resolve(found[1]!);
        isFound = found !== null;
      }
      resolve(null);
    })();
  });
}

/** Flags of a job that reports every item of every window, and fires none before its end. */
export const EVERY_SUMMARY = {
  "transaction.num.min": "0",
  "transaction.failure.rate.min": "0",
  "window.idle.timeout.ms": "86400000",
} as const;
