// The process of feed_job.ts: a job with sources of its own and a sink, which notes in files what it does.

import { serviceArguments } from "../../tools/kit/service.ts";
import type { Scene } from "./scene.ts";

const ROOT = new URL("../../", import.meta.url);

export interface FeedProcessOptions {
  readonly scene: Scene;
  /** Address of the broker. */
  readonly bootstrap: string;
  /** Its files are here. */
  readonly folder: string;
  /** Where it notes the records that it brings, and what its sink is given. */
  readonly noted: string;
  readonly answers: string;
  /** Records that it brings. */
  readonly count: number;
  /** Port from which it takes lines. */
  readonly port: number;
  readonly flags: Readonly<Record<string, string>>;
  readonly output: Pick<Deno.CommandOptions, "stdout" | "stderr">;
}

/** Starts it. */
export function startFeedProcess(options: FeedProcessOptions): Deno.ChildProcess {
  const { scene, bootstrap, folder, noted, answers, count, port, flags, output } = options;
  const args = serviceArguments(folder, {
    "kafka.bootstrap.servers": bootstrap,
    "commit.interval.ms": "20",
    "kafka.session.timeout.ms": "6000",
    ...scene.flags,
    ...flags,
    "test.noted": noted,
    "test.answers": answers,
    "test.count": String(count),
    "test.port": String(port),
  });
  const own = args.map((arg) => arg === "src/cli/main.ts" ? "test/kafka/feed_job.ts" : arg);
  return new Deno.Command(Deno.execPath(), { args: own, cwd: ROOT, stdin: "null", ...output })
    .spawn();
}

/** The lines of a file; none when it is not there. */
export async function linesOf(file: string): Promise<string[]> {
  const text = await Deno.readTextFile(file).catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}
