// Makes a kept file of the formats that a version writes: starts its service on data of its own, posts
// transactions, takes a savepoint, posts more, stops it, and prints what its files hold as JSON.
//
//   git worktree add --detach <checkout> <commit>
//   deno run --allow-all --unstable-kv test/state/formats/make.ts <checkout> > test/state/formats/<commit>.json
//
// With --kill the service is killed behind its last answer, so that its newest checkpoint lies behind what it has
// committed, and windows are open.
//
// formats_test.ts restores what was kept. A file of an earlier version is never made anew.

import {
  entriesOf,
  FOLD_FLAGS,
  FROM,
  HOUR_MS,
  type Kept,
  type KeptFiles,
  SAVEPOINT,
} from "./kept.ts";

const PORT = 21_917;
const BASE = `http://127.0.0.1:${PORT}`;
const FLAGS = {
  "log.partitions": "2",
  ...FOLD_FLAGS,
  "checkpoint.interval.millis": Deno.args[1] === "--kill" ? "0" : "1000",
};
/** Of each kind that the core keeps: numbered, short, long. */
const ITEMS = [
  "item_1",
  "item_2",
  "item_70001",
  "a",
  "ä-7é",
  "Z".repeat(200),
  "0001",
  "x".repeat(9),
];

const [checkout, how] = Deno.args;
const isKilled = how === "--kill";
if (!checkout) throw new Error("Which checkout?");
const folder = await Deno.makeTempDir({ prefix: "stockflow-formats-" });

function git(...args: string[]): string {
  const { stdout } = new Deno.Command("git", { args, cwd: checkout! }).outputSync();
  return new TextDecoder().decode(stdout).trim();
}

/** A program of the version; null if it has none. Its place has changed. */
function programOf(...names: string[]): string | null {
  for (const name of names) {
    try {
      Deno.statSync(`${checkout}/${name}`);
      return name;
    } catch {
      // It stands elsewhere.
    }
  }
  return null;
}

function deno(...args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--unstable-kv", ...args],
    cwd: checkout!,
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  });
}

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  for (let attempt = 0;; attempt++) {
    try {
      const response = await fetch(BASE + path, init);
      if (response.status !== 503 || attempt === 600) return response;
      await response.body?.cancel();
    } catch (error) {
      if (attempt === 600) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Transactions of every item in each of some hours; the last one leaves windows open. */
async function post(round: number): Promise<void> {
  for (let hour = 0; hour < 3; hour++) {
    const lines = ITEMS.map((item, i) => {
      const quantity = (i + hour + round) % 3 === 0 ? -1000 : 7 + i;
      const ts = FROM + (round * 2 + hour) * HOUR_MS + i;
      return `${round * 1000 + hour * 100 + i}\t${ts}\t${item}\t${quantity}`;
    });
    const headers = { "content-type": "text/plain" };
    const body = lines.join("\n");
    const response = await ask("/transactions", { method: "POST", body, headers });
    if (!response.ok) throw new Error(await response.text());
    await response.text();
  }
}

async function stock(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const item of [...ITEMS, "never seen"]) {
    const response = await ask(`/items/${encodeURIComponent(item)}`);
    const text = await response.text();
    found[item] = response.ok
      ? JSON.parse(text).quantity ?? JSON.parse(text).itemInfo.quantity
      : -1;
  }
  return found;
}

/** Starts the service, does something with it, and stops it; answers what it left. */
async function live(
  log: string,
  flags: Readonly<Record<string, string>>,
  act: () => Promise<void>,
): Promise<KeptFiles> {
  const state = `${folder}/state.kv`;
  const all = { ...FLAGS, "http.port": String(PORT), "log.kv": log, "state.kv": state, ...flags };
  const args = Object.entries(all).map(([key, value]) => `--${key}=${value}`);
  const service = deno(programOf("src/cli/main.ts", "src/main.ts")!, ...args).spawn();
  await act();
  const last = await stock();
  service.kill(isKilled ? "SIGKILL" : "SIGTERM");
  const { code } = await service.status;
  if (code !== 0 && !isKilled) throw new Error(`It ended with ${code}`);
  return { stock: last, log: await entriesOf(log), state: await entriesOf(state) };
}

let savepointStock: Kept["savepointStock"] = null;
const files = await live(`${folder}/log.kv`, {}, async () => {
  await post(0);
  const answer = await ask("/savepoints", {
    method: "POST",
    body: JSON.stringify({ name: SAVEPOINT }),
    headers: { "content-type": "application/json" },
  });
  await answer.text();
  if (answer.ok) savepointStock = await stock();
  await post(1);
  // What is answered is committed a moment later.
  if (isKilled) await new Promise((resolve) => setTimeout(resolve, 3000));
});
let exported: string | null = null;
const tool = programOf("src/cli/state.ts", "src/state_tool.ts");
if (tool && !isKilled) {
  const file = `${folder}/exported.state`;
  const { success } = await deno(tool, "export", file, `--state.kv=${folder}/state.kv`).output();
  if (success) exported = (await Deno.readFile(file)).toBase64();
}
const restored = savepointStock && !isKilled &&
  await live(`${folder}/restored.kv`, { restore: SAVEPOINT }, () => post(2));
const commit = git("rev-parse", "--short", "HEAD");
const kept: Kept = {
  commit,
  flags: FLAGS,
  files,
  savepointStock,
  restored: restored || null,
  exported,
};
await Deno.remove(folder, { recursive: true });
console.log(JSON.stringify(kept));
